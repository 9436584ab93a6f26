//! A call while it is under way.

use super::decide::Decided;
use super::inside::Patience;
use super::lineage::Lineage;
use super::render::Stub;
use crate::call::{Call, CallKey, Inference, Operation, Started};
use crate::ids::{Context, Nanos, ProcessId, Role};
use crate::stitch::Stitcher;
use crate::trace_context::{SpanId, TraceContext};

/// A connection has one call under way, or a few with pipelining and batches.
const MAX_CALLS_PER_CONNECTION: usize = 1024;

/// What inner calls a server's call was seen to make: it forwards these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forwards {
    generation: bool,
    embeddings: bool,
}

impl Forwards {
    /// A call of this operation was made in the meantime.
    pub(super) const fn note(&mut self, operation: Operation) {
        match operation {
            Operation::Chat | Operation::TextCompletion => self.generation = true,
            Operation::Embeddings => self.embeddings = true,
        }
    }

    /// Whether a call of this operation is forwarded. A chat that asks for embeddings on its way
    /// answers from a model of its own.
    pub(super) const fn covers(self, inference: &Inference) -> bool {
        match inference.operation {
            Operation::Chat | Operation::TextCompletion => self.generation,
            Operation::Embeddings => self.embeddings,
        }
    }
}

/// What a server's end that has left tells its client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Far {
    /// What it forwarded.
    pub(super) forwards: Forwards,
    /// Its usage was lost with bytes that were not captured: the client's span counts instead.
    pub(super) defers: bool,
}

/// A call from its first byte until its span leaves.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) role: Role,
    pub(super) process: ProcessId,
    pub(super) start: Nanos,
    /// What moved its request's first byte.
    pub(super) context: Context,
    /// Its span's id, given early so that the other end can name it.
    pub(super) span: SpanId,
    /// The context of the request's headers.
    pub(super) header: Option<TraceContext>,
    /// The call at the connection's other end, while that is under way too.
    pub(super) peer: Option<CallKey>,
    /// Its place in its trace, settled when another span named it.
    pub(super) settled: Option<Lineage>,
    /// What a client's span is made of when its call never ends.
    pub(super) stub: Option<Box<Stub>>,
    /// The server's end of a client's call has ended.
    pub(super) far: Option<Far>,
    /// The client's end of a server's call left before: the place that it gives this one.
    pub(super) client: Option<Lineage>,
    /// A client's call whose server's span took its own place, not one below it.
    pub(super) passed_over: bool,
    /// What a server's process was seen to forward meanwhile.
    pub(super) forwards: Forwards,
    /// The call, once it has ended.
    pub(super) call: Option<Box<Call>>,
    /// What it is, once that is known.
    pub(super) decided: Option<Box<Decided>>,
    /// When it leaves at the latest.
    pub(super) deadline: Nanos,
    /// It has ended and waits; a timer will let it go.
    pub(super) held: bool,
    /// How long it waits for what may tell its parent.
    pub(super) patience: Patience,
    /// It should have ended; a timer will take it away.
    pub(super) doubted: bool,
}

impl Live {
    /// When it ended; the end of time while it runs.
    pub(super) fn end(&self) -> Nanos {
        self.call.as_ref().map_or(Nanos::MAX, |c| c.end)
    }

    /// A server's call that the span of a call inside its process has named.
    pub(super) const fn is_named_server(&self) -> bool {
        matches!(self.role, Role::Server) && self.settled.is_some()
    }

    /// Both were under way at some time.
    /// `late` is how much later than it happened the client's begin may have been seen. The
    /// server's is seen before its answer is written, so before the client's end.
    pub(super) fn overlaps(&self, other: &Self, late: Nanos) -> bool {
        let (client, server) = match self.role {
            Role::Client => (self, other),
            Role::Server => (other, self),
        };
        server.start <= client.end() && client.start <= server.end().saturating_add(late)
    }
}

impl Stitcher {
    /// Makes room for a call; false when there is none. A call that is there already stays.
    pub(super) fn begin(&mut self, started: &Started) -> bool {
        let Started {
            key, role, process, ..
        } = *started;
        if self.calls.contains_key(&key) {
            return true;
        }
        let crowded = self
            .connections
            .get(key.conn)
            .is_some_and(|c| c.calls.len() >= MAX_CALLS_PER_CONNECTION);
        let full = crowded || self.calls.len() >= self.config.max_calls;
        if full || !self.processes.begin(process, role, key) {
            self.counters.calls_refused += 1;
            return false;
        }
        if let Some(conn) = self.connections.get_mut(key.conn) {
            conn.calls.push(key);
        }
        self.connections.plays(key.conn, role);
        // A server's call that a child has named before it was known to be one keeps its place.
        let place = if role == Role::Server && key.part == 0 {
            self.place(key.into())
        } else {
            None
        };
        let (span, settled) = match place {
            Some((span, lineage)) => (span, Some(lineage)),
            None => (self.ids.span(), None),
        };
        self.calls.insert(
            key,
            Live {
                role,
                process,
                start: started.at,
                context: started.context,
                span,
                header: started.header_trace.clone(),
                peer: None,
                settled,
                stub: None,
                far: None,
                client: None,
                passed_over: false,
                forwards: Forwards::default(),
                call: None,
                decided: None,
                deadline: Nanos::MAX,
                held: false,
                patience: Patience::default(),
                doubted: false,
            },
        );
        true
    }

    /// Takes a call out of every list.
    pub(super) fn take(&mut self, key: CallKey) -> Option<Live> {
        let live = self.calls.remove(&key)?;
        self.waiters.leave(key);
        self.processes.end(live.process, live.role, key);
        if live.role == Role::Client {
            self.wake_servers_of(live.process);
        }
        if let Some(conn) = self.connections.get_mut(key.conn) {
            conn.calls.retain(|k| *k != key);
        }
        Some(live)
    }
}
