//! Pauses between attempts.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause that we choose. It bounds how long after a collector's return the first
/// spans arrive.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest pause that a collector may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(1);

/// Exponential backoff with jitter, so that the probes of a cluster do not all return at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next pause: what was asked for, else twice the last one, half of it random.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let base = FIRST.saturating_mul(1 << self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        match asked {
            Some(asked) => asked.min(LONGEST_ASKED),
            None => base.min(LONGEST).mul_f64(0.5 + fastrand::f64() / 2.0),
        }
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again() {
        let mut backoff = Backoff::default();
        for expected in [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            let pause = backoff.next(None);
            let longest = Duration::from_millis(expected);
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?}");
        }
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
        for _ in 0..100 {
            assert!(backoff.next(None) <= LONGEST);
        }
    }

    #[test]
    fn a_collector_may_ask_for_a_pause_but_not_for_ever() {
        let mut backoff = Backoff::default();
        let asked = Duration::from_secs(3);
        assert_eq!(backoff.next(Some(asked)), asked);
        assert_eq!(backoff.next(Some(Duration::MAX)), LONGEST_ASKED);
    }
}
