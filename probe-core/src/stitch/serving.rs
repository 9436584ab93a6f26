//! Parents inside a process: what comes in about requests, and which calls wait for it.

use super::Stitcher;
use super::calls::Live;
use super::inside::{Caller, Patience, Verdict, Why, judge};
use super::lineage::{Lineage, Source};
use super::timers::Timer;
use crate::call::{Answered, Asked, Call, CallKey, ExchangeKey};
use crate::ids::{ConnId, ContextInfo, Nanos, ProcessId, Role};
use crate::message::End;
use crate::span::Span;
use crate::trace_context::TraceContext;

/// Hops from a call up to the first of its trace that are looked at.
pub(super) const MOST_HOPS: u32 = 64;

impl Stitcher {
    /// A context of a runtime was seen for the first time.
    pub fn context(&mut self, info: &ContextInfo) {
        self.requests.context(info);
    }

    /// A process began to serve a request, a call or not.
    pub fn asked(&mut self, asked: Asked) {
        let accepted = self
            .connections
            .get(asked.key.conn)
            .and_then(|conn| conn.accepted);
        if !self.requests.asked(asked, accepted) {
            self.counters.requests_refused += 1;
        }
    }

    /// All of the request has come, with the trace context inside it if there is one.
    pub fn read(&mut self, key: ExchangeKey, inner: Option<TraceContext>) {
        self.requests.read(key, inner);
        self.wake_waiters(key);
    }

    /// The process began to answer.
    pub fn answered(&mut self, answered: &Answered) {
        if !self.requests.answered(answered) {
            self.counters.contradicted += 1;
        }
        self.wake_waiters(answered.key);
        let of_writer = self.waiters.of_context(answered.context.token);
        self.wake.extend(of_writer);
    }

    /// From this time on the end of the request's answer may go by unseen.
    pub fn blurred(&mut self, key: ExchangeKey, at: Nanos) {
        self.requests.blurred(key, at);
    }

    /// The request is over; if it was a call, that has been finished.
    pub fn over(&mut self, key: ExchangeKey, end: End, at: Nanos, now: Nanos, out: &mut Vec<Span>) {
        let conn = self.connections.get(key.conn);
        let (process, closed) = match conn {
            Some(conn) => (Some(conn.process), conn.closed),
            None => (None, Some(at)),
        };
        self.requests.over(key, end, at, process, closed);
        self.owe(key);
        self.wake_waiters(key);
        self.settle(now, out);
    }

    /// The requests of a process that has ended are forgotten; who waits for them leaves.
    pub(super) fn requests_gone(&mut self, process: ProcessId, out: &mut Vec<Span>) {
        let keys = self.requests.of(process);
        for key in &keys {
            let first = CallKey {
                conn: key.conn,
                exchange: key.exchange,
                part: 0,
            };
            self.abandon_unfinished(first, out);
            self.owe(*key);
        }
        self.requests.gone(process);
        for key in keys {
            self.wake_waiters(key);
        }
    }

    /// Which request of its process a client's call was made for; `None` for a server's call,
    /// and for one with a trace context of its own, which is its parent.
    pub(super) fn verdict(
        &self,
        key: CallKey,
        live: &Live,
        call: Option<&Call>,
        trace: Option<&TraceContext>,
    ) -> Option<Verdict> {
        if live.role == Role::Server {
            return None;
        }
        let caller = Caller {
            process: live.process,
            context: live.context,
            start: live.start,
            trace,
            session: call.map_or_else(
                || self.session_at_peer(live),
                |call| call.http.session_id.as_deref(),
            ),
            other_end: self.connections.get(key.conn).and_then(|c| c.peer),
            patience: live.patience,
        };
        if trace.is_some() && !self.is_passed_on(&caller) {
            return None;
        }
        // A request that the server makes inside its answer belongs to what it answers.
        let within = ExchangeKey::from(key);
        if self.requests.get(within).is_some() {
            return Some(Verdict::Exact(within));
        }
        let verdict = judge(&self.requests, &caller);
        Some(match verdict {
            Verdict::Wait(_) if !self.may_wait(key) => Verdict::None(Why::Crowded),
            other => other,
        })
    }

    /// The session that a call under way names, as its other end has read it.
    fn session_at_peer(&self, live: &Live) -> Option<&str> {
        let server = self.requests.get(live.peer?.into())?;
        server.http.session_id.as_deref()
    }

    /// Whether the call's trace context is the one that came with a request: the process passes
    /// it on, and has none of its own.
    fn is_passed_on(&self, caller: &Caller<'_>) -> bool {
        let of = |t: &TraceContext| (t.trace, t.parent);
        let flight = self.requests.in_flight(caller.process, caller.start);
        let own = caller.trace.map(of);
        flight
            .iter()
            .any(|(_, request)| request.trace.as_ref().map(of) == own)
    }

    /// The request that a finished call waits for before it can leave.
    pub(super) fn blocker(&self, key: CallKey, now: Nanos) -> Option<ExchangeKey> {
        self.blocked_by(key, now, MOST_HOPS)
    }

