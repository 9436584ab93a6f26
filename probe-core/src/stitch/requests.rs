//! The requests that processes serve, calls or not, and what is known of who serves them.

use std::collections::{HashMap, VecDeque};

use super::contexts::Contexts;
use super::lineage::Lineage;
use super::served::Served;
use crate::call::{Answered, Asked, ExchangeKey, HttpFacts};
use crate::ids::{ConnId, Context, ContextInfo, Nanos, ProcessId};
use crate::message::End;
use crate::trace_context::{SpanId, TraceContext};

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
    /// From then on its answer's end may have gone by unseen.
    blurred: Option<Nanos>,
    pub(super) over: Option<(Nanos, End)>,
    /// When it was over for certain: what follows a hole or a change of protocol ends unseen.
    gone: Option<Nanos>,
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
    /// Whether its end was seen.
    pub(super) const fn is_past(&self) -> bool {
        matches!(self.over, Some((_, end)) if !ends_unseen(end))
    }

    /// When it was over for certain.
    pub(super) const fn gone(&self) -> Option<Nanos> {
        self.gone
    }

    /// It was under way then, or its end had gone by unseen.
    pub(super) fn may_be_over(&self, at: Nanos) -> bool {
        let unseen = match self.over {
            None => self.blurred,
            Some((over, End::Lost)) => Some(self.blurred.map_or(over, |at| at.min(over))),
            Some(_) => None,
        };
        unseen.is_some_and(|unseen| unseen < at)
    }

    /// The connection spoke another protocol then.
    pub(super) fn was_upgraded(&self, at: Nanos) -> bool {
        matches!(self.over, Some((over, End::Upgraded)) if over < at)
    }

    /// Nothing more will be known of who serves it.
    pub(super) const fn is_settled(&self) -> bool {
        self.answered.is_some() || self.over.is_some()
    }
}

/// The connection goes on in a way that hides when the request is over.
const fn ends_unseen(end: End) -> bool {
    matches!(end, End::Lost | End::Upgraded)
}

/// The requests, and the contexts that have to do with them; both bounded.
#[derive(Debug)]
pub(super) struct Requests {
    map: HashMap<ExchangeKey, Request>,
    served: HashMap<ProcessId, Served>,
    /// Those that are over, oldest first, and some that are forgotten.
    past: VecDeque<ExchangeKey>,
    contexts: Contexts,
    capacity: usize,
}

impl Requests {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            map: HashMap::new(),
            served: HashMap::new(),
            past: VecDeque::new(),
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
        self.pass_earlier(process, key, at);
        if !self.make_room(process) {
            self.served.entry(process).or_default().miss();
            return false;
        }
        let alone = self.open_on(process, key.conn).is_empty();
        let waits_already = context.blocking && self.is_waited_for(process, key.conn, context.tid);
        let served = self.served.entry(process).or_default();
        served.hands_over |= waits_already;
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
            blurred: None,
            over: None,
            gone: None,
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

    /// From then on the end of its answer may go by unseen.
    pub(super) fn blurred(&mut self, key: ExchangeKey, at: Nanos) {
        if let Some(request) = self.map.get_mut(&key) {
            request.blurred.get_or_insert(at);
        }
    }

    /// It is over. Where its end is not seen, it is over when its connection is `closed` or has
    /// the next request.
    pub(super) fn over(
        &mut self,
        key: ExchangeKey,
        end: End,
        at: Nanos,
        process: Option<ProcessId>,
        closed: Option<Nanos>,
    ) {
        let next = ExchangeKey {
            exchange: key.exchange + 1,
            ..key
        };
        let next = self.map.get(&next).map(|next| next.start);
        let Some(request) = self.map.get_mut(&key) else {
            let served = process.and_then(|process| self.served.get_mut(&process));
            if let Some(served) = served {
                served.missed_is_over();
            }
            return;
        };
        request.over = Some((at, end));
        if !ends_unseen(end) {
            self.pass(key, at);
        } else if let Some(gone) = next.or(closed) {
            self.pass(key, gone.max(at));
        }
    }

    /// A connection is gone, and with it what was under way on it.
    pub(super) fn closed(&mut self, process: ProcessId, conn: ConnId, at: Nanos) {
        for key in self.open_on(process, conn) {
            let over = self.map.get(&key).and_then(|request| request.over);
            if let Some((over, _)) = over {
                self.pass(key, over.max(at));
            }
        }
    }

    /// Whether every request that the process served at that time is known.
    pub(super) fn knows(&self, process: ProcessId, at: Nanos) -> bool {
        let served = self.served.get(&process);
        served.is_none_or(|served| served.knows(at))
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
        let known = |key| self.map.get(&key).map(|request| (key, request));
        let since = served.since(at).filter_map(known);
        since.filter(|(_, request)| request.start <= at).collect()
    }

    /// The requests of a process that are remembered.
    pub(super) fn of(&self, process: ProcessId) -> Vec<ExchangeKey> {
        let served = self.served.get(&process);
        served.map(|s| s.all().collect()).unwrap_or_default()
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

    /// What ended unseen on a connection is over when the next request comes.
    fn pass_earlier(&mut self, process: ProcessId, next: ExchangeKey, at: Nanos) {
        for key in self.open_on(process, next.conn) {
            let over = self.map.get(&key).and_then(|request| request.over);
            if let Some((over, _)) = over {
                self.pass(key, over.max(at));
            }
        }
    }

    fn pass(&mut self, key: ExchangeKey, at: Nanos) {
        let Some(request) = self.map.get_mut(&key) else {
            return;
        };
        request.gone = Some(at);
        if let Some(served) = self.served.get_mut(&request.process) {
            served.pass(key, at);
        }
        self.past.push_back(key);
        if self.past.len() > 2 * self.map.len() + 64 {
            let map = &self.map;
            self.past.retain(|key| map.contains_key(key));
        }
    }

    fn open_on(&self, process: ProcessId, conn: ConnId) -> Vec<ExchangeKey> {
        let served = self.served.get(&process);
        served
            .map(|s| s.open_on(conn).collect())
            .unwrap_or_default()
    }

    /// Whether the thread waits for another connection's request already: then it serves several
    /// at once, and none of them alone.
    fn is_waited_for(&self, process: ProcessId, conn: ConnId, tid: u32) -> bool {
        let Some(served) = self.served.get(&process) else {
            return false;
        };
        let others = served.open.iter().filter(|key| key.conn != conn);
        let mut others = others.filter_map(|key| self.map.get(key));
        others.any(|r| {
            let ends_seen = r.over.is_none() && r.blurred.is_none();
            r.context.blocking && r.context.tid == tid && ends_seen
        })
    }

    /// Forgets the oldest request that is over where there are too many of the process or of all.
    fn make_room(&mut self, process: ProcessId) -> bool {
        if let Some(served) = self.served.get_mut(&process)
            && served.is_full()
        {
            let Some(oldest) = served.forget_oldest() else {
                return false;
            };
            self.remove(oldest);
        }
        while self.map.len() >= self.capacity {
            let Some(oldest) = self.past.pop_front() else {
                return false;
            };
            if let Some(request) = self.map.get(&oldest)
                && let Some(served) = self.served.get_mut(&request.process)
            {
                served.forget(oldest);
            }
            self.remove(oldest);
        }
        true
    }

    fn remove(&mut self, key: ExchangeKey) {
        if let Some(request) = self.map.remove(&key) {
            self.contexts
                .forget(key, &request.read_in, &request.written_in);
        }
    }
}
