//! How much memory messages under way may take on all connections together. Each has its own
//! bounds, but nobody bounds how many there are.

use std::cmp::Reverse;

use probe_core::ids::{ConnId, Nanos};
use probe_core::message::Held;

use super::Pipeline;
use super::connection::Connection;

/// The most bytes of heads that are not whole.
const HEADS: usize = 16 << 20;
/// The most bytes of decoders.
const DECODERS: usize = 64 << 20;

impl Pipeline {
    /// Notes what a connection takes by now, and makes room if all take too much: the ones that
    /// take most go first, until half is free, so that to look at all is seldom needed.
    pub(super) fn weigh(&mut self, id: ConnId, now: Nanos) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let (before, after) = connection.weigh();
        self.unload(before);
        self.held.heads += after.heads;
        self.held.decoders += after.decoders;
        if self.held.heads > HEADS {
            for id in self.largest(|held| held.heads, self.held.heads - HEADS / 2) {
                self.shed(id, now, |connection| connection.shed_heads(now));
                self.counters.shed_heads += 1;
            }
        }
        if self.held.decoders > DECODERS {
            for id in self.largest(|held| held.decoders, self.held.decoders - DECODERS / 2) {
                self.shed(id, now, Connection::shed_decoders);
                self.counters.shed_decoders += 1;
            }
        }
    }

    /// A connection takes this no longer.
    pub(super) fn unload(&mut self, held: Held) {
        self.held.heads = self.held.heads.saturating_sub(held.heads);
        self.held.decoders = self.held.decoders.saturating_sub(held.decoders);
    }

    fn shed(&mut self, id: ConnId, now: Nanos, shed: impl FnOnce(&mut Connection)) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        shed(connection);
        let (before, after) = connection.weigh();
        self.unload(before);
        self.held.heads += after.heads;
        self.held.decoders += after.decoders;
        self.collect(id, now);
    }

    /// The connections that take most, until they come to `bytes` together.
    fn largest(&self, of: impl Fn(Held) -> usize, bytes: usize) -> Vec<ConnId> {
        let sizes = self.connections.iter().map(|(id, it)| (of(it.held()), *id));
        let mut sizes: Vec<_> = sizes.filter(|(size, _)| *size > 0).collect();
        sizes.sort_unstable_by_key(|(size, id)| (Reverse(*size), *id));
        let mut sum = 0;
        let chosen = sizes.into_iter().take_while(|(size, _)| {
            let more = sum < bytes;
            sum += size;
            more
        });
        chosen.map(|(_, id)| id).collect()
    }
}
