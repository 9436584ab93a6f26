//! What a call is once it has ended, whoever its parent is.

use super::Stitcher;
use super::agents::Agent;
use super::calls::Far;
use super::lineage::Lineage;
use super::render::{self, Hop};
use crate::call::{CallKey, CallKind};
use crate::ids::Role;
use crate::span::Span;

/// What was decided about a call when it had ended; its place may come later.
#[derive(Clone, Debug, Default)]
pub(super) struct Decided {
    /// What its far end is, and whether sums take it; `None` where it is no model call.
    pub(super) hop: Option<(Hop, bool)>,
    /// The agent at the far end.
    pub(super) agent: Option<Agent>,
    /// What a server's end tells its client's.
    pub(super) far: Far,
    /// It was told of by [`Stitcher::ended`].
    pub(super) told: bool,
}

impl Stitcher {
    /// Decides what a finished call is. False when it is nothing that leaves.
    pub(super) fn decide(&mut self, key: CallKey, out: &mut Vec<Span>) -> bool {
        let Some(live) = self.calls.get(&key) else {
            return false;
        };
        let Some(call) = live.call.as_deref() else {
            return false;
        };
        if live.decided.is_some() {
            return true;
        }
        // An inner span may have named the server's, and that the client's.
        let named = live.stub.is_some() || live.settled.is_some();
        let inside = !named && self.is_runner_hop(call);
        let unnamed_card = call.kind.is_card() && !named;
        if inside || unnamed_card {
            self.counters.runner_calls += u64::from(inside);
            self.abandon(key, out);
            return false;
        }
        let agent = self.agent_of(call);
        let unjoined = live.peer.is_none() && live.client.is_none() && live.far.is_none();
        let response_id = match &call.kind {
            CallKind::Inference(i) if unjoined && agent.is_none() => i.response_id.as_deref(),
            _ => None,
        };
        let (mut hop, far) = match &call.kind {
            CallKind::Inference(i) => (
                Some(self.hop(live, call, i, agent.is_some())),
                self.far(live, call, i),
            ),
            _ => (None, Far::default()),
        };
        let forwarded = self.forwarded_by(call);
        if let (Some(id), Some((hop, counts))) = (response_id, hop.as_mut()) {
            *counts &= !match live.role {
                Role::Server => self.counted.server(id, *hop == Hop::Proxy),
                Role::Client => self.counted.client(id),
            };
        }
        let (role, process, peer) = (live.role, live.process, live.peer);
        if let Some((operation, outer)) = forwarded {
            self.mark_forwarding(operation, &outer);
        }
        if let Some(live) = self.calls.get_mut(&key) {
            live.decided = Some(Box::new(Decided {
                hop,
                agent,
                far,
                told: false,
            }));
        }
        match role {
            Role::Client => self.wake_servers_of(process),
            Role::Server => self.tell_client(peer, far),
        }
        true
    }

    /// A client's call leaves when it is known what its server's end is.
    fn tell_client(&mut self, client: Option<CallKey>, far: Far) {
        let Some(key) = client else {
            return;
        };
        if let Some(client) = self.calls.get_mut(&key) {
            client.far = Some(far);
            if client.call.is_some() {
                self.wake.push_back(key);
            }
        }
    }

    /// Tells of a call that has ended and whose place is not settled.
    pub(super) fn tell(&mut self, key: CallKey) {
        let Some(live) = self.calls.get(&key) else {
            return;
        };
        let (Some(call), Some(decided)) = (live.call.as_deref(), live.decided.as_deref()) else {
            return;
        };
        if decided.told {
            return;
        }
        let view = self.view(call, decided.hop, decided.agent.as_ref());
        let span = render::span(&view, live.span, &Lineage::open());
        self.told.push(span);
        if let Some(decided) = self.calls.get_mut(&key).and_then(|l| l.decided.as_mut()) {
            decided.told = true;
        }
    }
}
