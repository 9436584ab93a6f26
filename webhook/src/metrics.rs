//! What the webhook counts.
//!
//! All series exist from the start and the admission path only adds to atomics: a scrape, however
//! slow, holds nothing that a review waits for.

mod buckets;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use buckets::Buckets;

use webhook_core::{Doubt, Outcome, Reason};

/// Why a request was no review, or not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A path that is none of ours: 404.
    Path,
    /// Not a POST: 405.
    Method,
    /// Not JSON by its own words: 415.
    ContentType,
    /// More bytes than a review can have: 413.
    TooLarge,
    /// The body did not come within the request's time: 408.
    Slow,
    /// The body ended early: 400.
    CutOff,
    /// Not an `AdmissionReview`: 400.
    Malformed,
    /// No room for the body, nor a uid in its first bytes: 503.
    Overload,
}

/// Why a connection ended before it carried a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// There were too many.
    Limit,
    /// The TLS handshake failed.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeTimeout,
}

/// What came of an attempt to read or write something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It worked.
    Ok,
    /// Somebody else was faster; it is tried again with what they wrote.
    Conflict,
    /// It failed; what was there before stays.
    Failed,
}

/// What all names begin with; the registry writes it.
pub const PREFIX: &str = "kaos_webhook";

type Label = [(&'static str, &'static str); 1];

/// All counters and gauges of the serving half.
#[derive(Debug)]
pub struct Metrics {
    patched: Counter,
    marked: Vec<Counter>,
    unchanged: Vec<Counter>,
    fail_open: Vec<Counter>,
    refusals: [Counter; 8],
    dropped: [Counter; 3],
    /// From a request's head to its answer, in seconds.
    pub(crate) duration: Buckets,
    /// Bytes of a review.
    pub(crate) body: Buckets,
    /// Operations of a patch.
    pub(crate) operations: Buckets,
    /// Requests that are being answered.
    pub(crate) in_flight: Gauge,
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Decisions that panicked.
    pub(crate) panics: Counter,
    /// When the served certificate ends, in Unix seconds.
    pub(crate) certificate_expiry: Gauge,
    certificate_reads: [Counter; 3],
    secret_writes: [Counter; 3],
    bundle_writes: [Counter; 3],
    settings_reads: [Counter; 3],
    /// Settings taken since the start.
    pub(crate) settings_generation: Gauge,
    watch_errors: Family<Label, Counter>,
    watch_synced: Family<Label, Gauge>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Review {
    result: &'static str,
    reason: &'static str,
}

impl Metrics {
    /// Makes all series and gives them to `registry`, which writes [`PREFIX`].
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let reviews = Family::<Review, Counter>::default();
        let of = |outcome: Outcome| {
            let (result, reason) = (outcome.label(), outcome.reason());
            reviews.get_or_create(&Review { result, reason }).clone()
        };
        let reasons = |make: fn(Reason) -> Outcome| Reason::ALL.map(make).map(of).to_vec();
        let metrics = Self {
            patched: of(Outcome::Patched),
            marked: reasons(Outcome::Marked),
            unchanged: reasons(Outcome::Unchanged),
            fail_open: Doubt::ALL.map(Outcome::FailOpen).map(of).to_vec(),
            refusals: labelled(registry, REFUSALS, "reason", &REFUSAL_LABELS),
            dropped: labelled(registry, DROPPED, "reason", &DROPPED_LABELS),
            certificate_reads: labelled(registry, CERTIFICATE_READS, "result", &ATTEMPTS),
            secret_writes: labelled(registry, SECRET_WRITES, "result", &ATTEMPTS),
            bundle_writes: labelled(registry, BUNDLE_WRITES, "result", &ATTEMPTS),
            settings_reads: labelled(registry, SETTINGS_READS, "result", &ATTEMPTS),
            duration: Buckets::new(&DURATIONS),
            body: Buckets::new(&BODIES),
            operations: Buckets::new(&OPERATIONS),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            panics: Counter::default(),
            certificate_expiry: Gauge::default(),
            settings_generation: Gauge::default(),
            watch_errors: Family::default(),
            watch_synced: Family::default(),
        };
        registry.register(
            "reviews",
            "Reviews answered, by what came of them and why",
            reviews,
        );
        metrics.register(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "review_duration",
            "From a request's head to its answer",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register_with_unit(
            "review_body",
            "Size of reviews",
            Unit::Bytes,
            self.body.clone(),
        );
        let mut add = |name, help, metric: &Gauge| registry.register(name, help, metric.clone());
        add(
            "in_flight",
            "Requests that are being answered",
            &self.in_flight,
        );
        add("connections", "Open connections", &self.connections);
        add(
            "certificate_expiry_timestamp_seconds",
            "When the served certificate ends, in Unix time; 0 if there is none",
            &self.certificate_expiry,
        );
        add(
            "settings_generation",
            "How many settings were taken since the start",
            &self.settings_generation,
        );
        registry.register(
            "patch_operations",
            "Operations of patches",
            self.operations.clone(),
        );
        registry.register("panics", "Decisions that panicked", self.panics.clone());
        registry.register(
            "watch_errors",
            "Failed lists and watches, by resource",
            self.watch_errors.clone(),
        );
        registry.register(
            "watch_synced",
            "1 once a resource was listed, or is known not to exist",
            self.watch_synced.clone(),
        );
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
    }

