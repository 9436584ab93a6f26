//! Who is connected. Nobody is asked who they are, so at a limit whoever has most gives a place to
//! the newcomer: connections that only sit there must not keep API servers out, whether they once
//! brought a review or not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::review::Uses;

/// All open connections.
pub(crate) struct Crowd {
    all: usize,
    per_peer: usize,
    seats: Mutex<Seats>,
    /// Counts what happens, in place of a clock.
    turns: AtomicU64,
    /// How many live, those that were told to go among them.
    live: watch::Sender<usize>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    /// In the order in which they came.
    taken: BTreeMap<u64, Taken>,
    peers: HashMap<IpAddr, Peer>,
}

/// One address, for as long as it has connections.
#[derive(Default)]
struct Peer {
    connections: usize,
    uses: Arc<Uses>,
}

struct Taken {
    peer: IpAddr,
    activity: Arc<Activity>,
    leave: Arc<Notify>,
}

/// What a connection does; changed without the lock.
#[derive(Default)]
struct Activity {
    reviewed: AtomicBool,
    requests: AtomicUsize,
    /// The turn of its last answer, or of its coming.
    last: AtomicU64,
}

/// Who goes first of one address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Never completed a review.
    Unproven,
    Idle,
    /// A request is being answered.
    Busy,
}

/// The place of one connection, given back on drop.
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    leave: Arc<Notify>,
    activity: Arc<Activity>,
    uses: Arc<Uses>,
}

/// A request of a connection for as long as it lives: a client that goes away ends it anywhere.
pub(super) struct Busy<'a>(&'a Seat);

impl Crowd {
    /// At most `all`, and `per_peer` of one address.
    pub(crate) fn new(all: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            per_peer,
            seats: Mutex::default(),
            turns: AtomicU64::default(),
            live: watch::Sender::new(0),
        })
    }

    /// A place for a connection; at a limit that of another, of the address that has most. None
    /// where the newcomer's own address has most, and all of it is at work. The flag says whether
    /// somebody had to go.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<(Seat, bool)> {
        let peer = peer.to_canonical();
        let mut seats = self.lock();
        let many = seats.connections(peer) >= self.per_peer;
        let crowded = many || seats.taken.len() >= self.all;
        if crowded {
            seats.make_room(peer, many)?;
        }
        let number = seats.next;
        seats.next += 1;
        let leave = Arc::new(Notify::new());
        let activity = Arc::new(Activity::default());
        activity.last.store(self.turn(), Ordering::Relaxed);
        let taken = Taken {
            peer,
            activity: Arc::clone(&activity),
            leave: Arc::clone(&leave),
        };
        seats.taken.insert(number, taken);
        let of_peer = seats.peers.entry(peer).or_default();
        of_peer.connections += 1;
        let uses = Arc::clone(&of_peer.uses);
        self.live.send_modify(|live| *live += 1);
        let crowd = Arc::clone(self);
        let seat = Seat {
            crowd,
            number,
            leave,
            activity,
            uses,
        };
        Some((seat, crowded))
    }

    /// Waits until all have gone.
    pub(super) async fn gone(&self) {
        let mut live = self.live.subscribe();
        let _never_closed = live.wait_for(|live| *live == 0).await;
    }

    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn connections(&self, peer: IpAddr) -> usize {
        self.peers.get(&peer).map_or(0, |it| it.connections)
    }

    /// Sends somebody away for a newcomer: of `peer` alone if that has its `share` already.
    fn make_room(&mut self, peer: IpAddr, share: bool) -> Option<()> {
        let all = self.taken.iter();
        let candidates = all.filter(|(_, it)| !share || it.peer == peer);
        let (number, taken) = candidates.min_by_key(|(_, it)| {
            let most = Reverse(self.connections(it.peer));
            (most, it.activity.worth(), it.activity.since())
        })?;
        // What is being answered is worth as much as what is to come.
        if taken.peer == peer && taken.activity.worth() == Worth::Busy {
            return None;
        }
        taken.leave.notify_one();
        let number = *number;
        self.remove(number);
        Some(())
    }

    fn remove(&mut self, number: u64) {
        let Some(Taken { peer, .. }) = self.taken.remove(&number) else {
            return;
        };
        if let Some(of_peer) = self.peers.get_mut(&peer) {
            of_peer.connections -= 1;
            if of_peer.connections == 0 {
                self.peers.remove(&peer);
            }
        }
    }
}

impl Activity {
    fn worth(&self) -> Worth {
        match (
            self.reviewed.load(Ordering::Relaxed),
            self.requests.load(Ordering::Relaxed),
        ) {
            (false, _) => Worth::Unproven,
            (true, 0) => Worth::Idle,
            (true, _) => Worth::Busy,
        }
    }

