//! From the kernel's monotonic clock to the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use probe_core::ids::Nanos;
use rustix::time::{ClockId, clock_gettime};

/// The offset between the two clocks. The time of day is stepped and slewed while the probe
/// runs, so the offset is measured anew for each batch and never kept for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Nanoseconds from the monotonic clock's zero to the epoch's.
    offset: i128,
}

impl Clock {
    /// Measures the offset. Of three tries the one with the least time between its readings
    /// counts, so that being scheduled away between two readings does not shift a batch.
    pub(crate) fn measure() -> Self {
        let tries = std::array::from_fn::<_, 3, _>(|_| {
            let before = monotonic_now();
            let now = unix_now();
            let after = monotonic_now();
            let middle = u128::from(before).midpoint(u128::from(after));
            (after - before, now.cast_signed() - middle.cast_signed())
        });
        let best = tries.iter().min_by_key(|(gap, _)| *gap);
        Self {
            offset: best.map_or(0, |(_, offset)| *offset),
        }
    }

    /// A clock with a known offset, in nanoseconds.
    #[cfg(test)]
    pub(crate) const fn with_offset(offset: i128) -> Self {
        Self { offset }
    }

    /// Nanoseconds since the epoch; a time before the epoch is the epoch.
    pub(crate) fn unix(self, at: Nanos) -> u64 {
        let unix = i128::from(at) + self.offset;
        u64::try_from(unix.max(0)).unwrap_or(u64::MAX)
    }
}

/// The monotonic clock now, in nanoseconds: the clock that the records carry.
pub(crate) fn monotonic_now() -> Nanos {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Nanoseconds since the epoch.
fn unix_now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_offset_leads_to_the_time_of_day() {
        let before = unix_now();
        let now = u128::from(Clock::measure().unix(monotonic_now()));
        let after = unix_now();
        let slack = 5_000_000;
        assert!(
            now + slack >= before && now <= after + slack,
            "{before} {now} {after}"
        );
    }

    #[test]
    fn times_out_of_range_are_clamped() {
        assert_eq!(Clock::with_offset(-10).unix(5), 0);
        assert_eq!(Clock::with_offset(10).unix(5), 15);
        assert_eq!(Clock::with_offset(i128::from(u64::MAX)).unix(5), u64::MAX);
    }
}
