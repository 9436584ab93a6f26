//! The requests that processes serve, calls or not, and what is known of who serves them.

use std::collections::{HashMap, VecDeque};

use super::contexts::Contexts;
use super::lineage::Lineage;
use crate::call::{Answered, Asked, ExchangeKey, HttpFacts};
use crate::ids::{Context, ContextInfo, Nanos, ProcessId};
use crate::message::End;
use crate::trace_context::{SpanId, TraceContext};

/// Requests of one process that are remembered, those under way included.
const PER_PROCESS: usize = 1024;

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) process: ProcessId,
    /// What read its first byte.
    pub(super) context: Context,
    pub(super) start: Nanos,
    pub(super) http: HttpFacts,
    pub(super) trace: Option<TraceContext>,
    /// When its connection was accepted.
    pub(super) accepted: Option<Nanos>,
    /// It came when every earlier one of its connection was over.
    pub(super) alone: bool,
    /// All of it has come: its trace context is known.
    pub(super) read: bool,
    /// What wrote the answer's first byte, and when.
    pub(super) answered: Option<(Context, Nanos)>,
    pub(super) over: Option<(Nanos, End)>,
    /// Its span, once a child has named it or it has left.
    pub(super) place: Option<Place>,
    /// A child has left before the answer.
    pub(super) early: bool,
    /// The contexts that list it.
    read_in: Vec<u64>,
    written_in: Vec<u64>,
}

/// The span of a request.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) span: SpanId,
    pub(super) lineage: Lineage,
    /// It has left; else it must.
    pub(super) exported: bool,
}

impl Request {
    /// Whether its end is known: what follows a hole or a change of protocol is not.
    pub(super) const fn is_past(&self) -> bool {
        matches!(self.over, Some((_, end)) if !matches!(end, End::Lost | End::Upgraded))
    }

    /// Nothing more will be known of who serves it.
    pub(super) const fn is_settled(&self) -> bool {
        self.answered.is_some() || self.over.is_some()
    }
}

#[derive(Debug, Default)]
struct Served {
    /// Under way, or nobody knows whether they are.
    open: Vec<ExchangeKey>,
    /// Over, in the order of their ends.
    past: VecDeque<ExchangeKey>,
    /// A request found no room: what is under way is not known.
    blind: bool,
    /// A thread that waited for a request answered it too.
    keeps: bool,
    /// Another thread did.
    hands_over: bool,
}

/// The requests, and the contexts that have to do with them; both bounded.
#[derive(Debug)]
pub(super) struct Requests {
    map: HashMap<ExchangeKey, Request>,
    served: HashMap<ProcessId, Served>,
    contexts: Contexts,
    capacity: usize,
}

