//! The times between the chunks of a stream.

use crate::ids::Nanos;

/// How many buckets there are, the last one without an upper bound.
pub const BUCKETS: usize = 15;
/// The first bucket's inclusive upper bound; each one after it has twice that of the one before,
/// as the GenAI conventions advise for durations.
pub const FIRST_BOUND: Nanos = 10_000_000;

/// A histogram of constant size, whatever the stream's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many gaps fell into each bucket.
    pub buckets: [u32; BUCKETS],
    /// The sum of all.
    pub sum: Nanos,
    /// The shortest; 0 where there are none.
    pub min: Nanos,
    /// The longest.
    pub max: Nanos,
}

impl Gaps {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|count| u64::from(*count)).sum()
    }

    pub(crate) fn add(&mut self, gap: Nanos) {
        let is_first = self.max == 0 && self.count() == 0;
        self.min = if is_first { gap } else { self.min.min(gap) };
        self.max = self.max.max(gap);
        self.sum = self.sum.saturating_add(gap);
        let (mut place, mut bound) = (0, FIRST_BOUND);
        while gap > bound && place < BUCKETS - 1 {
            place += 1;
            bound *= 2;
        }
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket = bucket.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_fall_into_buckets_of_twice_the_size() {
        let mut gaps = Gaps::default();
        for gap in [
            0,
            FIRST_BOUND,
            FIRST_BOUND + 1,
            FIRST_BOUND << 13,
            u64::MAX / 2,
        ] {
            gaps.add(gap);
        }
        assert_eq!(gaps.buckets[..2], [2, 1]);
        assert_eq!(gaps.buckets[13..], [1, 1]);
        assert_eq!((gaps.count(), gaps.min, gaps.max), (5, 0, u64::MAX / 2));
        let mut one = Gaps::default();
        one.add(7);
        assert_eq!((one.min, one.max, one.sum), (7, 7, 7));
    }
}
