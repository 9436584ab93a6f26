//! The contexts of runtimes: where each comes from, who read requests in it, and who answered.

use std::collections::{HashMap, VecDeque};

use crate::call::ExchangeKey;
use crate::ids::{ANCESTORS, ConnId, ContextInfo, Nanos};

/// Requests that are remembered of one context; a connection's own context has them all.
const PER_CONTEXT: usize = 16;
/// Set in a context whose birth was not seen.
const FOUND: u64 = 1 << 63;
/// The bits of a context's number that are the time of its birth.
const BIRTH: u64 = (1 << 56) - 1;

/// What a context had to do with requests, itself or by its descendants.
#[derive(Debug)]
pub(super) struct Party {
    /// Their connection; `None` when there are several.
    pub(super) conn: Option<ConnId>,
    /// The newest of them, oldest first.
    pub(super) requests: VecDeque<ExchangeKey>,
}

/// The contexts, bounded; parties live as long as their requests.
#[derive(Debug)]
pub(super) struct Contexts {
    lines: HashMap<u64, [u64; ANCESTORS]>,
    order: VecDeque<u64>,
    writers: HashMap<u64, Party>,
    readers: HashMap<u64, Party>,
    capacity: usize,
}

impl Contexts {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            lines: HashMap::new(),
            order: VecDeque::new(),
            writers: HashMap::new(),
            readers: HashMap::new(),
            capacity,
        }
    }

    /// Learns where a context comes from; the oldest ones make room.
    pub(super) fn learn(&mut self, info: &ContextInfo) {
        if self.lines.insert(info.token, info.ancestors).is_none() {
            self.order.push_back(info.token);
        }
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.lines.remove(&oldest);
        }
    }

    /// A context and what it descends from, nearest first.
    pub(super) fn line(&self, context: u64) -> impl Iterator<Item = u64> + use<> {
        let ancestors = self.lines.get(&context).copied().unwrap_or_default();
        std::iter::once(context)
            .chain(ancestors)
            .take_while(|c| *c != 0)
    }

    /// Whose answers were written in the context.
    pub(super) fn writer(&self, context: u64) -> Option<&Party> {
        self.writers.get(&context)
    }

    /// Whose requests were read in the context, which is younger than their connection.
    pub(super) fn reader(&self, context: u64) -> Option<&Party> {
        self.readers.get(&context)
    }

    /// A request was read in the context. Gives the contexts that this says something of: those
    /// that were born after the connection was accepted.
    pub(super) fn read(
        &mut self,
        key: ExchangeKey,
        context: u64,
        accepted: Option<Nanos>,
    ) -> Vec<u64> {
        let Some(accepted) = accepted else {
            return Vec::new();
        };
        let own = |c: &u64| birth(*c).is_some_and(|born| born >= accepted);
        let line: Vec<u64> = self.line(context).take_while(own).collect();
        note(&mut self.readers, &line, key);
        line
    }

    /// A request was answered in the context. Gives the contexts that this says something of.
    pub(super) fn wrote(&mut self, key: ExchangeKey, context: u64) -> Vec<u64> {
        let line: Vec<u64> = self.line(context).collect();
        note(&mut self.writers, &line, key);
        line
    }

    /// A request is forgotten; `read` and `wrote` are what was given for it.
    pub(super) fn forget(&mut self, key: ExchangeKey, read: &[u64], wrote: &[u64]) {
        for (parties, contexts) in [(&mut self.readers, read), (&mut self.writers, wrote)] {
            for context in contexts {
                if let Some(party) = parties.get_mut(context) {
                    party.requests.retain(|k| *k != key);
                    if party.requests.is_empty() {
                        parties.remove(context);
                    }
                }
            }
        }
    }
}

fn note(parties: &mut HashMap<u64, Party>, line: &[u64], key: ExchangeKey) {
    for context in line {
        let party = parties.entry(*context).or_insert_with(|| Party {
            conn: Some(key.conn),
            requests: VecDeque::new(),
        });
        if party.conn != Some(key.conn) {
            party.conn = None;
        }
        party.requests.push_back(key);
        if party.requests.len() > PER_CONTEXT {
            party.requests.pop_front();
        }
    }
}

/// The context that started this one, whose own birth was not seen.
pub(super) const fn starter(context: u64) -> Option<u64> {
    if context & FOUND == 0 {
        None
    } else {
        Some(context & !FOUND)
    }
}

/// When a context was born; `None` where that was not seen.
pub(super) const fn birth(context: u64) -> Option<Nanos> {
    if context & FOUND == 0 {
        Some(context & BIRTH)
    } else {
        None
    }
}