impl Requests {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            map: HashMap::new(),
            served: HashMap::new(),
            contexts: Contexts::new(capacity),
            capacity,
        }
    }

    pub(super) fn get(&self, key: ExchangeKey) -> Option<&Request> {
        self.map.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: ExchangeKey) -> Option<&mut Request> {
        self.map.get_mut(&key)
    }

    pub(super) const fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// Learns where a context comes from.
    pub(super) fn context(&mut self, info: &ContextInfo) {
        self.contexts.learn(info);
    }

    /// A request came. False when there was no room for it: then nothing is inferred from what
    /// its process serves any more.
    pub(super) fn asked(&mut self, asked: Asked, accepted: Option<Nanos>) -> bool {
        let Asked {
            key,
            process,
            context,
            at,
            http,
            trace,
        } = asked;
        let crowded = self.served.get(&process).is_some_and(Served::is_full);
        if (crowded || self.map.len() >= self.capacity) && !self.make_room(process) {
            if let Some(served) = self.served.get_mut(&process) {
                served.blind = true;
            }
            return false;
        }
        let served = self.served.entry(process).or_default();
        let alone = served.open.iter().all(|open| open.conn != key.conn);
        served.open.push(key);
        let request = Request {
            process,
            context,
            start: at,
            http,
            trace,
            accepted,
            alone,
            read: false,
            answered: None,
            over: None,
            place: None,
            early: false,
            read_in: self.contexts.read(key, context.token, accepted),
            written_in: Vec::new(),
        };
        self.map.insert(key, request);
        true
    }

    /// All of it has come, with the trace context inside it if there is one.
    pub(super) fn read(&mut self, key: ExchangeKey, inner: Option<TraceContext>) {
        if let Some(request) = self.map.get_mut(&key) {
            request.read = true;
            request.trace = inner.or(request.trace.take());
        }
    }

    /// Its answer began: the context that wrote it, and those before, worked for its connection.
    /// False where that belies what children said who have left.
    pub(super) fn answered(&mut self, answered: &Answered) -> bool {
        let Answered { key, context, .. } = *answered;
        let Some(request) = self.map.get_mut(&key) else {
            return true;
        };
        request.answered = Some((context, answered.at));
        request.http.status = Some(answered.status);
        request.written_in = self.contexts.wrote(key, context.token);
        let same = request.context.tid == context.tid;
        if request.context.blocking
            && let Some(served) = self.served.get_mut(&request.process)
        {
            served.keeps |= same;
            served.hands_over |= !same;
        }
        let is_own = |c: &u64| {
            let reader = self.contexts.reader(*c);
            reader.is_some_and(|reader| reader.conn == Some(key.conn))
        };
        let as_told = if request.context.blocking {
            same
        } else {
            request.written_in.iter().any(is_own)
        };
        as_told || !request.early
    }

    /// It is over.
    pub(super) fn over(&mut self, key: ExchangeKey, end: End, at: Nanos) {
        let Some(request) = self.map.get_mut(&key) else {
            return;
        };
        request.over = Some((at, end));
        if let Some(served) = self.served.get_mut(&request.process)
            && request.is_past()
        {
            served.open.retain(|k| *k != key);
            served.past.push_back(key);
        }
    }

    /// Whether every request that the process serves is known.
    pub(super) fn knows(&self, process: ProcessId) -> bool {
        self.served.get(&process).is_none_or(|served| !served.blind)
    }

    /// Whether the process was seen to answer where it reads, and never elsewhere.
    pub(super) fn keeps_threads(&self, process: ProcessId) -> bool {
        let served = self.served.get(&process);
        served.is_some_and(|served| served.keeps && !served.hands_over)
    }

    /// What a process was serving at that time.
    pub(super) fn in_flight(&self, process: ProcessId, at: Nanos) -> Vec<(ExchangeKey, &Request)> {
        let Some(served) = self.served.get(&process) else {
            return Vec::new();
        };
        let known = |key: &ExchangeKey| self.map.get(key).map(|request| (*key, request));
        let ended = |request: &Request| request.over.map_or(Nanos::MAX, |(at, _)| at);
        let since = served.past.iter().rev().filter_map(known);
        let since = since.take_while(|(_, request)| ended(request) >= at);
        let open = served.open.iter().filter_map(known);
        open.chain(since)
            .filter(|(_, request)| request.start <= at)
            .collect()
    }

    /// The requests of a process that are remembered.
    pub(super) fn of(&self, process: ProcessId) -> Vec<ExchangeKey> {
        let served = self.served.get(&process);
        let keys = |served: &Served| served.open.iter().chain(&served.past).copied().collect();
        served.map(keys).unwrap_or_default()
    }

    /// Those whose span was named and has not left.
    pub(super) fn owed(&self) -> Vec<ExchangeKey> {
        let owed = |request: &Request| request.place.as_ref().is_some_and(|p| !p.exported);
        let keys = self.map.iter().filter(|(_, request)| owed(request));
        let mut keys: Vec<_> = keys.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// The process is gone, and its requests with it.
    pub(super) fn gone(&mut self, process: ProcessId) {
        for key in self.of(process) {
            self.remove(key);
        }
        self.served.remove(&process);
    }

    /// Forgets the oldest request of the process that is over.
    fn make_room(&mut self, process: ProcessId) -> bool {
        let Some(oldest) = self
            .served
            .get_mut(&process)
            .and_then(|served| served.past.pop_front())
        else {
            return false;
        };
        self.remove(oldest);
        true
    }

    fn remove(&mut self, key: ExchangeKey) {
        if let Some(request) = self.map.remove(&key) {
            self.contexts
                .forget(key, &request.read_in, &request.written_in);
        }
    }
}

impl Served {
    fn is_full(&self) -> bool {
        self.open.len() + self.past.len() >= PER_PROCESS
    }
}
