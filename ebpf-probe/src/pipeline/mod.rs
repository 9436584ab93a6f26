//! From records to spans: one thread drives the pure stages and gives the kernel half its credit.

mod connection;
mod driver;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use probe_common::maps::Grant;
use probe_core::call::{Options, Output};
use probe_core::ids::{ConnId, ConnInfo, Direction, Nanos, ProcessId};
use probe_core::message::Closed;
use probe_core::span::Span;
use probe_core::stitch::Stitcher;
use probe_core::stitch::facts::ProcessFacts;
use probe_core::stream::Record;

use self::connection::Connection;
pub(crate) use self::driver::{Driver, Handles};

/// What comes out of the pipeline. Each call ends once, and has one span: most at the same time.
#[derive(Clone, Debug)]
pub(crate) enum Leaving {
    /// A call has ended, and its place in a trace is not settled. Its span follows.
    Ended(Arc<Span>),
    /// A span.
    Span(Arc<Span>),
}

impl Leaving {
    /// The call, where this is the first that is heard of its end.
    pub(crate) fn ended(&self) -> Option<&Arc<Span>> {
        match self {
            Self::Ended(span) => Some(span),
            Self::Span(span) => (!span.late).then_some(span),
        }
    }

    /// The span, where it is whole.
    pub(crate) const fn span(&self) -> Option<&Arc<Span>> {
        match self {
            Self::Ended(_) => None,
            Self::Span(span) => Some(span),
        }
    }
}

/// The most connections that are followed; the kernel half's tables hold no more.
const MOST: usize = 2 * probe_common::maps::CONNECTIONS as usize;

/// All connections, and the stitcher behind them.
pub(crate) struct Pipeline {
    connections: HashMap<ConnId, Connection>,
    /// The ones that live in a process's memory, by process.
    in_memory: HashMap<u32, HashSet<ConnId>>,
    stitcher: Stitcher,
    options: Options,
    spans: Vec<Span>,
    grants: Vec<(ConnId, Grant)>,
    counters: Counters,
}

/// What the pipeline counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Records taken.
    pub(crate) records: u64,
    /// Records that no connection is known for.
    pub(crate) orphans: u64,
    /// Bytes that moved and were not captured.
    pub(crate) missed_bytes: u64,
    /// Connections seen.
    pub(crate) connections: u64,
    /// Connections that were there before the probe saw them.
    pub(crate) late: u64,
    /// Connections refused because there were too many.
    pub(crate) refused: u64,
}

