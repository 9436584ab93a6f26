//! A histogram of atomics.
//!
//! That of `prometheus-client` takes a lock for each observation, which a scrape takes too.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// A histogram with fixed buckets; clones share their counts.
#[derive(Clone, Debug)]
pub struct Buckets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds, inclusive, ascending; a last bucket takes the rest.
    bounds: &'static [f64],
    counts: Vec<AtomicU64>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl Buckets {
    /// Has a bucket up to each of `bounds`, which ascend, and one for the rest.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self(Arc::new(Inner {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }))
    }

    /// Counts `value`.
    pub fn observe(&self, value: f64) {
        let Inner {
            bounds,
            counts,
            sum,
        } = &*self.0;
        let index = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = counts.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let _always_some = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl EncodeMetric for Buckets {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Inner {
            bounds,
            counts,
            sum,
        } = &*self.0;
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // From the same loads, so that the parts add up whatever is counted meanwhile.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = f64::from_bits(sum.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;

    #[test]
    fn values_fall_into_the_first_bucket_that_holds_them() {
        let buckets = Buckets::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 7.0] {
            buckets.observe(value);
        }
        let mut registry = Registry::default();
        registry.register("x", "y", buckets);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "x_sum 10.0\n",
            "x_count 4\n",
            "x_bucket{le=\"1.0\"} 2\n",
            "x_bucket{le=\"2.0\"} 3\n",
            "x_bucket{le=\"+Inf\"} 4\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
