//! What a finished call waits for.

use super::Stitcher;
use super::calls::Live;
use super::timers::Timer;
use crate::call::{Call, CallKey, CallKind};
use crate::ids::{Nanos, ProcessId, Role};

impl Stitcher {
    /// Gives a call that has to wait the time to do so.
    pub(super) fn hold(&mut self, key: CallKey) {
        if let Some(live) = self.calls.get_mut(&key)
            && live.call.is_some()
            && !live.held
        {
            live.held = true;
            self.counters.held += 1;
            self.timers.add(live.deadline, Timer::Release(key));
        }
    }

    /// Whether nothing that may still come would change the span, but for its place.
    pub(super) fn is_ready(&self, key: CallKey, now: Nanos) -> bool {
        let Some(live) = self.calls.get(&key) else {
            return false;
        };
        let Some(call) = live.call.as_deref() else {
            return false;
        };
        if now >= live.deadline {
            return true;
        }
        if self.awaits_facts(call) {
            return false;
        }
        if self.is_runner_hop(call) {
            return true;
        }
        if call.kind.is_card() {
            return match live.role {
                Role::Server => !self.may_be_named(live),
                Role::Client => live.peer.is_none(),
            };
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
                // A server's end ends right before or after the client's and says what it is.
                let is_model = matches!(call.kind, CallKind::Inference(_));
                let open = is_model && live.peer.is_some() && live.far.is_none();
                !lonely && !open
            }
        }
    }

    /// Discovery has not said yet what one of the processes is. That the server is an agent or a
    /// helper makes another span of the call, or none; and exporters want to know whose it is.
    fn awaits_facts(&self, call: &Call) -> bool {
        let unknown = |id| self.processes.facts(id).is_none();
        unknown(call.process) || self.peer_process(call.key.conn).is_some_and(unknown)
    }

    /// What a process is became known: calls that waited for it.
    pub(super) fn wake_for_facts(&mut self, id: ProcessId) {
        let Some(running) = self.processes.running(id) else {
            return;
        };
        for key in running.servers.iter().chain(&running.clients) {
            if self.calls.get(key).is_some_and(|l| l.call.is_some()) {
                self.wake.push_back(*key);
            }
            self.wake.extend(self.calls.get(key).and_then(|l| l.peer));
        }
    }

    /// A call that the process made meanwhile has not left: it may be one of this request's.
    fn may_be_named(&self, live: &Live) -> bool {
        let running = self.processes.running(live.process);
        !live.is_named_server()
            && running.is_some_and(|running| {
                let mut inner = running.clients.iter().filter_map(|k| self.calls.get(k));
                inner.any(|inner| live.start <= inner.start && inner.start <= live.end())
            })
    }

    fn may_turn_out_a_proxy(&self, live: &Live, call: &Call) -> bool {
        let CallKind::Inference(inference) = &call.kind else {
            return false;
        };
        !live.forwards.covers(inference)
            && self.may_yet_forward(live)
            && self.agent_of(call).is_none()
    }
}
