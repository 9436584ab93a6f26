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

/// When a process started, RFC 3339: `start` is in nanoseconds since boot, as a process's start
/// is. As exact as a clock tick, of 10 ms, like the start that `/proc` has.
pub(crate) fn created(start: u64) -> Option<String> {
    const TICK: i128 = 10_000_000;
    let boot = clock_gettime(ClockId::Boottime);
    let boot = i128::from(boot.tv_sec) * 1_000_000_000 + i128::from(boot.tv_nsec);
    let unix = unix_now().cast_signed() - boot + i128::from(start);
    let time = jiff::Timestamp::from_nanosecond(unix / TICK * TICK).ok()?;
    Some(format!("{time:.3}"))
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
    fn a_process_of_now_was_created_now() {
        let boot = clock_gettime(ClockId::Boottime);
        let since_boot = u64::try_from(boot.tv_sec).unwrap() * 1_000_000_000;
        let created = created(since_boot).unwrap();
        let time: jiff::Timestamp = created.parse().unwrap();
        let age = jiff::Timestamp::now().duration_since(time);
        assert!(age.as_secs().abs() <= 2, "{created}");
        assert_eq!(created.len(), "2023-11-21T09:25:34.850Z".len());
    }

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