    fn since(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }
}

impl Seat {
    /// A request begins.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.activity.requests.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// A review was answered.
    pub(super) fn reviewed(&self) {
        self.activity.reviewed.store(true, Ordering::Relaxed);
    }

    /// What all connections of its address have of what all share.
    pub(super) fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Waits until somebody else needs the place.
    pub(crate) async fn wanted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let Seat {
            activity, crowd, ..
        } = self.0;
        activity.last.store(crowd.turn(), Ordering::Relaxed);
        activity.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.lock().remove(self.number);
        self.crowd.live.send_modify(|live| *live -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const C: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3));

    fn is_told(seat: &Seat) -> bool {
        use futures_util::FutureExt as _;
        seat.wanted().now_or_never().is_some()
    }

    fn reviews(seat: &Seat) {
        let _busy = seat.busy();
        seat.reviewed();
    }

    /// So many connections that each brought a review.
    fn sitting(crowd: &Arc<Crowd>, peer: IpAddr, many: usize) -> Vec<Seat> {
        let enter = || crowd.enter(peer).unwrap().0;
        std::iter::repeat_with(enter)
            .take(many)
            .inspect(reviews)
            .collect()
    }

    #[test]
    fn of_one_address_those_without_a_review_go_first() {
        let crowd = Crowd::new(3, 3);
        let useful = sitting(&crowd, A, 1);
        let (idle, crowded) = crowd.enter(A).unwrap();
        let (other, _) = crowd.enter(B).unwrap();
        assert!(!crowded);
        let (_last, crowded) = crowd.enter(B).unwrap();
        assert!(crowded && is_told(&idle));
        assert!(!is_told(&useful[0]) && !is_told(&other));
    }

    /// Two clients that each brought one review on as many connections as they may have.
    #[test]
    fn who_sits_there_after_a_review_keeps_nobody_out() {
        let crowd = Crowd::new(8, 4);
        let [a, b] = [A, B].map(|peer| sitting(&crowd, peer, 4));
        let (newcomer, crowded) = crowd.enter(C).unwrap();
        assert!(crowded && is_told(&a[0]), "the one that is idle longest");
        // They come again and again, before the newcomer has brought anything.
        let again: Vec<_> = (0..20)
            .flat_map(|_| [A, B])
            .filter_map(|it| crowd.enter(it))
            .collect();
        assert_eq!(again.len(), 40);
        assert!(!is_told(&newcomer));
        assert!(is_told(&b[0]));
        let second = crowd.enter(C).unwrap().0;
        assert!(!is_told(&newcomer) && !is_told(&second));
    }

    #[test]
    fn who_has_most_gives_up_what_is_at_work_too() {
        let crowd = Crowd::new(3, 3);
        let all = sitting(&crowd, A, 3);
        let busy: Vec<_> = all.iter().map(Seat::busy).collect();
        assert!(crowd.enter(A).is_none(), "its own are as good as one more");
        assert!(crowd.enter(B).is_some());
        assert!(is_told(&all[0]) && !is_told(&all[1]));
        drop(busy);
    }

    #[test]
    fn who_answered_last_goes_last() {
        let crowd = Crowd::new(3, 3);
        let all = sitting(&crowd, A, 3);
        reviews(&all[0]);
        let _newcomer = crowd.enter(B).unwrap();
        assert!(is_told(&all[1]) && !is_told(&all[0]) && !is_told(&all[2]));
    }

    #[test]
    fn connections_of_one_address_have_one_share() {
        let crowd = Crowd::new(4, 4);
        let (one, two) = (crowd.enter(A).unwrap().0, crowd.enter(A).unwrap().0);
        let (other, _) = crowd.enter(B).unwrap();
        assert!(std::ptr::eq(one.uses(), two.uses()));
        assert!(!std::ptr::eq(one.uses(), other.uses()));
    }

    #[test]
    fn one_peer_has_its_share_and_pays_for_itself() {
        let crowd = Crowd::new(4, 2);
        let (other, _) = crowd.enter(B).unwrap();
        let all = sitting(&crowd, A, 2);
        let busy: Vec<_> = all.iter().map(Seat::busy).collect();
        assert!(crowd.enter(A).is_none(), "both of its own are at work");
        drop(busy);
        let (third, crowded) = crowd.enter(A).unwrap();
        assert!(crowded && is_told(&all[0]) && !is_told(&other));
        drop(all);
        drop(third);
        assert!(crowd.enter(A).is_some_and(|(_, crowded)| !crowded));
    }
}
