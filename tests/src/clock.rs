//! The clock that the kernel programs use, read from user space.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: what `bpf_ktime_get_ns` returns at the same moment.
#[must_use]
pub fn monotonic() -> u64 {
    nanos(ClockId::Monotonic)
}

/// What must be added to a monotonic time to get nanoseconds since the epoch.
///
/// The two clocks cannot be read at once, so the tightest of several tries is taken.
#[must_use]
pub fn epoch_offset() -> u64 {
    let try_once = |_| {
        let before = monotonic();
        let epoch = nanos(ClockId::Realtime);
        let after = monotonic();
        (after - before, epoch - before.midpoint(after))
    };
    (0..32).map(try_once).min().map_or(0, |(_, offset)| offset)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_turns_monotonic_into_epoch_time() {
        let epoch = nanos(ClockId::Realtime);
        let ours = monotonic() + epoch_offset();
        assert!(
            ours.abs_diff(epoch) < 1_000_000_000,
            "{ours} against {epoch}"
        );
    }
}
