//! When a call leaves, and who its parent is.

use super::Stitcher;
use super::agents::Agent;
use super::calls::{Far, Live};
use super::lineage::Lineage;
use super::render::{self, Stub, View};
use super::timers::Timer;
use crate::call::{Call, CallKey, CallKind};
use crate::ids::{Nanos, Role};
use crate::span::Span;
use crate::trace_context::TraceContext;

impl Stitcher {
    /// Lets go every call that was woken and need not wait.
    pub(super) fn settle(&mut self, now: Nanos, out: &mut Vec<Span>) {
        out.append(&mut self.evicted);
        while let Some(key) = self.wake.pop_front() {
            self.try_join(key);
            if self.is_ready(key, now) {
                self.release(key, out);
            } else {
                self.hold(key);
            }
        }
    }

    /// Lets a finished call go whose time to wait is over.
    pub(super) fn expire(&mut self, key: CallKey, out: &mut Vec<Span>) {
        if self.calls.get(&key).is_some_and(|l| l.call.is_some()) {
            self.counters.hold_expired += 1;
            self.release(key, out);
        }
    }

    fn hold(&mut self, key: CallKey) {
        if let Some(live) = self.calls.get_mut(&key)
            && live.call.is_some()
            && !live.held
        {
            live.held = true;
            self.counters.held += 1;
            self.timers.add(live.deadline, Timer::Release(key));
        }
    }

    /// Whether nothing that may still come would change the span.
    fn is_ready(&self, key: CallKey, now: Nanos) -> bool {
        let Some(live) = self.calls.get(&key) else {
            return false;
        };
        let Some(call) = live.call.as_deref() else {
            return false;
        };
        if now >= live.deadline {
            return true;
        }
        match live.role {
            Role::Server => {
                let has_client = live.peer.is_some() || live.client.is_some();
                let lonely = !has_client && self.connections.may_have_peer(key.conn);
                !lonely && !self.may_turn_out_a_proxy(live, call)
            }
            Role::Client => {
                let paired = self
                    .connections
                    .get(key.conn)
                    .is_some_and(|c| c.peer.is_some());
                let lonely = paired && live.peer.is_none() && live.far.is_none();
                // A server's end leaves right before or after the client's and says what it is.
                let is_model = matches!(call.kind, CallKind::Inference(_));
                let open = is_model && live.peer.is_some();
                !lonely && !open
            }
        }
    }

    fn may_turn_out_a_proxy(&self, live: &Live, call: &Call) -> bool {
        let CallKind::Inference(inference) = &call.kind else {
            return false;
        };
        !live.forwards.covers(inference)
            && self.may_yet_forward(live)
            && self.agent_of(call).is_none()
    }

    /// Lets a finished call go as a span; does nothing with an unfinished one.
    pub(super) fn release(&mut self, key: CallKey, out: &mut Vec<Span>) {
        if self.calls.get(&key).is_none_or(|l| l.call.is_none()) {
            return;
        }
        let Some(mut live) = self.take(key) else {
            return;
        };
        let Some(call) = live.call.take() else {
            return;
        };
        let lineage = match live.role {
            Role::Client => self.client_lineage(&mut live, &call),
            Role::Server => self.server_lineage(&live, &call),
        };
        let span = self.render(&live, &call, &lineage);
        self.tell_peer(&live, &call, &lineage, &span);
        out.push(span);
    }

