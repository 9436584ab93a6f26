//! How a call leaves.

use super::Stitcher;
use super::agents::Agent;
use super::calls::{Far, Live};
use super::lineage::Lineage;
use super::parents::below;
use super::render::{self, Stub, View};
use crate::call::{Call, CallKey, CallKind, ExchangeKey};
use crate::ids::{Nanos, Role};
use crate::span::Span;

impl Stitcher {
    /// Lets go every call that was woken and need not wait.
    pub(super) fn settle(&mut self, now: Nanos, out: &mut Vec<Span>) {
        out.append(&mut self.evicted);
        while let Some(key) = self.wake.pop_front() {
            self.try_join(key);
            if self.is_ready(key, now) {
                self.place_or_wait(key, now, out);
            } else {
                self.hold(key);
                self.wake_children(key);
            }
        }
        out.append(&mut self.evicted);
    }

    /// Lets a finished call go whose time to wait is over.
    pub(super) fn expire(&mut self, key: CallKey, now: Nanos, out: &mut Vec<Span>) {
        if self.calls.get(&key).is_none_or(|l| l.call.is_none()) {
            return;
        }
        if self.is_awaited_card(key) {
            // Who waits may name it now.
            self.wake_children(key);
            return;
        }
        self.counters.hold_expired += 1;
        self.place_or_wait(key, now, out);
    }

    /// Lets a call go whose parent is settled; tells of others, that they have ended.
    fn place_or_wait(&mut self, key: CallKey, now: Nanos, out: &mut Vec<Span>) {
        if !self.decide(key, out) {
            return;
        }
        match self.blocker(key, now) {
            Some(request) if self.may_wait(key) => {
                self.tell(key);
                self.wait_for(request, key);
            }
            _ => self.release(key, out),
        }
    }

    /// Lets a finished call go as a span; does nothing with an unfinished one.
    pub(super) fn release(&mut self, key: CallKey, out: &mut Vec<Span>) {
        if !self.decide(key, out) {
            return;
        }
        let Some(mut live) = self.take(key) else {
            return;
        };
        let Some(call) = live.call.take() else {
            return;
        };
        let is_named = live.settled.is_some();
        let lineage = match live.role {
            Role::Client => self.client_lineage(&mut live, &call),
            Role::Server => match live.settled.take() {
                Some(settled) => settled,
                None => self.server_lineage(&live, Some(&call), call.trace.as_ref()),
            },
        };
        let decided = live.decided.take().unwrap_or_default();
        let view = self.view(&call, decided.hop, decided.agent.as_ref());
        let mut span = render::span(&view, live.span, &lineage);
        span.late = decided.told;
        span.left = self.is_left(&live, &call, is_named);
        self.tell_peer(&live, decided.far, &lineage, &span);
        if live.role == Role::Server {
            self.placed(key, live.span, lineage);
        }
        out.push(span);
    }

    /// A call that found no room: it has no other end and nobody names it.
    pub(super) fn release_alone(&mut self, call: &Call, out: &mut Vec<Span>) {
        let first = call.role == Role::Server && call.key.part == 0;
        let named = if first {
            self.place(call.key.into())
        } else {
            None
        };
        let (id, lineage) = named.unwrap_or_else(|| {
            let lineage = self.own_lineage(call.trace.as_ref());
            (self.ids.span(), lineage)
        });
        let hop = match &call.kind {
            CallKind::Inference(i) => Some((render::Hop::Origin, !i.no_inference)),
            _ => None,
        };
        let agent = self.agent_of(call);
        if call.role == Role::Server {
            self.placed(call.key, id, lineage.clone());
        }
        let hop = if agent.is_some() {
            hop.map(|_| (render::Hop::Agent, false))
        } else {
            hop
        };
        out.push(render::span(
            &self.view(call, hop, agent.as_ref()),
            id,
            &lineage,
        ));
    }

    /// A call will not end, or is none after all: its span leaves only if it was named.
    pub(super) fn abandon(&mut self, key: CallKey, out: &mut Vec<Span>) {
        let Some(mut live) = self.take(key) else {
            return;
        };
        if let Some(peer) = live.peer.and_then(|p| self.calls.get_mut(&p)) {
            peer.peer = None;
            let is_card = live.call.as_deref().is_some_and(|c| c.kind.is_card());
            if live.role == Role::Server && is_card {
                // No other will come.
                peer.far = Some(Far::default());
            }
            self.wake.extend(live.peer);
        }
        if let (Some(stub), Some(lineage)) = (live.stub.take(), live.settled.take()) {
            self.counters.abandoned += 1;
            let conventions = self.config.conventions;
            out.push(stub.span(conventions, live.process, live.start, live.span, &lineage));
        }
        let request = ExchangeKey::from(key);
        if self.requests.get(request).is_some_and(|r| r.over.is_some()) {
            self.owe(request);
        }
    }

    /// Abandons a call unless it is finished and merely waits.
    pub(super) fn abandon_unfinished(&mut self, key: CallKey, out: &mut Vec<Span>) {
        if self.calls.get(&key).is_some_and(|l| l.call.is_none()) {
            self.abandon(key, out);
        }
    }

    pub(super) fn view<'a>(
        &'a self,
        call: &'a Call,
        hop: Option<(render::Hop, bool)>,
        agent: Option<&'a Agent>,
    ) -> View<'a> {
        View {
            call,
            endpoints: self
                .connections
                .get(call.key.conn)
                .and_then(|c| c.endpoints.as_ref()),
            facts: self.processes.facts(call.process),
            conventions: &self.config.conventions,
            hop: hop.map(|(hop, _)| hop),
            counts: hop.is_some_and(|(_, counts)| counts),
            agent: agent.and_then(|a| a.name.as_deref()),
            truncation_is_error: self.config.truncation_is_error,
        }
    }

    /// Tells the other end what became of this one.
    fn tell_peer(&mut self, live: &Live, far: Far, lineage: &Lineage, span: &Span) {
        let Some(key) = live.peer else {
            return;
        };
        let conventions = self.config.conventions;
        let Some(peer) = self.calls.get_mut(&key) else {
            return;
        };
        peer.peer = None;
        match live.role {
            Role::Server => {
                peer.far = Some(far);
                peer.stub = Some(Box::new(Stub::of(span, conventions)));
            }
            Role::Client => peer.client = Some(below(lineage, live.span, span.left)),
        }
        self.wake.push_back(key);
    }
}
