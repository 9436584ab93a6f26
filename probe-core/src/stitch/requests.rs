//! The requests that processes serve, calls or not, and which contexts wrote their answers.

use std::collections::{HashMap, VecDeque};

use super::lineage::Lineage;
use crate::call::{Answered, Asked, ExchangeKey, HttpFacts};
use crate::ids::{ANCESTORS, ConnId, Context, ContextInfo, Nanos, ProcessId};
use crate::message::End;
use crate::trace_context::{SpanId, TraceContext};

/// Requests of one process that are remembered, those under way included.
const PER_PROCESS: usize = 1024;
/// Requests that are remembered of one context; a connection's own context has them all.
const PER_CONTEXT: usize = 16;
/// Set in a context whose birth was not seen.
const FOUND: u64 = 1 << 63;
/// The bits of a context's number that are the time of its birth.
const BIRTH: u64 = (1 << 56) - 1;

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
    /// What wrote the answer's first byte, and when.
    pub(super) answered: Option<(Context, Nanos)>,
    pub(super) over: Option<(Nanos, End)>,
    /// Its span, once a child has named it or it has left.
    pub(super) place: Option<(SpanId, Lineage)>,
}

impl Request {
    /// Whether its end is known: what follows a hole or a change of protocol is not.
    const fn is_past(&self) -> bool {
        matches!(self.over, Some((_, end)) if !matches!(end, End::Lost | End::Upgraded))
    }

    /// Nothing more will be known of who serves it.
    pub(super) const fn is_settled(&self) -> bool {
        self.answered.is_some() || self.over.is_some()
    }
}

/// Whose answers a context wrote, itself or by its descendants.
#[derive(Debug)]
pub(super) struct Owner {
    /// The one connection; `None` when there are several.
    pub(super) conn: Option<ConnId>,
    /// The newest of the requests.
    pub(super) requests: VecDeque<ExchangeKey>,
}

#[derive(Debug, Default)]
struct Served {
    /// Under way, or nobody knows whether they are.
    open: Vec<ExchangeKey>,
    /// Over, in the order of their ends.
    past: VecDeque<ExchangeKey>,
    /// A request found no room: what is under way is not known.
    blind: bool,
}

/// The requests, and the contexts that have to do with them; both bounded.
#[derive(Debug)]
pub(super) struct Requests {
    map: HashMap<ExchangeKey, Request>,
    served: HashMap<ProcessId, Served>,
    contexts: HashMap<u64, [u64; ANCESTORS]>,
    context_order: VecDeque<u64>,
    owners: HashMap<u64, Owner>,
    capacity: usize,
}

impl Requests {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            map: HashMap::new(),
            served: HashMap::new(),
            contexts: HashMap::new(),
            context_order: VecDeque::new(),
            owners: HashMap::new(),
            capacity,
        }
    }

    pub(super) fn get(&self, key: ExchangeKey) -> Option<&Request> {
        self.map.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: ExchangeKey) -> Option<&mut Request> {
        self.map.get_mut(&key)
    }

    pub(super) fn owner(&self, context: u64) -> Option<&Owner> {
        self.owners.get(&context)
    }

    /// A context and what it descends from, nearest first.
    pub(super) fn line(&self, context: u64) -> impl Iterator<Item = u64> {
        let ancestors = self.contexts.get(&context).copied().unwrap_or_default();
        std::iter::once(context)
            .chain(ancestors)
            .take_while(|c| *c != 0)
    }

    /// Learns where a context comes from; the oldest ones make room.
    pub(super) fn context(&mut self, info: &ContextInfo) {
        if self.contexts.insert(info.token, info.ancestors).is_none() {
            self.context_order.push_back(info.token);
        }
        if self.context_order.len() > self.capacity
            && let Some(oldest) = self.context_order.pop_front()
        {
            self.contexts.remove(&oldest);
        }
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
        self.served.entry(process).or_default().open.push(key);
        let request = Request {
            process,
            context,
            start: at,
            http,
            trace,
            accepted,
            answered: None,
            over: None,
            place: None,
        };
        self.map.insert(key, request);
        true
    }

    /// Its answer began: the context that wrote it, and those before, worked for its connection.
    pub(super) fn answered(&mut self, answered: &Answered) {
        let Some(request) = self.map.get_mut(&answered.key) else {
            return;
        };
        request.answered = Some((answered.context, answered.at));
        request.http.status = Some(answered.status);
        let line: Vec<u64> = self.line(answered.context.token).collect();
        for context in line {
            let owner = self.owners.entry(context).or_insert_with(|| Owner {
                conn: Some(answered.key.conn),
                requests: VecDeque::new(),
            });
            if owner.conn != Some(answered.key.conn) {
                owner.conn = None;
            }
            owner.requests.push_back(answered.key);
            if owner.requests.len() > PER_CONTEXT {
                owner.requests.pop_front();
            }
        }
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

    /// The process is gone. Gives its requests.
    pub(super) fn gone(&mut self, process: ProcessId) -> Vec<ExchangeKey> {
        let Some(served) = self.served.remove(&process) else {
            return Vec::new();
        };
        let keys: Vec<_> = served.open.into_iter().chain(served.past).collect();
        for key in &keys {
            self.remove(*key);
        }
        keys
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
        let Some(request) = self.map.remove(&key) else {
            return;
        };
        let Some((context, _)) = request.answered else {
            return;
        };
        let line: Vec<u64> = self.line(context.token).collect();
        for context in line {
            if let Some(owner) = self.owners.get_mut(&context) {
                owner.requests.retain(|k| *k != key);
                if owner.requests.is_empty() {
                    self.owners.remove(&context);
                }
            }
        }
    }
}

impl Served {
    fn is_full(&self) -> bool {
        self.open.len() + self.past.len() >= PER_PROCESS
    }
}

/// When a context was born; `None` where that was not seen.
pub(super) const fn birth(context: u64) -> Option<Nanos> {
    if context & FOUND == 0 {
        Some(context & BIRTH)
    } else {
        None
    }
}