    /// A call that found no room: it has no other end and nobody names it.
    pub(super) fn release_alone(&mut self, call: &Call, out: &mut Vec<Span>) {
        let lineage = self.own_lineage(call.trace.as_ref());
        let hop = match &call.kind {
            CallKind::Inference(i) => Some((render::Hop::Origin, !i.no_inference)),
            _ => None,
        };
        let agent = self.agent_of(call);
        let id = self.ids.span();
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
            self.wake.extend(live.peer);
        }
        if let (Some(stub), Some(lineage)) = (live.stub.take(), live.settled.take()) {
            self.counters.abandoned += 1;
            let conventions = self.config.conventions;
            out.push(stub.span(conventions, live.process, live.start, live.span, &lineage));
        }
    }

    /// Abandons a call unless it is finished and merely waits.
    pub(super) fn abandon_unfinished(&mut self, key: CallKey, out: &mut Vec<Span>) {
        if self.calls.get(&key).is_some_and(|l| l.call.is_none()) {
            self.abandon(key, out);
        }
    }

    /// The app's own context on the request, else a parent inside the process, else a new trace.
    /// Once a server's span has named this one, its trace stands.
    fn client_lineage(&mut self, live: &mut Live, call: &Call) -> Lineage {
        let Some(mut settled) = live.settled.take() else {
            return match self.parent_in_process(call) {
                Some(lineage) if call.trace.is_none() => lineage,
                _ => self.own_lineage(call.trace.as_ref()),
            };
        };
        settled.missed = call
            .trace
            .clone()
            .filter(|t| settled.trace != t.trace || settled.parent != Some(t.parent));
        settled
    }

    /// Our span of the client's end, else the request's context, else a new trace.
    fn server_lineage(&mut self, live: &Live, call: &Call) -> Lineage {
        if let Some((id, lineage)) = &live.client {
            self.counters.joined += 1;
            return lineage.child(*id);
        }
        let client = live.peer.and_then(|p| self.calls.get(&p));
        let Some((id, settled, header)) =
            client.map(|c| (c.span, c.settled.clone(), c.header.clone()))
        else {
            return self.own_lineage(call.trace.as_ref());
        };
        self.counters.joined += 1;
        // Both ends read the same request, so this is the context that the client's end will
        // find too when it has ended.
        let settled = settled.unwrap_or_else(|| self.client_place(live.peer, call, header));
        let lineage = settled.child(id);
        if let Some(client) = live.peer.and_then(|p| self.calls.get_mut(&p)) {
            client.settled = Some(settled);
        }
        lineage
    }

    /// Where the client's span will stand that the server's is about to name.
    fn client_place(
        &mut self,
        client: Option<CallKey>,
        server: &Call,
        header: Option<TraceContext>,
    ) -> Lineage {
        let finished = client
            .and_then(|k| self.calls.get(&k))
            .and_then(|c| c.call.as_deref());
        let context = match finished {
            Some(call) => call.trace.clone(),
            None => server.trace.clone().or(header),
        };
        self.own_lineage(context.as_ref())
    }

    fn own_lineage(&mut self, context: Option<&TraceContext>) -> Lineage {
        context.map_or_else(|| Lineage::root(&mut self.ids), Lineage::of_wire)
    }

    /// The server call of the same process and context that this client call belongs to.
    /// The seam for parents inside a process: nothing is known of them yet.
    #[expect(clippy::unused_self, reason = "the seam will look the context up")]
    const fn parent_in_process(&self, _call: &Call) -> Option<Lineage> {
        None
    }

    fn render(&self, live: &Live, call: &Call, lineage: &Lineage) -> Span {
        let agent = self.agent_of(call);
        let hop = match &call.kind {
            CallKind::Inference(i) => Some(self.hop(live, call, i, agent.is_some())),
            _ => None,
        };
        render::span(&self.view(call, hop, agent.as_ref()), live.span, lineage)
    }

    fn view<'a>(
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
    fn tell_peer(&mut self, live: &Live, call: &Call, lineage: &Lineage, span: &Span) {
        let Some(key) = live.peer else {
            return;
        };
        let far = match &call.kind {
            CallKind::Inference(i) => self.far(live, call, i),
            _ => Far::default(),
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
            Role::Client => peer.client = Some((live.span, without_missed(lineage))),
        }
        self.wake.push_back(key);
    }
}

fn without_missed(lineage: &Lineage) -> Lineage {
    Lineage {
        missed: None,
        ..lineage.clone()
    }
}
