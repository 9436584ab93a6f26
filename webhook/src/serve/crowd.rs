//! Who is connected. Nobody is asked who they are, so at a limit those go first that never brought
//! a review: connections that only sit there must not keep API servers out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::review::Uses;

/// All open connections.
pub(super) struct Crowd {
    all: usize,
    per_peer: usize,
    seats: Mutex<Seats>,
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
    reviewed: bool,
    leave: Arc<Notify>,
}

/// The place of one connection, given back on drop.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    leave: Arc<Notify>,
    reviewed: AtomicBool,
    uses: Arc<Uses>,
}

impl Crowd {
    /// At most `all`, and `per_peer` of one address.
    pub(super) fn new(all: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            per_peer,
            seats: Mutex::default(),
            live: watch::Sender::new(0),
        })
    }

    /// A place for a connection; at a limit that of the oldest that never completed a review, and
    /// none if there is no such one. The flag says whether somebody had to go.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<(Seat, bool)> {
        let peer = peer.to_canonical();
        let mut seats = self.lock();
        let many = seats
            .peers
            .get(&peer)
            .is_some_and(|it| it.connections >= self.per_peer);
        let crowded = many || seats.taken.len() >= self.all;
        if crowded {
            seats.make_room(many.then_some(peer))?;
        }
        let number = seats.next;
        seats.next += 1;
        let leave = Arc::new(Notify::new());
        let taken = Taken {
            peer,
            reviewed: false,
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
            reviewed: AtomicBool::new(false),
            uses,
        };
        Some((seat, crowded))
    }

    /// Waits until all have gone.
    pub(super) async fn gone(&self) {
        let mut live = self.live.subscribe();
        let _never_closed = live.wait_for(|live| *live == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn make_room(&mut self, of: Option<IpAddr>) -> Option<()> {
        let may_go = |it: &Taken| !it.reviewed && of.is_none_or(|peer| it.peer == peer);
        let (number, taken) = self.taken.iter().find(|(_, it)| may_go(it))?;
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

impl Seat {
    /// A review was answered. Only the first one takes the lock.
    pub(super) fn reviewed(&self) {
        if self.reviewed.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(taken) = self.crowd.lock().taken.get_mut(&self.number) {
            taken.reviewed = true;
        }
    }

    /// What all connections of its address have of what all share.
    pub(super) fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Waits until somebody else needs the place.
    pub(super) async fn wanted(&self) {
        self.leave.notified().await;
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

    fn is_told(seat: &Seat) -> bool {
        use futures_util::FutureExt as _;
        seat.wanted().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_without_a_review_goes_for_a_newcomer() {
        let crowd = Crowd::new(3, 3);
        let enter = |peer| crowd.enter(peer);
        let (useful, _) = enter(A).unwrap();
        useful.reviewed();
        let (idle, crowded) = enter(A).unwrap();
        let (younger, _) = enter(B).unwrap();
        assert!(!crowded);
        let (_last, crowded) = enter(B).unwrap();
        assert!(crowded && is_told(&idle));
        assert!(!is_told(&useful) && !is_told(&younger));
    }

    #[test]
    fn where_all_are_of_use_nobody_goes_until_one_does() {
        let crowd = Crowd::new(1, 1);
        let (useful, _) = crowd.enter(A).unwrap();
        useful.reviewed();
        assert!(crowd.enter(B).is_none());
        drop(useful);
        assert!(crowd.enter(B).is_some());
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
        let (first, _) = crowd.enter(A).unwrap();
        let (second, _) = crowd.enter(A).unwrap();
        second.reviewed();
        let (third, _) = crowd.enter(A).unwrap();
        assert!(is_told(&first) && !is_told(&other));
        third.reviewed();
        assert!(crowd.enter(A).is_none(), "both of its own are of use");
        drop(first);
        assert!(crowd.enter(A).is_none(), "the place was given on already");
        drop(second);
        assert!(crowd.enter(A).is_some());
    }
}
