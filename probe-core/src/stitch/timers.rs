//! What is to be done when its time has come.

use std::collections::BTreeMap;

use crate::call::CallKey;
use crate::ids::{ConnId, Nanos, ProcessId};

/// Something to be done later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A finished call has waited long enough.
    Release(CallKey),
    /// A call has waited for a request, and becomes less patient.
    Impatient(CallKey),
    /// A call of an ended process should have been finished.
    Abandon(CallKey),
    /// A closed connection's last calls should have been finished.
    Forget(ConnId),
    /// The requests of an ended process tell nothing any more.
    Gone(ProcessId),
}

/// The timers in the order of their times. Those whose cause is gone do nothing when they come;
/// each call and connection has few, so there are never many.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeMap<(Nanos, u64), Timer>,
    sequence: u64,
}

impl Timers {
    pub(super) fn add(&mut self, at: Nanos, timer: Timer) {
        self.queue.insert((at, self.sequence), timer);
        self.sequence += 1;
    }

    /// When the next timer's time comes.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next timer whose time has come.
    pub(super) fn due(&mut self, now: Nanos) -> Option<Timer> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
