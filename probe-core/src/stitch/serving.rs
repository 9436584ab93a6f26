//! Parents inside a process: what comes in about requests, and what calls wait for it.

use super::Stitcher;
use super::calls::Live;
use super::inside::{Caller, Verdict, Why, judge};
use super::lineage::{Lineage, Source};
use super::render;
use crate::call::{Answered, Asked, Call, CallKey, CallKind, Capture, ExchangeKey, Timing};
use crate::ids::{ConnId, ContextInfo, Nanos, ProcessId, Role};
use crate::message::End;
use crate::span::Span;
use crate::trace_context::{SpanId, TraceContext};

/// Hops from a call up to the first of its trace that are looked at.
const MOST_HOPS: u32 = 64;

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

    /// It began to answer.
    pub fn answered(&mut self, answered: &Answered) {
        self.requests.answered(answered);
        self.wake_waiters(answered.key);
    }

    /// The request is over; if it was a call, that has been finished.
    pub fn over(&mut self, key: ExchangeKey, end: End, at: Nanos, now: Nanos, out: &mut Vec<Span>) {
        self.requests.over(key, end, at);
        self.wake_waiters(key);
        self.settle(now, out);
    }

    /// The requests of a process that has ended are forgotten; who waits for them leaves.
    pub(super) fn requests_gone(&mut self, process: ProcessId) {
        for key in self.requests.gone(process) {
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
            session: call.and_then(|c| c.http.session_id.as_deref()),
            other_end: self.connections.get(key.conn).and_then(|c| c.peer),
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
        let full = self.waiting.len() >= self.config.max_waiting;
        Some(match verdict {
            Verdict::Wait(_) if full && !self.waiting.contains(&key) => Verdict::None(Why::Crowded),
            other => other,
        })
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
        match live.role {
            Role::Client => {
                self.client_blocker(key, live, Some(call), call.trace.as_ref(), now, hops)
            }
            Role::Server => {
                let peer = live.peer?;
                let client = self.calls.get(&peer)?;
                let finished = client.call.as_deref();
                let trace = match finished {
                    Some(call) => call.trace.as_ref(),
                    None => call.trace.as_ref().or(client.header.as_ref()),
                };
                self.client_blocker(peer, client, finished, trace, now, hops)
            }
        }
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
                (!self.can_be_named(request, now, hops)).then_some(request)
            }
            Verdict::None(_) => None,
        }
    }

    /// Whether the span of a request may be named now: it has left, or its own place is certain.
    fn can_be_named(&self, request: ExchangeKey, now: Nanos, hops: u32) -> bool {
        let Some(known) = self.requests.get(request) else {
            return true;
        };
        if known.place.is_some() {
            return true;
        }
        let Some((key, live)) = self.server_of(request) else {
            return known.over.is_some();
        };
        let Some(hops) = hops.checked_sub(1) else {
            return true;
        };
        live.call.is_some()
            && self.blocked_by(key, now, hops).is_none()
            && !self.is_lonely(key, live, now)
    }

    /// The other end of a server's call may still be found.
    fn is_lonely(&self, key: CallKey, live: &Live, now: Nanos) -> bool {
        let has_client = live.peer.is_some() || live.client.is_some();
        !has_client && now < live.deadline && self.connections.may_have_peer(key.conn)
    }

    /// The server's call of an exchange, where it is one.
    fn server_of(&self, request: ExchangeKey) -> Option<(CallKey, &Live)> {
        let key = CallKey {
            conn: request.conn,
            exchange: request.exchange,
            part: 0,
        };
        let live = self.calls.get(&key)?;
        (live.role == Role::Server).then_some((key, live))
    }

    pub(super) fn wait_for(&mut self, request: ExchangeKey, key: CallKey) {
        self.waiting.insert(key);
        let list = self.waiters.entry(request).or_default();
        if !list.contains(&key) {
            list.push(key);
        }
    }

    fn wake_waiters(&mut self, request: ExchangeKey) {
        self.wake
            .extend(self.waiters.remove(&request).unwrap_or_default());
    }

    /// A server's call has ended and waits: its place may be certain by now.
    pub(super) fn wake_children(&mut self, key: CallKey) {
        if self.calls.get(&key).is_some_and(|l| l.role == Role::Server) {
            self.wake_waiters(key.into());
        }
    }

    /// A server's span has left: it can be named from now on.
    pub(super) fn placed(&mut self, key: CallKey, span: SpanId, lineage: Lineage) {
        let request = ExchangeKey::from(key);
        if let Some(known) = self.requests.get_mut(request) {
            known.place.get_or_insert((span, lineage));
        }
        self.wake_waiters(request);
    }

    /// Calls on this connection wait for a request and want to know its addresses then.
    pub(super) fn must_stay(&self, conn: ConnId) -> bool {
        let calls = self.connections.get(conn).map(|c| c.calls.as_slice());
        calls
            .unwrap_or_default()
            .iter()
            .any(|key| self.waiting.contains(key))
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
            // The end came first.
            Verdict::Wait(_) => {
                counters.crowded += 1;
                return None;
            }
        };
        let (span, lineage) = self.name(request)?;
        *match source {
            Source::Exact => &mut self.counters.exact,
            _ => &mut self.counters.inferred,
        } += 1;
        Some(lineage.child(span, source))
    }

    /// The span of a request and its place, which stand from now on.
    fn name(&mut self, request: ExchangeKey) -> Option<(SpanId, Lineage)> {
        if let Some(place) = self.requests.get(request)?.place.clone() {
            return Some(place);
        }
        let place = match self.server_of(request).map(|(key, _)| key) {
            Some(key) => self.name_call(key)?,
            None => self.name_plain(request)?,
        };
        self.requests.get_mut(request)?.place = Some(place.clone());
        Some(place)
    }

    /// A server's call that has ended gets its place, and will leave with it.
    fn name_call(&mut self, key: CallKey) -> Option<(SpanId, Lineage)> {
        self.calls.get(&key)?.call.as_ref()?;
        let mut live = self.calls.remove(&key)?;
        let lineage = live
            .call
            .as_deref()
            .map(|call| self.server_lineage(&live, call));
        let span = live.span;
        live.settled.clone_from(&lineage);
        self.calls.insert(key, live);
        Some((span, lineage?))
    }

    /// A request that was no call becomes a span because one of its calls names it.
    fn name_plain(&mut self, request: ExchangeKey) -> Option<(SpanId, Lineage)> {
        let known = self.requests.get(request)?;
        let (end, ended) = known.over?;
        let call = Call {
            key: CallKey {
                conn: request.conn,
                exchange: request.exchange,
                part: 0,
            },
            process: known.process,
            role: Role::Server,
            context: known.context,
            response_context: known.answered.map(|(by, _)| by),
            start: known.start,
            end,
            ended,
            http: known.http.clone(),
            trace: known.trace.clone(),
            header_trace: None,
            timing: Timing::default(),
            kind: CallKind::Http,
            error: None,
            capture: Capture::default(),
            content: None,
        };
        let lineage = self.own_lineage(call.trace.as_ref());
        let id = self.ids.span();
        let span = render::span(&self.view(&call, None, None), id, &lineage);
        self.evicted.push(span);
        Some((id, lineage))
    }
}
