//! One metric's series, at most so many, the rest in an overflow series.

use std::collections::HashMap;

use probe_core::gaps::Gaps;
use probe_core::ids::ProcessId;
use probe_core::span::Value;

use super::definitions::Definition;

/// The most series of one metric, the overflow included (OpenTelemetry specification, metrics
/// SDK, "Cardinality limits").
pub(crate) const MAX_SERIES: usize = 2_000;

/// What a series is told apart by, within its process: `(name, value)` in a fixed order.
pub(crate) type Labels = Vec<(&'static str, Label)>;

/// A label's value. Floats and lists are never labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Label {
    /// A string.
    Text(String),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
}

impl Label {
    /// The label of an attribute's value.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Static(text) => Some(Self::Text((*text).to_owned())),
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Int(number) => Some(Self::Int(*number)),
            Value::Bool(flag) => Some(Self::Bool(*flag)),
            Value::Float(_) | Value::Strings(_) => None,
        }
    }

    /// The attribute's value again.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.clone()),
            Self::Int(number) => Value::Int(*number),
            Self::Bool(flag) => Value::Bool(*flag),
        }
    }
}

/// Whose series it is, and its labels. The overflow series belongs to no process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The observed process; `None`: the probe itself.
    pub(crate) process: Option<ProcessId>,
    /// The labels.
    pub(crate) labels: Labels,
}

/// A histogram, or for a metric without buckets a counter that uses `sum` alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// When it began, in nanoseconds since the epoch.
    pub(crate) start: u64,
    /// Measurements per bucket, the last one without upper bound. Empty for a counter.
    pub(crate) buckets: Vec<u64>,
    /// How many measurements.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
}

/// A metric with its series.
#[derive(Debug)]
pub(crate) struct Instrument {
    /// What it is.
    pub(crate) definition: &'static Definition,
    /// The series.
    pub(crate) series: HashMap<Key, Series>,
}

impl Instrument {
    /// A metric without measurements.
    pub(crate) fn new(definition: &'static Definition) -> Self {
        Self {
            definition,
            series: HashMap::new(),
        }
    }

    /// Adds a measurement at a time since the epoch; false when it went into the overflow.
    pub(crate) fn add(&mut self, key: Key, value: f64, now: u64) -> bool {
        let bounds = self.definition.bounds;
        let (series, kept) = self.of(key, now);
        series.add(bounds, value);
        kept
    }

    /// Adds many measurements at once, to a metric with the buckets of [`Gaps`].
    pub(crate) fn add_gaps(&mut self, key: Key, gaps: &Gaps, now: u64) -> bool {
        let (series, kept) = self.of(key, now);
        for (bucket, count) in series.buckets.iter_mut().zip(gaps.buckets) {
            *bucket += u64::from(count);
        }
        series.count += gaps.count();
        series.sum += gaps.sum as f64 / 1e9;
        series.min = series.min.min(gaps.min as f64 / 1e9);
        series.max = series.max.max(gaps.max as f64 / 1e9);
        kept
    }

    /// The series of a key, or the overflow's; and whether it is the key's own.
    fn of(&mut self, key: Key, now: u64) -> (&mut Series, bool) {
        let full = self.series.len() + 1 >= MAX_SERIES && !self.series.contains_key(&key);
        let key = if full { overflow() } else { key };
        let bounds = self.definition.bounds;
        let series = self.series.entry(key).or_insert_with(|| Series {
            start: now,
            buckets: match bounds.len() {
                0 => Vec::new(),
                count => vec![0; count + 1],
            },
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        });
        (series, !full)
    }

    /// Forgets the series of processes that are gone.
    pub(crate) fn retain(&mut self, keep: impl Fn(ProcessId) -> bool) {
        self.series.retain(|key, _| key.process.is_none_or(&keep));
    }
}

impl Series {
    /// Bounds are inclusive upper bounds (OTLP, `explicit_bounds`).
    fn add(&mut self, bounds: &[f64], value: f64) {
        let place = bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

/// The key of the overflow series.
fn overflow() -> Key {
    Key {
        process: None,
        labels: vec![("otel.metric.overflow", Label::Bool(true))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::metrics::definitions::{CLIENT_DURATION, USAGE_INPUT};
    use crate::export::testing::PROCESS;

    fn key(model: &str) -> Key {
        Key {
            process: Some(PROCESS),
            labels: vec![("gen_ai.request.model", Label::Text(model.to_owned()))],
        }
    }

    #[test]
    fn a_value_on_a_bound_belongs_below_it() {
        let mut instrument = Instrument::new(&CLIENT_DURATION);
        for value in [0.0, 0.01, 0.011, 81.92, 1e9] {
            assert!(instrument.add(key("m"), value, 5));
        }
        let series = &instrument.series[&key("m")];
        assert_eq!(series.buckets.len(), 15);
        assert_eq!(series.buckets[..3], [2, 1, 0]);
        assert_eq!(series.buckets[13..], [1, 1]);
        assert_eq!((series.count, series.start), (5, 5));
        assert!(series.min.abs() < f64::EPSILON && series.max > 9e8);
    }

    #[test]
    fn a_full_metric_overflows_and_known_series_go_on() {
        let mut instrument = Instrument::new(&USAGE_INPUT);
        for n in 0..2_500 {
            let kept = instrument.add(key(&n.to_string()), 1.0, 0);
            assert_eq!(kept, n < MAX_SERIES as u32 - 1);
        }
        assert!(instrument.add(key("0"), 1.0, 0));
        assert_eq!(instrument.series.len(), MAX_SERIES);
        let overflow = &instrument.series[&overflow()];
        assert!((overflow.sum - 501.0).abs() < f64::EPSILON);
        instrument.retain(|_| false);
        assert_eq!(instrument.series.len(), 1);
    }
}
