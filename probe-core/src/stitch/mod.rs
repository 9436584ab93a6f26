//! Calls in, spans with parents out.
//!
//! A call becomes one span, as soon as its place is known: most leave with the call's last byte,
//! none waits longer than [`Config::hold`].
//!
//! - [`connections`] finds the two ends of a connection, [`joining`] the two ends of a call.
//! - [`release`] decides when a call leaves and who its parent is.
//! - [`agents`] and [`hops`] keep agents, proxies and a server's own helpers out of the sums.
//! - [`render`] writes names and attributes.
//!
//! Invariant: no span names a parent that neither stood on the wire nor is exported by us. A
//! client's span that a server's span has named is exported whatever becomes of its call.

mod agents;
mod calls;
mod connections;
pub mod facts;
mod hops;
mod ids;
mod joining;
mod lineage;
mod processes;
mod release;
mod render;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::{HashMap, VecDeque};

use self::calls::Live;
use self::connections::Connections;
use self::facts::ProcessFacts;
use self::ids::IdSource;
use self::processes::Processes;
use self::timers::{Timer, Timers};
use crate::call::{Call, CallKey, CallKind, Started};
use crate::conventions::Conventions;
use crate::ids::{ConnId, ConnInfo, Nanos, ProcessId};
use crate::message::End;
use crate::span::Span;

/// How the stitcher works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The names to write.
    pub conventions: Conventions,
    /// How long a finished call may wait for the other end of its connection, or for a call that
    /// its process made meanwhile.
    pub hold: Nanos,
    /// How long the calls of a closed connection or an ended process may take to be finished.
    pub linger: Nanos,
    /// The most connections that are known at once.
    pub max_connections: usize,
    /// The most calls that are under way at once.
    pub max_calls: usize,
    /// The most processes that are known at once.
    pub max_processes: usize,
    /// Whether an answer that was cut at the limit of tokens is an error (`error.type` `length`).
    pub truncation_is_error: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            conventions: Conventions::default(),
            hold: 200_000_000,
            linger: 500_000_000,
            max_connections: 65_536,
            max_calls: 65_536,
            max_processes: 16_384,
            truncation_is_error: true,
        }
    }
}

/// What the stitcher did and what it threw away, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Server spans whose parent is our span of the connection's other end.
    pub joined: u64,
    /// Calls that had to wait before they left.
    pub held: u64,
    /// Calls that left because their time to wait was over.
    pub hold_expired: u64,
    /// Calls of a server to its own helper process (Ollama's runner): no second model call.
    pub runner_calls: u64,
    /// Client calls that a span of ours named and that never came to an end: their spans were
    /// made from what was known.
    pub abandoned: u64,
    /// Calls that could not be joined with their other end because too many were under way.
    pub calls_refused: u64,
    /// Connections that were forgotten because there were too many.
    pub connections_evicted: u64,
    /// Processes whose facts were not kept because there were too many.
    pub processes_refused: u64,
    /// Agent cards that were not kept because there were too many.
    pub cards_refused: u64,
}

/// Gives calls their parents and makes spans of them.
#[derive(Debug)]
pub struct Stitcher {
    config: Config,
    ids: IdSource,
    connections: Connections,
    processes: Processes,
    calls: HashMap<CallKey, Live>,
    /// Calls whose readiness may have changed.
    wake: VecDeque<CallKey>,
    timers: Timers,
    /// Spans that left to make room, until the caller takes spans again.
    evicted: Vec<Span>,
    counters: Counters,
}

