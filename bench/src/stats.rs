//! Medians and what lies around them.

use std::fmt;
use std::str::FromStr;

/// The median of values, and the quartiles below and above it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

/// Median and quartiles of `values`; all 0 where there are none.
pub(crate) fn spread(values: &[f64]) -> Spread {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |quarter: usize| {
        sorted
            .get((sorted.len() * quarter / 4).min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0.0)
    };
    Spread {
        lower: at(1),
        median: at(2),
        upper: at(3),
    }
}

/// The median of `values`.
pub(crate) fn median(values: &[f64]) -> f64 {
    spread(values).median
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(0);
        write!(
            f,
            "{:.places$} [{:.places$} .. {:.places$}]",
            self.median, self.lower, self.upper
        )
    }
}

/// The number after `name=` in a line of words.
pub(crate) fn field<T: FromStr>(line: &str, name: &str) -> Option<T> {
    line.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .find_map(|(key, value)| (key == name).then(|| value.parse().ok()).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_of_the_sorted_values() {
        let s = spread(&[5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!((s.lower, s.median, s.upper), (2.0, 3.0, 4.0));
        assert_eq!(format!("{s:.1}"), "3.0 [2.0 .. 4.0]");
        assert_eq!(spread(&[]), Spread::default());
        assert_eq!(format!("{:.0}", spread(&[7.0])), "7 [7 .. 7]");
    }

    #[test]
    fn a_field_is_found_among_words() {
        assert_eq!(field::<f64>("write=1.5 read=2", "read"), Some(2.0));
        assert_eq!(field::<f64>("write=x", "write"), None);
    }
}
