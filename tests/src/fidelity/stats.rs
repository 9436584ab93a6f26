//! Medians and percentiles of deviations.

/// Deviations in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deviations(Vec<u64>);

impl Deviations {
    /// Adds one.
    pub fn add(&mut self, nanos: u64) {
        self.0.push(nanos);
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// True when there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The median in milliseconds.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.at(50)
    }

    /// The 99th percentile in milliseconds: the smallest value that 99 of 100 do not exceed.
    #[must_use]
    pub fn p99(&self) -> f64 {
        self.at(99)
    }

    fn at(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).map_or(0.0, |nanos| *nanos as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut all = Deviations::default();
        assert!((all.p99() - 0.0).abs() < 1e-9 && all.is_empty());
        (1..=100).rev().for_each(|n| all.add(n * 1_000_000));
        assert!((all.median() - 50.0).abs() < 1e-9, "{}", all.median());
        assert!((all.p99() - 99.0).abs() < 1e-9, "{}", all.p99());
    }
}
