//! Proxies and helpers: each generation counts once.
//!
//! A chain client → proxy → server is one generation. The span that counts is the one nearest to
//! the model: a server's span that forwards nothing, or, where the server is not seen, the last
//! client's. So no span has to wait for those further out, which end later.

use super::Stitcher;
use super::calls::{Far, Live};
use super::render::Hop;
use crate::call::{Call, CallKey, CallKind, Inference, Operation, Usage};
use crate::ids::{ProcessId, Role};
use crate::message::End;

impl Stitcher {
    /// What a model call's far end is, and whether sums take the call's span.
    pub(super) fn hop(
        &self,
        live: &Live,
        call: &Call,
        inference: &Inference,
        is_agent: bool,
    ) -> (Hop, bool) {
        if is_agent {
            return (Hop::Agent, false);
        }
        let server = match live.role {
            Role::Server => Some(self.far(live, call, inference)),
            Role::Client => live.far.or_else(|| {
                let server = live.peer.and_then(|p| self.calls.get(&p))?;
                Some(Far {
                    forwards: server.forwards,
                    defers: false,
                })
            }),
        };
        if server.is_some_and(|s| s.forwards.covers(inference)) {
            return (Hop::Proxy, false);
        }
        let counts = match live.role {
            Role::Server => server.is_none_or(|s| !s.defers),
            Role::Client => server.is_none_or(|s| s.defers),
        };
        (Hop::Origin, counts && !inference.no_inference)
    }

    /// What a server's end tells its client's. It leaves the count to the client's span where its
    /// own capture lost the usage; that span must still be to come.
    pub(super) fn far(&self, live: &Live, call: &Call, inference: &Inference) -> Far {
        let damaged = call.capture.missed_bytes > 0
            || call.capture.undecodable
            || call.capture.limited
            || call.ended == End::Lost;
        let client = live.peer.and_then(|p| self.calls.get(&p));
        let to_come = client.is_some_and(|client| client.decided.is_none());
        Far {
            forwards: live.forwards,
            defers: damaged && to_come && inference.usage == Usage::default(),
        }
    }

    /// A client's model call has ended: the server's calls that its process had open when it began
    /// are forwarded. With several open at once nobody can tell which; a process that forwards
    /// one forwards them all.
    pub(super) fn forwarded_by(&self, call: &Call) -> Option<(Operation, Vec<CallKey>)> {
        let CallKind::Inference(inference) = &call.kind else {
            return None;
        };
        if call.role == Role::Server || self.agent_of(call).is_some() {
            return None;
        }
        let meanwhile = |key: &&CallKey| {
            let server = self.calls.get(key);
            server.is_some_and(|s| s.start <= call.start && call.start <= s.end())
        };
        let running = self.processes.running(call.process)?;
        let outer: Vec<CallKey> = running.servers.iter().filter(meanwhile).copied().collect();
        (!outer.is_empty()).then_some((inference.operation, outer))
    }

    pub(super) fn mark_forwarding(&mut self, operation: Operation, outer: &[CallKey]) {
        for key in outer {
            if let Some(server) = self.calls.get_mut(key) {
                server.forwards.note(operation);
            }
        }
    }

    /// The process made a call meanwhile of which it is not known what it is: it may be the one
    /// that this call is forwarded by.
    pub(super) fn may_yet_forward(&self, live: &Live) -> bool {
        let Some(running) = self.processes.running(live.process) else {
            return false;
        };
        running
            .clients
            .iter()
            .filter_map(|k| self.calls.get(k))
            .filter(|inner| inner.decided.is_none())
            .any(|inner| live.start <= inner.start && inner.start <= live.end())
    }

    /// Finished server calls of a process may have waited for a call that it made.
    pub(super) fn wake_servers_of(&mut self, process: ProcessId) {
        let Some(running) = self.processes.running(process) else {
            return;
        };
        let held = |k: &&CallKey| self.calls.get(k).is_some_and(|l| l.call.is_some());
        self.wake.extend(running.servers.iter().filter(held));
    }

    /// Ollama's server asks its own child (`ollama runner`) over loopback for each request: that
    /// is its inside, no second model call. True for both ends of such a call: one process is
    /// the other's child and runs the same executable.
    pub(super) fn is_runner_hop(&self, call: &Call) -> bool {
        let CallKind::Inference(_) = &call.kind else {
            return false;
        };
        if !matches!(call.http.path.as_str(), "/completion" | "/embedding") {
            return false;
        }
        let conn = self.connections.get(call.key.conn);
        let other = conn
            .and_then(|c| c.peer)
            .and_then(|id| self.connections.get(id))
            .map(|c| c.process);
        let loopback = conn
            .and_then(|c| c.endpoints)
            .is_some_and(|e| e.peer.ip().to_canonical().is_loopback());
        match (call.role, other) {
            (Role::Server, Some(other)) => self.processes.is_helper(call.process, other),
            (Role::Client, Some(other)) => self.processes.is_helper(other, call.process),
            (Role::Server, None) => loopback && self.processes.is_own_helper(call.process),
            (Role::Client, None) => loopback && self.processes.has_helper(call.process),
        }
    }
}