    fn blocked_by(&self, key: CallKey, now: Nanos, hops: u32) -> Option<ExchangeKey> {
        let live = self.calls.get(&key)?;
        let call = live.call.as_deref()?;
        if live.patience == Patience::Over {
            return None;
        }
        match live.role {
            Role::Client => {
                self.client_blocker(key, live, Some(call), call.trace.as_ref(), now, hops)
            }
            Role::Server => self.server_blocker(live, call.trace.as_ref(), now, hops),
        }
    }

    /// What the place of a server's call waits for, whose request has this trace context: the
    /// place of its client's.
    pub(super) fn server_blocker(
        &self,
        live: &Live,
        trace: Option<&TraceContext>,
        now: Nanos,
        hops: u32,
    ) -> Option<ExchangeKey> {
        let peer = live.peer?;
        let client = self.calls.get(&peer)?;
        let finished = client.call.as_deref();
        let trace = match finished {
            Some(call) => call.trace.as_ref(),
            None => trace.or(client.header.as_ref()),
        };
        self.client_blocker(peer, client, finished, trace, now, hops)
    }

    fn client_blocker(
        &self,
        key: CallKey,
        live: &Live,
        call: Option<&Call>,
        trace: Option<&TraceContext>,
        now: Nanos,
        hops: u32,
    ) -> Option<ExchangeKey> {
        if live.settled.is_some() {
            return None;
        }
        match self.verdict(key, live, call, trace)? {
            Verdict::Wait(request) => Some(request),
            Verdict::Exact(request) | Verdict::Inferred(request) => {
                self.naming_blocker(request, now, hops)
            }
            Verdict::None(_) => None,
        }
    }

    /// The call waits already, or there is room for one more that does.
    pub(super) fn may_wait(&self, key: CallKey) -> bool {
        let room = |live: &Live| self.waiters.has_room(live.process, self.config.max_waiting);
        self.waiters.has(key) || self.calls.get(&key).is_some_and(room)
    }

    /// A finished call waits for this request; not for ever.
    pub(super) fn wait_for(&mut self, request: ExchangeKey, key: CallKey) {
        let Some(live) = self.calls.get(&key) else {
            return;
        };
        let until = live.end().saturating_add(self.config.short_wait);
        let context = live.context.token;
        if self.waiters.wait(key, live.process, context, request) {
            self.timers.add(until, Timer::Impatient(key));
        }
    }

    /// The call has waited long: fewer answers count.
    pub(super) fn lose_patience(&mut self, key: CallKey) {
        let Some(live) = self.calls.get_mut(&key).filter(|l| l.call.is_some()) else {
            return;
        };
        if live.patience == Patience::Whole {
            live.patience = Patience::Short;
            let until = live.end().saturating_add(self.config.long_wait);
            self.timers.add(until, Timer::Impatient(key));
        } else {
            live.patience = Patience::Over;
        }
        self.wake.push_back(key);
    }

    pub(super) fn wake_waiters(&mut self, request: ExchangeKey) {
        self.wake.extend(self.waiters.wake(request));
    }

    /// A server's call has ended and waits: its place may be certain by now.
    pub(super) fn wake_children(&mut self, key: CallKey) {
        if self.calls.get(&key).is_some_and(|l| l.role == Role::Server) {
            self.wake_waiters(key.into());
        }
    }

    /// Calls on this connection wait for a request and want to know its addresses then.
    pub(super) fn must_stay(&self, conn: ConnId) -> bool {
        let calls = self.connections.get(conn).map(|c| c.calls.as_slice());
        calls
            .unwrap_or_default()
            .iter()
            .any(|key| self.waiters.has(*key) || self.is_awaited_card(*key))
    }

    /// The place below the request that the verdict names; counts what it says.
    pub(super) fn inside_lineage(&mut self, verdict: Option<Verdict>) -> Option<Lineage> {
        let counters = &mut self.counters;
        let (request, source) = match verdict? {
            Verdict::Exact(request) => (request, Source::Exact),
            Verdict::Inferred(request) => (request, Source::Inferred),
            Verdict::None(why) => {
                *match why {
                    Why::Idle => &mut counters.idle,
                    Why::Several => &mut counters.several,
                    Why::Other => &mut counters.other,
                    Why::Shared => &mut counters.shared,
                    Why::Crowded => &mut counters.crowded,
                } += 1;
                return None;
            }
            Verdict::Wait(_) => {
                counters.undecided += 1;
                return None;
            }
        };
        let Some((span, lineage)) = self.name(request) else {
            self.counters.undecided += 1;
            return None;
        };
        if source == Source::Exact
            && let Some(known) = self.requests.get_mut(request)
        {
            known.early |= !known.is_settled();
        }
        *match source {
            Source::Exact => &mut self.counters.exact,
            _ => &mut self.counters.inferred,
        } += 1;
        Some(lineage.child(span, source))
    }
}
