//! A number of places, taken without waiting and given back on drop.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The places that are free.
pub(super) struct Room {
    free: AtomicUsize,
}

/// Some that were taken.
pub(super) struct Place<'a> {
    room: &'a Room,
    taken: usize,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self {
            free: AtomicUsize::new(places),
        }
    }

    pub(super) fn take(&self, wanted: usize) -> Option<Place<'_>> {
        // Not `then_some`: a place that is made is given back.
        self.reduce(wanted, 0).then(|| Place {
            room: self,
            taken: wanted,
        })
    }

    /// Takes only where `leave` places stay free.
    fn reduce(&self, wanted: usize, leave: usize) -> bool {
        let less = |free: usize| free.checked_sub(wanted).filter(|left| *left >= leave);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        self.free.fetch_update(set, fetch, less).is_ok()
    }
}

impl Place<'_> {
    /// Takes `more` where `leave` places stay free; false if they would not.
    pub(super) fn grow(&mut self, more: usize, leave: usize) -> bool {
        let grown = self.room.reduce(more, leave);
        if grown {
            self.taken += more;
        }
        grown
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.room.free.fetch_add(self.taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let room = Room::new(3);
        let two = room.take(2).unwrap();
        assert!(room.take(2).is_none());
        let one = room.take(1).unwrap();
        assert!(room.take(1).is_none());
        drop((one, two));
        assert!(room.take(3).is_some());
        assert!(room.take(4).is_none());
    }

    #[test]
    fn what_grows_leaves_some_to_others_and_comes_back_whole() {
        let room = Room::new(10);
        let mut place = room.take(0).unwrap();
        assert!(place.grow(4, 4));
        assert!(!place.grow(4, 4), "four are to stay");
        assert!(place.grow(4, 2));
        drop(place);
        assert!(room.take(10).is_some());
    }
}
