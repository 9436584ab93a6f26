//! A number of places, taken without waiting and given back on drop.
//!
//! No client is to take them all from the others. How many there are, and which of them is a
//! gateway of many, nobody knows; so each may have a multiple of what is free at the moment. Who
//! is alone gets most of it; of `n` greedy ones each gets as much as the others, and a newcomer
//! always finds some.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The places that are free.
pub(super) struct Room(Arc<AtomicUsize>);

/// How many one client has of a room.
#[derive(Debug, Default)]
pub(super) struct Share(Arc<AtomicUsize>);

/// Some that were taken. It may outlive its room: an answer takes it along.
pub(super) struct Place {
    free: Arc<AtomicUsize>,
    share: Arc<AtomicUsize>,
    taken: usize,
}

/// A client may have so many times what is free.
const GREED: usize = 3;

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(places)))
    }

    pub(super) fn take(&self, wanted: usize, share: &Share) -> Option<Place> {
        let mut place = Place {
            free: Arc::clone(&self.0),
            share: Arc::clone(&share.0),
            taken: 0,
        };
        place.grow(wanted, 0).then_some(place)
    }
}

impl Place {
    /// Takes `more` where `leave` places stay free, and the client has its share; false if not.
    pub(super) fn grow(&mut self, more: usize, leave: usize) -> bool {
        let has = self.share.load(Ordering::Acquire);
        let less = |free: usize| {
            let fair = has.saturating_add(more) <= free.saturating_mul(GREED);
            let left = free.checked_sub(more).filter(|left| *left >= leave);
            left.filter(|_| fair)
        };
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        let grown = self.free.fetch_update(set, fetch, less).is_ok();
        if grown {
            self.share.fetch_add(more, Ordering::AcqRel);
            self.taken += more;
        }
        grown
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.share.fetch_sub(self.taken, Ordering::AcqRel);
        self.free.fetch_add(self.taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let (room, share) = (Room::new(3), Share::default());
        let two = room.take(2, &share).unwrap();
        assert!(room.take(2, &share).is_none());
        let one = room.take(1, &share).unwrap();
        assert!(room.take(1, &share).is_none());
        drop((one, two));
        assert!(room.take(3, &share).is_some());
        assert!(room.take(4, &share).is_none());
    }

    #[test]
    fn what_grows_leaves_some_to_others_and_comes_back_whole() {
        let (room, share) = (Room::new(10), Share::default());
        let mut place = room.take(0, &share).unwrap();
        assert!(place.grow(4, 4));
        assert!(!place.grow(4, 4), "four are to stay");
        assert!(place.grow(4, 2));
        drop(place);
        assert!(room.take(10, &share).is_some());
    }

    /// Takes one place after the other until there is none for this client.
    fn all(room: &Room, share: &Share) -> Vec<Place> {
        std::iter::from_fn(|| room.take(1, share)).collect()
    }

    #[test]
    fn one_client_alone_gets_most_and_leaves_some() {
        let (room, greedy, other) = (Room::new(512), Share::default(), Share::default());
        let taken = all(&room, &greedy);
        assert!((380..=390).contains(&taken.len()), "{}", taken.len());
        assert!(room.take(1, &greedy).is_none());
        let late = all(&room, &other);
        assert!(late.len() > 90, "{}", late.len());
        drop(taken);
        assert!(all(&room, &other).len() + late.len() > 380);
    }

    #[test]
    fn among_many_greedy_ones_a_newcomer_finds_some() {
        let shares: Vec<_> = (0..5).map(|_| Share::default()).collect();
        let (room, newcomer) = (Room::new(512), Share::default());
        let mut taken: Vec<Vec<_>> = shares.iter().map(|_| Vec::new()).collect();
        // Each gives one back and takes what it gets, again and again.
        for _ in 0..1000 {
            for (taken, share) in taken.iter_mut().zip(&shares) {
                taken.pop();
                taken.extend(all(&room, share));
            }
        }
        let most = taken.iter().map(Vec::len).max().unwrap();
        let least = taken.iter().map(Vec::len).min().unwrap();
        assert!(least * 2 > most, "{least} and {most}");
        assert!(all(&room, &newcomer).len() > 10);
    }
}
