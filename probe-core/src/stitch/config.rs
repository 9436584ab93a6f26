//! How the stitcher works, and what it counts.

use crate::conventions::Conventions;
use crate::ids::Nanos;

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
    /// The most requests that are remembered, calls or not, and the most contexts.
    pub max_requests: usize,
    /// The most finished calls that wait for the answer of a request that may be their parent; one
    /// process may have as many of them as there are places left.
    pub max_waiting: usize,
    /// How long a finished call waits for requests that have not come to their own end: their
    /// clients may never send it.
    pub short_wait: Nanos,
    /// How long it waits for any request.
    pub long_wait: Nanos,
    /// Whether an answer that was cut at the limit of tokens is an error (`error.type` `length`).
    pub truncation_is_error: bool,
    /// Whether model calls are left to the client's own SDK where that reports them
    /// ([`crate::span::Span::left`]).
    pub leave_to_sdk: bool,
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
            max_requests: 65_536,
            max_waiting: 8192,
            short_wait: 10_000_000_000,
            long_wait: 300_000_000_000,
            truncation_is_error: true,
            leave_to_sdk: true,
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
    /// Calls whose parent is the request that their process served, for certain.
    pub exact: u64,
    /// The same, inferred.
    pub inferred: u64,
    /// Calls without a parent: their process served no request.
    pub idle: u64,
    /// Calls without a parent: their process served several requests, and nothing tells which.
    pub several: u64,
    /// Calls without a parent: their context worked for none of the requests.
    pub other: u64,
    /// Calls without a parent: their context worked for several requests.
    pub shared: u64,
    /// Calls without a parent: too many waited to be told.
    pub crowded: u64,
    /// Calls without a parent: what would tell did not come in time.
    pub undecided: u64,
    /// Requests that were answered by another than the one that calls, which left before, took for
    /// their servant: those parents were wrong.
    pub contradicted: u64,
    /// Requests that were not kept because there were too many.
    pub requests_refused: u64,
    /// Agent cards that were not kept because there were too many.
    pub cards_refused: u64,
}