impl Pipeline {
    /// An empty pipeline.
    pub(crate) fn new(stitcher: Stitcher, options: Options) -> Self {
        Self {
            connections: HashMap::new(),
            in_memory: HashMap::new(),
            stitcher,
            options,
            spans: Vec::new(),
            grants: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Takes a record; `now` is the monotonic clock.
    pub(crate) fn record(&mut self, record: &Record<'_>, now: Nanos) {
        self.counters.records += 1;
        match record {
            Record::Open(info) => self.open(info),
            Record::Bound(info) => self.stitcher.connection_bound(info),
            Record::Context(info) => self.stitcher.context(info),
            Record::Data(data) => {
                let Some(connection) = self.connections.get_mut(&data.conn) else {
                    self.counters.orphans += 1;
                    return;
                };
                self.counters.missed_bytes += connection.data(data);
                if let Some(grant) = connection.grant(data) {
                    self.grants.push((data.conn, grant));
                }
                self.collect(data.conn, now);
            }
            Record::HalfClosed(id, direction, at) => {
                if let Some(connection) = self.connections.get_mut(id) {
                    connection.half_closed(*direction, *at);
                    self.collect(*id, now);
                }
            }
            Record::Closed(id, by, at) => {
                let why = match by {
                    Direction::Out => Closed::Local,
                    Direction::In => Closed::Peer,
                };
                self.close(*id, *at, why, now);
            }
        }
    }

    /// A process is known better.
    pub(crate) fn process(&mut self, id: ProcessId, facts: ProcessFacts) {
        self.stitcher.process_seen(id, facts);
    }

    /// A process is gone, and with it its TLS connections; returns those.
    pub(crate) fn process_gone(&mut self, id: ProcessId, at: Nanos, now: Nanos) -> Vec<ConnId> {
        let theirs = self.memory_gone(id, at, now);
        self.stitcher.process_gone(id, now);
        theirs
    }

    /// A process runs another program: its sockets go on, but its TLS connections, which were
    /// in its memory, are gone; returns those.
    pub(crate) fn memory_gone(&mut self, id: ProcessId, at: Nanos, now: Nanos) -> Vec<ConnId> {
        let theirs = self.in_memory.remove(&id.tgid).unwrap_or_default();
        let theirs: Vec<ConnId> = theirs.into_iter().collect();
        for conn in &theirs {
            self.close(*conn, at, Closed::Exit, now);
        }
        theirs
    }

    /// Lets go of what waited long enough.
    pub(crate) fn tick(&mut self, now: Nanos) {
        self.stitcher.tick(now, &mut self.spans);
    }

    /// The end: whatever waits goes out.
    pub(crate) fn drain(&mut self, now: Nanos) {
        self.stitcher.drain(now, &mut self.spans);
    }

    /// What came out since the last time.
    pub(crate) fn leaving(&mut self) -> impl Iterator<Item = Leaving> + '_ {
        let ended = self.stitcher.ended();
        let ended = ended.map(|span| Leaving::Ended(Arc::new(span)));
        let spans = self.spans.drain(..);
        ended.chain(spans.map(|span| Leaving::Span(Arc::new(span))))
    }

    /// The credit to give since the last time.
    pub(crate) fn grants(&mut self) -> impl Iterator<Item = (ConnId, Grant)> + '_ {
        self.grants.drain(..)
    }

    /// What was counted.
    pub(crate) const fn counters(&self) -> Counters {
        self.counters
    }

    /// What the stitcher counted.
    pub(crate) const fn stitched(&self) -> probe_core::stitch::Counters {
        self.stitcher.counters()
    }

    /// Connections now.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    fn open(&mut self, info: &ConnInfo) {
        if self.connections.len() >= MOST {
            self.counters.refused += 1;
            return;
        }
        self.counters.connections += 1;
        self.counters.late += u64::from(info.late);
        self.stitcher.connection_opened(info);
        let connection = Connection::new(info, self.options);
        if let Some(tgid) = connection.dies_with() {
            self.in_memory.entry(tgid).or_default().insert(info.id);
        }
        self.connections.insert(info.id, connection);
    }

    fn close(&mut self, id: ConnId, at: Nanos, why: Closed, now: Nanos) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let owner = connection.dies_with();
        connection.closed(at, why);
        self.collect(id, now);
        self.connections.remove(&id);
        if let Some(tgid) = owner
            && let Some(theirs) = self.in_memory.get_mut(&tgid)
        {
            theirs.remove(&id);
            if theirs.is_empty() {
                self.in_memory.remove(&tgid);
            }
        }
        self.stitcher.connection_closed(id, now);
    }

    fn collect(&mut self, id: ConnId, now: Nanos) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        for output in connection.outputs() {
            match output {
                Output::Started(started) => self.stitcher.started(&started),
                Output::Finished(call) => self.stitcher.finished(*call, now, &mut self.spans),
                Output::Asked(asked) => self.stitcher.asked(*asked),
                Output::Read(key, trace) => self.stitcher.read(key, trace.map(|t| *t)),
                Output::Answered(answered) => self.stitcher.answered(&answered),
                Output::Blurred(key, at) => self.stitcher.blurred(key, at),
                Output::Over(key, end, at) => {
                    self.stitcher.over(key, end, at, now, &mut self.spans);
                }
            }
        }
    }
}
