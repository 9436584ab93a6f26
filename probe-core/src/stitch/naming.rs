//! The spans of requests that calls were made for: they may be named before they leave.

use super::Stitcher;
use super::calls::Live;
use super::lineage::Lineage;
use super::render::{self, Stub};
use super::requests::Place;
use super::serving::MOST_HOPS;
use crate::call::{Call, CallKey, CallKind, Capture, ExchangeKey, Timing};
use crate::ids::{Nanos, Role};
use crate::message::End;
use crate::span::Span;
use crate::trace_context::{SpanId, TraceContext};

impl Stitcher {
    /// What must come before the span of a request can be named; `None` where nothing must.
    pub(super) fn naming_blocker(
        &self,
        request: ExchangeKey,
        now: Nanos,
        hops: u32,
    ) -> Option<ExchangeKey> {
        let known = self.requests.get(request)?;
        if known.place.is_some() {
            return None;
        }
        let late = known.start.saturating_add(self.config.short_wait);
        if !known.read && known.over.is_none() && now < late {
            return Some(request);
        }
        let (key, live) = self.server_of(request)?;
        let hops = hops.checked_sub(1)?;
        let call = live.call.as_deref();
        let trace = call.map_or(known.trace.as_ref(), |call| call.trace.as_ref());
        self.server_blocker(live, trace, now, hops)
            .or_else(|| self.is_lonely(key, live, now).then_some(request))
    }

    /// The other end of a server's call may still be found.
    fn is_lonely(&self, key: CallKey, live: &Live, now: Nanos) -> bool {
        if live.peer.is_some() || live.client.is_some() {
            return false;
        }
        if live.call.is_some() {
            return now < live.deadline && self.connections.may_have_peer(key.conn);
        }
        // Who is seen to ask was seen before it was answered.
        let conn = self.connections.get(key.conn);
        conn.is_some_and(|conn| conn.peer.is_some())
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

    /// The span of a request and its place, which stand from now on.
    pub(super) fn name(&mut self, request: ExchangeKey) -> Option<(SpanId, Lineage)> {
        if let Some(place) = self.place(request) {
            return Some(place);
        }
        let going_round = self.naming.contains(&request);
        if going_round || self.naming.len() >= MOST_HOPS as usize {
            return None;
        }
        let trace = self.requests.get(request)?.trace.clone();
        self.naming.push(request);
        let place = match self.server_of(request).map(|(key, _)| key) {
            Some(key) => self.name_call(key, trace.as_ref()),
            None => Some((self.ids.span(), self.own_lineage(trace.as_ref()))),
        };
        self.naming.pop();
        let (span, lineage) = place?;
        let known = self.requests.get_mut(request)?;
        let over = known.over.is_some();
        known.place = Some(Place {
            span,
            lineage: lineage.clone(),
            exported: false,
        });
        if over {
            self.owe(request);
        }
        Some((span, lineage))
    }

    /// The span of a request and its place, if it was named before.
    pub(super) fn place(&self, request: ExchangeKey) -> Option<(SpanId, Lineage)> {
        let place = self.requests.get(request)?.place.as_ref()?;
        Some((place.span, place.lineage.clone()))
    }

    /// A server's call gets its place, and will leave with it.
    fn name_call(
        &mut self,
        key: CallKey,
        trace: Option<&TraceContext>,
    ) -> Option<(SpanId, Lineage)> {
        let mut live = self.calls.remove(&key)?;
        let trace = live.call.as_deref().map_or(trace, |c| c.trace.as_ref());
        let lineage = self.server_lineage(&live, live.call.as_deref(), trace);
        live.settled = Some(lineage.clone());
        let (span, client) = (live.span, live.peer);
        self.calls.insert(key, live);
        // This has named the client's span: that leaves too, whatever becomes of its call.
        let stub = self.request_span(key.into(), span, &lineage);
        let stub = stub.map(|span| Box::new(Stub::of(&span, self.config.conventions)));
        if let Some(client) = client.and_then(|client| self.calls.get_mut(&client)) {
            client.stub = client.stub.take().or(stub);
        }
        Some((span, lineage))
    }

    /// A server's span has left: it can be named from now on.
    pub(super) fn placed(&mut self, key: CallKey, span: SpanId, lineage: Lineage) {
        let request = ExchangeKey::from(key);
        // The other parts of a batch have spans of their own.
        let first = key.part == 0;
        if let Some(known) = self.requests.get_mut(request).filter(|_| first) {
            let place = known.place.get_or_insert(Place {
                span,
                lineage,
                exported: true,
            });
            place.exported |= place.span == span;
        }
        self.wake_waiters(request);
    }

    /// A request that was named and turned out no call becomes a span all the same.
    pub(super) fn owe(&mut self, request: ExchangeKey) {
        if self.server_of(request).is_some() {
            return;
        }
        let Some(known) = self.requests.get_mut(request) else {
            return;
        };
        let Some(place) = known.place.as_mut().filter(|place| !place.exported) else {
            return;
        };
        place.exported = true;
        let (id, lineage) = (place.span, place.lineage.clone());
        let span = self.request_span(request, id, &lineage);
        self.evicted.extend(span);
    }

    /// The span of a request that is no call, or is not known to be one.
    fn request_span(&self, request: ExchangeKey, id: SpanId, lineage: &Lineage) -> Option<Span> {
        let known = self.requests.get(request)?;
        let answered = known.answered.map(|(_, at)| at);
        let unknown = (answered.unwrap_or(known.start), End::Lost);
        let (end, ended) = known.over.unwrap_or(unknown);
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
        Some(render::span(&self.view(&call, None, None), id, lineage))
    }
}
