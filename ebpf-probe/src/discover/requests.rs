//! What discovery is asked, in a queue with a bound: a host that starts processes faster than
//! they can be looked at must cost neither memory nor the reader's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use probe_core::ids::ProcessId;

use crate::feed::ProcessEvent;

/// The most requests that wait.
const WAITING: usize = 16_384;

/// What discovery is asked.
#[derive(Debug)]
pub(crate) enum Request {
    /// Something happened to a process.
    Event(ProcessEvent),
    /// A connection of this process was seen: say what it is.
    Describe(ProcessId),
    /// What is known of this node's pods has changed.
    Pods,
    /// Opt this process in, whatever the selectors say, and send back a value when it is.
    OptIn(u32, Sender<()>),
}

/// The asking end.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    sender: SyncSender<Request>,
    missed: Arc<AtomicBool>,
}

/// The asked end.
#[derive(Debug)]
pub(crate) struct Asked {
    receiver: Receiver<Request>,
    missed: Arc<AtomicBool>,
}

/// Both ends.
pub(crate) fn queue() -> (Requests, Asked) {
    with_room_for(WAITING)
}

fn with_room_for(waiting: usize) -> (Requests, Asked) {
    let (sender, receiver) = sync_channel(waiting);
    let missed = Arc::<AtomicBool>::default();
    let requests = Requests {
        sender,
        missed: Arc::clone(&missed),
    };
    (requests, Asked { receiver, missed })
}

impl Requests {
    /// Asks without waiting. `false` when too many wait: then discovery will look at every
    /// process anew, which makes good for all but the descriptions.
    pub(crate) fn send(&self, request: Request) -> bool {
        let sent = self.sender.try_send(request);
        if matches!(sent, Err(TrySendError::Full(_))) {
            self.missed.store(true, Ordering::Release);
        }
        sent.is_ok()
    }

    /// Asks, and waits for room; `false` when discovery has ended.
    pub(crate) fn send_surely(&self, request: Request) -> bool {
        self.sender.send(request).is_ok()
    }
}

impl Asked {
    /// The next request.
    pub(super) fn next(&self, time: Duration) -> Result<Request, RecvTimeoutError> {
        self.receiver.recv_timeout(time)
    }

    /// A request that waits already.
    pub(super) fn waiting(&self) -> Option<Request> {
        self.receiver.try_recv().ok()
    }

    /// Whether requests were dropped since the last time.
    pub(super) fn has_missed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_says_so_once() {
        let (requests, asked) = with_room_for(2);
        let id = ProcessId { tgid: 1, start: 1 };
        assert!(requests.send(Request::Describe(id)));
        assert!(requests.send(Request::Describe(id)));
        assert!(!asked.has_missed());
        assert!(!requests.send(Request::Describe(id)));
        assert!(asked.has_missed());
        assert!(!asked.has_missed());
        assert!(asked.waiting().is_some());
        assert!(requests.send(Request::Describe(id)));
        drop(asked);
        assert!(!requests.send_surely(Request::Describe(id)));
    }
}
