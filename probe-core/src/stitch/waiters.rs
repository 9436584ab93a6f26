//! The finished calls that wait for what becomes of a request.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::call::{CallKey, ExchangeKey};
use crate::ids::ProcessId;

/// Who waits, and for what; bounded by who asks [`Waiters::has_room`] before.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    calls: HashMap<CallKey, Waiter>,
    of: HashMap<ProcessId, usize>,
    by_request: HashMap<ExchangeKey, BTreeSet<CallKey>>,
    by_context: HashMap<u64, BTreeSet<CallKey>>,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    process: ProcessId,
    /// `None` once it was woken.
    request: Option<ExchangeKey>,
    /// The context that made the call; 0 where there is none.
    context: u64,
}

impl Waiters {
    pub(super) fn has(&self, key: CallKey) -> bool {
        self.calls.contains_key(&key)
    }

    /// Whether another call of the process may wait, where `most` may in all. A process may have
    /// as many as there are places left: half of all where it is the only one, fewer the more there
    /// are, and there is always room for one that comes.
    pub(super) fn has_room(&self, process: ProcessId, most: usize) -> bool {
        let own = self.of.get(&process).copied().unwrap_or_default();
        own < most.saturating_sub(self.calls.len())
    }

    /// The call waits for this request from now on. True when it waited for none before.
    pub(super) fn wait(
        &mut self,
        key: CallKey,
        process: ProcessId,
        context: u64,
        request: ExchangeKey,
    ) -> bool {
        let is_new = self.leave(key).is_none();
        let waiter = Waiter {
            process,
            request: Some(request),
            context,
        };
        self.calls.insert(key, waiter);
        *self.of.entry(process).or_default() += 1;
        self.by_request.entry(request).or_default().insert(key);
        if context != 0 {
            self.by_context.entry(context).or_default().insert(key);
        }
        is_new
    }

    /// Those that wait for the request; each has to ask again.
    pub(super) fn wake(&mut self, request: ExchangeKey) -> BTreeSet<CallKey> {
        let woken = self.by_request.remove(&request).unwrap_or_default();
        for key in &woken {
            if let Some(waiter) = self.calls.get_mut(key) {
                waiter.request = None;
            }
        }
        woken
    }

    /// Those that were made in this context and wait.
    pub(super) fn of_context(&self, context: u64) -> impl Iterator<Item = CallKey> + '_ {
        self.by_context.get(&context).into_iter().flatten().copied()
    }

    /// The call waits no more; `None` when it did not.
    pub(super) fn leave(&mut self, key: CallKey) -> Option<()> {
        let waiter = self.calls.remove(&key)?;
        take(&mut self.by_context, &waiter.context, key);
        if let Some(request) = waiter.request {
            take(&mut self.by_request, &request, key);
        }
        if let Some(count) = self.of.get_mut(&waiter.process) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&waiter.process);
            }
        }
        Some(())
    }
}

fn take<K: Eq + Hash>(lists: &mut HashMap<K, BTreeSet<CallKey>>, list: &K, key: CallKey) {
    if let Some(set) = lists.get_mut(list) {
        set.remove(&key);
        if set.is_empty() {
            lists.remove(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConnId;

    #[test]
    fn who_has_left_leaves_nothing() {
        let mut waiters = Waiters::default();
        let process = ProcessId { tgid: 1, start: 1 };
        let key = |part| CallKey {
            conn: ConnId(1),
            exchange: 0,
            part,
        };
        let [one, two] = [1, 2].map(|conn| ExchangeKey {
            conn: ConnId(conn),
            exchange: 0,
        });
        assert!(waiters.wait(key(0), process, 7, one));
        assert!(!waiters.wait(key(0), process, 7, two), "it moves on");
        assert!(waiters.wake(one).is_empty());
        assert!(waiters.wait(key(1), process, 7, two));
        assert_eq!(waiters.of_context(7).count(), 2);
        assert!(!waiters.has_room(process, 4) && waiters.has_room(process, 5));
        let other = ProcessId { tgid: 2, start: 1 };
        assert!(waiters.has_room(other, 3) && !waiters.has_room(other, 2));
        assert_eq!(waiters.wake(two).len(), 2);
        for part in [0, 1] {
            waiters.leave(key(part));
        }
        let Waiters {
            calls,
            of,
            by_request,
            by_context,
        } = waiters;
        assert!(calls.is_empty() && of.is_empty());
        assert!(by_request.is_empty() && by_context.is_empty());
    }
}