impl Stitcher {
    /// A stitcher; `seed` comes from the operating system's random source.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self {
            ids: IdSource::new(seed),
            connections: Connections::new(config.max_connections),
            processes: Processes::new(config.max_processes),
            calls: HashMap::new(),
            wake: VecDeque::new(),
            timers: Timers::default(),
            evicted: Vec::new(),
            counters: Counters::default(),
            config,
        }
    }

    /// What was done and thrown away so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How many connections, calls and processes are held, for gauges.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (
            self.connections.len(),
            self.calls.len(),
            self.processes.len(),
        )
    }

    /// A connection was seen for the first time.
    pub fn connection_opened(&mut self, info: &ConnInfo) {
        if let Some(oldest) = self.connections.open(info) {
            self.counters.connections_evicted += 1;
            let mut evicted = std::mem::take(&mut self.evicted);
            self.forget(oldest, &mut evicted);
            self.evicted = evicted;
        }
    }

    /// The addresses of a connection became known.
    pub fn connection_bound(&mut self, info: &ConnInfo) {
        self.connections.bind(info);
    }

    /// A connection is gone; the calls on it are finished before or soon after.
    pub fn connection_closed(&mut self, id: ConnId, now: Nanos) {
        if let Some(conn) = self.connections.get_mut(id).filter(|c| c.closed.is_none()) {
            conn.closed = Some(now);
            self.timers
                .add(now.saturating_add(self.config.linger), Timer::Forget(id));
        }
    }

    /// A process was discovered, or its facts changed (exec).
    pub fn process_seen(&mut self, id: ProcessId, facts: ProcessFacts) {
        if !self.processes.seen(id, facts) {
            self.counters.processes_refused += 1;
        }
    }

    /// A process ended; its calls are finished before or soon after.
    pub fn process_gone(&mut self, id: ProcessId, now: Nanos) {
        let at = now.saturating_add(self.config.linger);
        for key in self.processes.gone(id) {
            self.timers.add(at, Timer::Abandon(key));
        }
    }

    /// The head of a recognised call was seen.
    ///
    /// Of a connection that is not known (any more) nothing would ever take the call away again,
    /// so it is only heard of when it has ended.
    pub fn started(&mut self, started: &Started) {
        if self.connections.get(started.key.conn).is_some() && self.begin(started) {
            self.try_join(started.key);
        }
    }

    /// What was taken for a call is none; [`Stitcher::finished`] will not be called for it.
    pub fn dismissed(&mut self, key: CallKey, out: &mut Vec<Span>) {
        self.abandon(key, out);
    }

    /// A call ended. Pushes the spans that can leave now; `now` is the clock, not the call's end.
    pub fn finished(&mut self, call: Call, now: Nanos, out: &mut Vec<Span>) {
        let (key, process) = (call.key, call.process);
        if matches!(call.kind, CallKind::AgentCard { .. }) {
            self.learn_card(&call);
            self.abandon(key, out);
        } else if !self.begin(&as_started(&call)) {
            self.release_alone(&call, out);
        } else if self.is_runner_hop(&call)
            && self.calls.get(&key).is_some_and(|l| l.stub.is_none())
        {
            self.counters.runner_calls += 1;
            self.abandon(key, out);
        } else {
            self.note(call, now);
        }
        self.wake_servers_of(process);
        self.settle(now, out);
    }

    /// Lets go what has waited long enough.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Span>) {
        self.settle(now, out);
        while let Some(timer) = self.timers.due(now) {
            match timer {
                Timer::Release(key) => self.expire(key, out),
                Timer::Abandon(key) => self.abandon_unfinished(key, out),
                Timer::Forget(conn) => self.forget(conn, out),
            }
            self.settle(now, out);
        }
    }

    /// When [`Stitcher::tick`] has something to do next. Calls that were woken by what came since
    /// leave with the next tick whenever that is.
    #[must_use]
    pub fn next_tick(&self) -> Option<Nanos> {
        if self.wake.is_empty() && self.evicted.is_empty() {
            self.timers.next()
        } else {
            Some(0)
        }
    }

    /// Lets everything go, at the end.
    pub fn drain(&mut self, now: Nanos, out: &mut Vec<Span>) {
        self.settle(now, out);
        let mut keys: Vec<CallKey> = self.calls.keys().copied().collect();
        keys.sort_unstable_by_key(|k| (k.conn, k.exchange, k.part));
        for &key in &keys {
            self.release(key, out);
        }
        for key in keys {
            self.abandon(key, out);
        }
    }

    /// Forgets a connection; its last calls leave while its addresses are still known.
    fn forget(&mut self, id: ConnId, out: &mut Vec<Span>) {
        let Some(conn) = self.connections.get(id) else {
            return;
        };
        for key in conn.calls.clone() {
            self.expire(key, out);
            self.abandon_unfinished(key, out);
        }
        self.connections.remove(id);
    }

    /// Takes a finished call in and asks whom its end concerns.
    fn note(&mut self, call: Call, now: Nanos) {
        let key = call.key;
        if call.ended == End::Lost
            && let Some(conn) = self.connections.get_mut(key.conn)
        {
            conn.counted = false;
        }
        self.mark_forwarding(&call);
        let deadline = now.saturating_add(self.config.hold);
        let Some(live) = self.calls.get_mut(&key) else {
            return;
        };
        if live.call.is_some() {
            // A second end of one call is a mistake of the stage before; the first one stands.
            return;
        }
        live.call = Some(Box::new(call));
        live.deadline = deadline;
        self.try_join(key);
        self.wake.push_back(key);
        self.wake_peers_of(key);
        self.doubt_earlier(key, now);
    }

    /// Answers come in the order of the requests (HTTP/1), so what began earlier on the
    /// connection has ended too: if it is not finished soon, it was no call.
    fn doubt_earlier(&mut self, key: CallKey, now: Nanos) {
        let Some(conn) = self.connections.get(key.conn) else {
            return;
        };
        let at = now.saturating_add(self.config.linger);
        for earlier in conn.calls.iter().filter(|k| k.exchange < key.exchange) {
            if let Some(live) = self.calls.get_mut(earlier)
                && live.call.is_none()
                && !live.doubted
            {
                live.doubted = true;
                self.timers.add(at, Timer::Abandon(*earlier));
            }
        }
    }
}

fn as_started(call: &Call) -> Started {
    Started {
        key: call.key,
        role: call.role,
        process: call.process,
        context: call.context,
        at: call.start,
        header_trace: call.header_trace.clone().or_else(|| call.trace.clone()),
    }
}
