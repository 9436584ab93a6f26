//! What one process serves and has served.

use std::collections::VecDeque;

use crate::call::ExchangeKey;
use crate::ids::{ConnId, Nanos};

/// Requests of one process that are remembered, those under way included.
const PER_PROCESS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Served {
    /// Under way, or nobody knows whether they are.
    pub(super) open: Vec<ExchangeKey>,
    /// Over, in the order of their ends.
    past: VecDeque<(Nanos, ExchangeKey)>,
    /// Requests under way that found no room: what is under way is not known.
    missed: usize,
    /// The newest end among those that made room.
    forgotten: Nanos,
    /// A thread that waited for a request answered it too.
    pub(super) keeps: bool,
    /// Another thread did, or one waited for two requests at once.
    pub(super) hands_over: bool,
}

impl Served {
    pub(super) fn is_full(&self) -> bool {
        self.open.len() + self.past.len() >= PER_PROCESS
    }

    /// Whether all that was under way at that time is known.
    pub(super) const fn knows(&self, at: Nanos) -> bool {
        self.missed == 0 && at > self.forgotten
    }

    /// A request found no room.
    pub(super) const fn miss(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// One that found no room is over.
    pub(super) const fn missed_is_over(&mut self) {
        self.missed = self.missed.saturating_sub(1);
    }

    /// A request is over since then. Records of several processors come a little out of order.
    pub(super) fn pass(&mut self, key: ExchangeKey, at: Nanos) {
        self.open.retain(|k| *k != key);
        let later = self.past.iter().rev();
        let later = later.take_while(|(ended, _)| *ended > at).count();
        self.past.insert(self.past.len() - later, (at, key));
    }

    /// Those on this connection that are not known to be over.
    pub(super) fn open_on(&self, conn: ConnId) -> impl Iterator<Item = ExchangeKey> + '_ {
        self.open.iter().copied().filter(move |k| k.conn == conn)
    }

    /// What was under way then, or has begun since.
    pub(super) fn since(&self, at: Nanos) -> impl Iterator<Item = ExchangeKey> + '_ {
        let past = self.past.iter().rev();
        let past = past.take_while(move |(ended, _)| *ended >= at);
        self.open.iter().copied().chain(past.map(|(_, key)| *key))
    }

    /// Every one.
    pub(super) fn all(&self) -> impl Iterator<Item = ExchangeKey> + '_ {
        self.since(0)
    }

    /// The one that was over first is forgotten.
    pub(super) fn forget_oldest(&mut self) -> Option<ExchangeKey> {
        let (ended, key) = self.past.pop_front()?;
        self.forgotten = self.forgotten.max(ended);
        Some(key)
    }

    /// This one is forgotten.
    pub(super) fn forget(&mut self, key: ExchangeKey) {
        if let Some(at) = self.past.iter().position(|(_, k)| *k == key)
            && let Some((ended, _)) = self.past.remove(at)
        {
            self.forgotten = self.forgotten.max(ended);
        }
    }
}
