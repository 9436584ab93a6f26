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
            return !self.is_awaited_card(key);
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
                Role::Client => live.peer.is_none() && !self.is_lonely_client(key, live),
            };
        }
        match live.role {
            Role::Server => {
                let has_client = live.peer.is_some() || live.client.is_some();
                let lonely = !has_client && self.connections.may_have_peer(key.conn);
                !lonely && !self.may_turn_out_a_proxy(live, call)
            }
            Role::Client => {
                let lonely = self.is_lonely_client(key, live);
                // A server's end ends right before or after the client's and says what it is.
                let is_model = matches!(call.kind, CallKind::Inference(_));
                let open = is_model && live.peer.is_some() && live.far.is_none();
                !lonely && !open
            }
        }
    }

    /// The server's end is seen, and what this call is there is not known yet.
    fn is_lonely_client(&self, key: CallKey, live: &Live) -> bool {
        let conn = self.connections.get(key.conn);
        let paired = conn.is_some_and(|conn| conn.peer.is_some());
        paired && live.peer.is_none() && live.far.is_none()
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

    /// An agent's card, of either end, that a call which was made meanwhile may name once it knows
    /// its own place: until then it stays.
    pub(super) fn is_awaited_card(&self, key: CallKey) -> bool {
        let Some(live) = self.calls.get(&key) else {
            return false;
        };
        let is_card = live.call.as_deref().is_some_and(|c| c.kind.is_card());
        if !is_card || live.settled.is_some() {
            return false;
        }
        let server = match live.role {
            Role::Server => Some(live),
            Role::Client => live.peer.and_then(|peer| self.calls.get(&peer)),
        };
        server.is_some_and(|server| {
            let inside = |k: &&CallKey| {
                let inner = self.calls.get(k);
                inner.is_some_and(|i| server.start <= i.start && i.start <= server.end())
            };
            let running = self.processes.running(server.process);
            let inner = running.into_iter().flat_map(|running| &running.clients);
            inner.filter(inside).any(|key| self.waiters.has(*key))
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