    /// Counts what came of a review.
    pub fn review(&self, outcome: Outcome) {
        let of = |list: &[Counter], index: usize| {
            debug_assert!(index < list.len(), "a variant that ALL lacks");
            if let Some(counter) = list.get(index) {
                counter.inc();
            }
        };
        match outcome {
            Outcome::Patched => {
                self.patched.inc();
            }
            Outcome::Marked(reason) => of(&self.marked, reason as usize),
            Outcome::Unchanged(reason) => of(&self.unchanged, reason as usize),
            Outcome::FailOpen(doubt) => of(&self.fail_open, doubt as usize),
        }
    }

    /// Counts a request that was not served.
    pub fn refusal(&self, refusal: Refusal) {
        self.refusals[refusal as usize].inc();
    }

    /// Counts a connection that carried no request.
    pub fn dropped(&self, dropped: Dropped) {
        self.dropped[dropped as usize].inc();
    }

    /// Counts a certificate that was read.
    pub fn certificate_read(&self, attempt: Attempt) {
        self.certificate_reads[attempt as usize].inc();
    }

    /// Counts a write of the Secret.
    pub fn secret_write(&self, attempt: Attempt) {
        self.secret_writes[attempt as usize].inc();
    }

    /// Counts a write of the bundle.
    pub fn bundle_write(&self, attempt: Attempt) {
        self.bundle_writes[attempt as usize].inc();
    }

    /// Counts settings that were read.
    pub fn settings_read(&self, attempt: Attempt) {
        self.settings_reads[attempt as usize].inc();
    }

    /// Counts a failed list or watch.
    pub fn watch_error(&self, resource: &'static str) {
        self.watch_errors
            .get_or_create(&[("resource", resource)])
            .inc();
    }

    /// Says whether a resource was listed.
    pub fn watch_synced(&self, resource: &'static str, synced: bool) {
        let gauge = self.watch_synced.get_or_create(&[("resource", resource)]);
        gauge.set(i64::from(synced));
    }
}

const REFUSALS: (&str, &str) = (
    "bad_requests",
    "Requests that were answered with an HTTP error",
);
const DROPPED: (&str, &str) = (
    "dropped_connections",
    "Connections that ended before they carried a request",
);
const CERTIFICATE_READS: (&str, &str) = (
    "certificate_reads",
    "Certificates read; after a failure the one before is served",
);
const SECRET_WRITES: (&str, &str) = (
    "certificate_writes",
    "Certificates issued, and old ones dropped",
);
const BUNDLE_WRITES: (&str, &str) = (
    "ca_bundle_writes",
    "Writes of the webhook configuration's caBundle",
);
const SETTINGS_READS: (&str, &str) = (
    "settings_reads",
    "Settings read; after a failure those before hold",
);

const REFUSAL_LABELS: [&str; 8] = [
    "path",
    "method",
    "content_type",
    "too_large",
    "slow",
    "cut_off",
    "malformed",
    "overload",
];
const DROPPED_LABELS: [&str; 3] = ["limit", "handshake", "handshake_timeout"];
const ATTEMPTS: [&str; 3] = ["ok", "conflict", "failed"];

/// From 50 µs to 1 s: the figures of other webhooks end where it gets interesting.
const DURATIONS: [f64; 13] = [
    50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0,
];
const BODIES: [f64; 7] = [
    4096.0,
    8192.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    7_340_032.0,
];
const OPERATIONS: [f64; 7] = [0.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0];

/// A family with one label, all of its series made.
fn labelled<const N: usize>(
    registry: &mut Registry,
    (name, help): (&str, &str),
    label: &'static str,
    values: &[&'static str; N],
) -> [Counter; N] {
    let family = Family::<Label, Counter>::default();
    registry.register(name, help, family.clone());
    values.map(|value| family.get_or_create(&[(label, value)]).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        Registry::with_prefix(PREFIX)
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn each_outcome_is_counted_under_its_own_words() {
        let mut registry = registry();
        let metrics = Metrics::new(&mut registry);
        let mut all = vec![Outcome::Patched];
        all.extend(Reason::ALL.map(Outcome::Marked));
        all.extend(Reason::ALL.map(Outcome::Unchanged));
        all.extend(Doubt::ALL.map(Outcome::FailOpen));
        for (times, outcome) in all.iter().enumerate() {
            (0..=times).for_each(|_| metrics.review(*outcome));
        }
        let text = text(&registry);
        for (times, outcome) in all.iter().enumerate() {
            let line = format!(
                "kaos_webhook_reviews_total{{result=\"{}\",reason=\"{}\"}} {}\n",
                outcome.label(),
                outcome.reason(),
                times + 1,
            );
            assert!(text.contains(&line), "{line}");
        }
    }

    #[test]
    fn what_never_happened_is_there_as_zero() {
        let mut registry = registry();
        let metrics = Metrics::new(&mut registry);
        metrics.refusal(Refusal::Overload);
        metrics.dropped(Dropped::HandshakeTimeout);
        metrics.bundle_write(Attempt::Conflict);
        let text = text(&registry);
        for line in [
            "kaos_webhook_bad_requests_total{reason=\"overload\"} 1",
            "kaos_webhook_bad_requests_total{reason=\"too_large\"} 0",
            "kaos_webhook_dropped_connections_total{reason=\"handshake_timeout\"} 1",
            "kaos_webhook_ca_bundle_writes_total{result=\"conflict\"} 1",
            "kaos_webhook_panics_total 0",
            "kaos_webhook_build_info{version=\"0.1.0\"} 1",
            "kaos_webhook_review_duration_seconds_bucket{le=\"+Inf\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
