//! Calls in, spans with parents out.
//!
//! A call becomes one span, as soon as its place is known: most leave with the call's last byte.
//! What it is is known [`Config::hold`] after its end at the latest; who its parent is may have
//! to wait for the answer of a request that its process serves. Such calls are told of before,
//! by [`Stitcher::ended`].
//!
//! - `connections` finds the two ends of a connection (`translated` those that a Service stands
//!   between), `joining` the two ends of a call.
//! - `waiting` says when a call is complete, `decide` what it is, `parents` who its parent is, and
//!   `release` lets it go.
//! - `requests`, `served` and `contexts` keep what processes serve and how, `inside` and `descent`
//!   judge which request a call was made for, `serving` and `waiters` wait for that, `naming`
//!   names its span.
//! - `agents`, `hops` and `counted` keep agents, proxies, a server's own helpers and the second of
//!   two ends out of the sums.
//! - `render` writes names and attributes.
//!
//! Invariant: no span names a parent that neither stood on the wire nor is exported by us. A
//! client's span that a server's span has named is exported whatever becomes of its call.

mod address;
mod agents;
mod calls;
mod config;
mod connections;
mod contexts;
mod counted;
mod decide;
mod descent;
pub mod facts;
mod hops;
mod ids;
mod inside;
mod joining;
mod lineage;
mod naming;
mod parents;
mod processes;
mod release;
mod render;
mod requests;
mod served;
mod serving;
#[cfg(test)]
mod tests;
mod timers;
mod translated;
mod waiters;
mod waiting;

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use self::calls::Live;
pub use self::config::{Config, Counters};
use self::connections::Connections;
use self::counted::Counted;
use self::facts::ProcessFacts;
use self::ids::IdSource;
use self::processes::Processes;
use self::requests::Requests;
use self::timers::{Timer, Timers};
use self::waiters::Waiters;
use crate::call::{Call, CallKey, ExchangeKey, Started};
use crate::ids::{ConnId, ConnInfo, Nanos, ProcessId};
use crate::message::End;
use crate::span::Span;

/// Gives calls their parents and makes spans of them.
#[derive(Debug)]
pub struct Stitcher {
    config: Config,
    ids: IdSource,
    connections: Connections,
    processes: Processes,
    counted: Counted,
    calls: HashMap<CallKey, Live>,
    requests: Requests,
    waiters: Waiters,
    /// Calls whose readiness may have changed.
    wake: VecDeque<CallKey>,
    timers: Timers,
    /// The requests whose spans are being named.
    naming: Vec<ExchangeKey>,
    /// Calls that have ended and whose place is not settled, until the caller takes them.
    told: Vec<Span>,
    /// Spans that left to make room, or because they were named, until the caller takes spans
    /// again.
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
            counted: Counted::default(),
            calls: HashMap::new(),
            requests: Requests::new(config.max_requests),
            waiters: Waiters::default(),
            wake: VecDeque::new(),
            timers: Timers::default(),
            naming: Vec::new(),
            told: Vec::new(),
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
            self.forget(oldest, Nanos::MAX, &mut evicted);
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
            self.requests.closed(conn.process, id, now);
            self.timers
                .add(now.saturating_add(self.config.linger), Timer::Forget(id));
        }
    }

    /// A process was discovered, or its facts changed (exec).
    pub fn process_seen(&mut self, id: ProcessId, facts: ProcessFacts) {
        if !self.processes.seen(id, facts) {
            self.counters.processes_refused += 1;
        }
        self.wake_for_facts(id);
    }

    /// A process ended; its calls are finished before or soon after.
    pub fn process_gone(&mut self, id: ProcessId, now: Nanos) {
        let at = now.saturating_add(self.config.linger);
        for key in self.processes.gone(id) {
            self.timers.add(at, Timer::Abandon(key));
        }
        self.timers.add(at, Timer::Gone(id));
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

    /// Calls that have ended, before their spans leave: all of the span is known but its trace, its
    /// parent and its links. The span follows, marked [`Span::late`]. Sums take a call here, or at
    /// its span where that is not late.
    pub fn ended(&mut self) -> impl Iterator<Item = Span> + '_ {
        self.told.drain(..)
    }

    /// A call ended. Pushes the spans that can leave now; `now` is the clock, not the call's end.
    pub fn finished(&mut self, call: Call, now: Nanos, out: &mut Vec<Span>) {
        self.learn_card(&call);
        if self.begin(&as_started(&call)) {
            self.note(call, now);
        } else if !call.kind.is_card() {
            self.release_alone(&call, out);
        }
        self.settle(now, out);
    }

    /// Lets go what has waited long enough.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Span>) {
        self.settle(now, out);
        while let Some(timer) = self.timers.due(now) {
            match timer {
                Timer::Release(key) => self.expire(key, now, out),
                Timer::Impatient(key) => self.lose_patience(key),
                Timer::Abandon(key) => self.abandon_unfinished(key, out),
                Timer::Forget(conn) if self.must_stay(conn) => {
                    let later = now.saturating_add(self.config.linger);
                    self.timers.add(later, Timer::Forget(conn));
                }
                Timer::Forget(conn) => self.forget(conn, now, out),
                Timer::Gone(process) => self.requests_gone(process, out),
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
        // Nothing more will be told.
        self.config.max_waiting = 0;
        self.waiters = Waiters::default();
        // Inner calls first, as they would have left.
        let mut calls: Vec<_> = self
            .calls
            .iter()
            .map(|(key, live)| (live.start, *key))
            .collect();
        calls.sort_unstable_by_key(|(start, k)| Reverse((*start, k.conn, k.exchange, k.part)));
        for (_, key) in &calls {
            self.release(*key, out);
        }
        for (_, key) in calls {
            self.abandon(key, out);
        }
        for request in self.requests.owed() {
            self.owe(request);
        }
        self.wake.clear();
        out.append(&mut self.evicted);
    }

    /// Forgets a connection; its last calls leave while its addresses are still known.
    fn forget(&mut self, id: ConnId, now: Nanos, out: &mut Vec<Span>) {
        let Some(conn) = self.connections.get(id) else {
            return;
        };
        let (process, closed) = (conn.process, conn.closed);
        for key in conn.calls.clone() {
            self.expire(key, now, out);
            self.abandon_unfinished(key, out);
        }
        if closed.is_none() {
            // Nobody will say when this one closes.
            self.requests.closed(process, id, 0);
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
