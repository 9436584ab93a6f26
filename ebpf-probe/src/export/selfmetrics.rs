//! What the probe says of itself: counters and gauges with fixed names.
//!
//! Each loss has a counter here; what is not counted is not lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most label values of one family, the overflow included: labels may come from the wire.
const MAX_LABELS: usize = 64;

/// The label value that stands for all beyond [`MAX_LABELS`].
const OTHER: &str = "_OTHER";

/// A metric's name and meaning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Def {
    /// The name in OTLP; in Prometheus dots are underscores and counters end in `_total`.
    pub(crate) name: &'static str,
    /// The unit, in UCUM.
    pub(crate) unit: &'static str,
    /// One sentence.
    pub(crate) help: &'static str,
    /// Whether it only grows.
    pub(crate) monotonic: bool,
    /// The name of its one label, if it has one.
    pub(crate) label: Option<&'static str>,
}

/// A counter without label.
const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Def {
    Def {
        name,
        unit,
        help,
        monotonic: true,
        label: None,
    }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Def {
    Def {
        monotonic: false,
        ..counter(name, unit, help)
    }
}

const fn labelled(def: &Def, label: &'static str) -> Def {
    Def {
        name: def.name,
        unit: def.unit,
        help: def.help,
        monotonic: def.monotonic,
        label: Some(label),
    }
}

/// Records that the kernel could not hand over because the ring was full.
pub(crate) const RING_REFUSALS: Def = counter(
    "kaos_probe.ring.refusals",
    "{record}",
    "Records that the kernel could not hand over because the ring was full",
);
/// Records that were read.
pub(crate) const RECORDS: Def = counter(
    "kaos_probe.records",
    "{record}",
    "Records read from the kernel",
);
/// Captured bytes.
pub(crate) const BYTES: Def = counter(
    "kaos_probe.captured",
    "By",
    "Bytes of observed connections read from the kernel",
);
/// Bytes in holes of streams.
pub(crate) const LOST_BYTES: Def = counter(
    "kaos_probe.lost",
    "By",
    "Bytes of observed connections that are missing in what the kernel handed over",
);
/// Calls of which a part of a body is missing.
pub(crate) const TRUNCATED_BODIES: Def = counter(
    "kaos_probe.truncated_bodies",
    "{call}",
    "Calls of which a part of a body is missing",
);
/// Calls with a body in an encoding that cannot be read.
pub(crate) const UNKNOWN_ENCODINGS: Def = counter(
    "kaos_probe.unknown_encodings",
    "{call}",
    "Calls with a body in an encoding that cannot be read",
);
/// Connections that were joined in the middle.
pub(crate) const LATE_ATTACHMENTS: Def = counter(
    "kaos_probe.late_attachments",
    "{connection}",
    "Connections of which something had passed before the first request was seen",
);
/// Questions that discovery had no time for.
pub(crate) const REQUESTS_REFUSED: Def = counter(
    "kaos_probe.discovery.refused",
    "{request}",
    "Events of processes that were not looked at one by one, because too many came at once",
);
/// Open connections.
pub(crate) const CONNECTIONS: Def = gauge(
    "kaos_probe.connections",
    "{connection}",
    "Connections under observation now",
);
/// Observed processes.
pub(crate) const PROCESSES: Def = gauge(
    "kaos_probe.processes",
    "{process}",
    "Processes under observation now, and those that ended less than a minute ago",
);
/// Files with TLS in them, by what became of them.
pub(crate) const TLS_FILES: Def = labelled(
    &gauge(
        "kaos_probe.tls.files",
        "{file}",
        "Files with a TLS library in them that are hooked now, and that could not be, by state",
    ),
    "state",
);
/// HTTP/2 connections, which are not read yet.
pub(crate) const HTTP2_CONNECTIONS: Def = counter(
    "kaos_probe.http2_connections",
    "{connection}",
    "Connections that spoke HTTP/2 and were not read",
);
/// What the kernel half counted, by its own names.
pub(crate) const KERNEL: Def = labelled(
    &counter(
        "kaos_probe.kernel.events",
        "{event}",
        "What the programs in the kernel could not do or left out, by kind",
    ),
    "kind",
);
/// What the reader of the records counted, by its own names.
pub(crate) const READER: Def = labelled(
    &counter(
        "kaos_probe.reader.events",
        "{event}",
        "What the reader of records could not use, could not read or gave up, by kind",
    ),
    "kind",
);
/// Calls that observed processes made, by how their parent inside the process was found.
pub(crate) const PARENTS: Def = labelled(
    &counter(
        "kaos_probe.parents",
        "{call}",
        "Calls that observed processes made, by how their parent inside the process was found, or why there is none",
    ),
    "kind",
);
/// What the stitcher counted, by its own names.
pub(crate) const STITCHER: Def = labelled(
    &counter(
        "kaos_probe.stitcher.events",
        "{event}",
        "What was done to give calls their parents, and what was given up, by kind",
    ),
    "kind",
);
/// Finished calls by operation.
pub(crate) const CALLS: Def = labelled(
    &counter(
        "kaos_probe.calls",
        "{call}",
        "Calls that ended, by their operation",
    ),
    "operation",
);
/// Exported spans.
pub(crate) const SPANS_EXPORTED: Def = counter(
    "kaos_probe.spans.exported",
    "{span}",
    "Spans that a collector took",
);
/// Spans that were not sampled by their own trace.
pub(crate) const SPANS_UNSAMPLED: Def = counter(
    "kaos_probe.spans.unsampled",
    "{span}",
    "Spans of traces that their own root did not sample: counted in metrics only",
);
/// Spans that a process's own SDK has too.
pub(crate) const SPANS_LEFT: Def = counter(
    "kaos_probe.spans.left_to_sdk",
    "{span}",
    "Spans of model calls that the process's own SDK reports: counted in metrics only",
);
/// Lost spans by reason.
pub(crate) const SPANS_DROPPED: Def = labelled(
    &counter(
        "kaos_probe.spans.dropped",
        "{span}",
        "Spans that never reached a collector, by reason",
    ),
    "reason",
);
/// Failed requests to the collector.
pub(crate) const EXPORTS_FAILED: Def = labelled(
    &counter(
        "kaos_probe.exports.failed",
        "{request}",
        "Requests to a collector that failed, tried again or not, by signal",
    ),
    "signal",
);
/// Waiting spans.
pub(crate) const QUEUE_LENGTH: Def = gauge(
    "kaos_probe.queue.length",
    "{span}",
    "Spans that wait for export now",
);
/// Measurements that went into an overflow series.
pub(crate) const SERIES_OVERFLOWS: Def = counter(
    "kaos_probe.series.overflows",
    "{measurement}",
    "Measurements that went into an overflow series because a metric was full",
);

/// Failures of watches.
pub(crate) const KUBERNETES_ERRORS: Def = labelled(
    &counter(
        "kaos_probe.kubernetes.errors",
        "{failure}",
        "Failures of the watches that tell of pods and namespaces, by resource",
    ),
    "resource",
);

/// All metrics of the probe itself.
const ALL: [&Def; 24] = [
    &RING_REFUSALS,
    &RECORDS,
    &BYTES,
    &LOST_BYTES,
    &TRUNCATED_BODIES,
    &UNKNOWN_ENCODINGS,
    &LATE_ATTACHMENTS,
    &REQUESTS_REFUSED,
    &CONNECTIONS,
    &PROCESSES,
    &TLS_FILES,
    &HTTP2_CONNECTIONS,
    &READER,
    &STITCHER,
    &PARENTS,
    &CALLS,
    &SPANS_EXPORTED,
    &SPANS_UNSAMPLED,
    &SPANS_LEFT,
    &SPANS_DROPPED,
    &EXPORTS_FAILED,
    &QUEUE_LENGTH,
    &SERIES_OVERFLOWS,
    &KUBERNETES_ERRORS,
];

/// All counters and gauges of the probe. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
}

/// A counter or gauge, cheap to clone and to bump.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell(Arc<AtomicU64>);

#[derive(Debug)]
struct Family {
    def: &'static Def,
    cells: BTreeMap<String, Cell>,
}

/// The value of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Which metric.
    pub(crate) def: &'static Def,
    /// The values, by their label's value (empty where there is no label).
    pub(crate) values: Vec<(String, u64)>,
}

impl Counters {
    /// Shows every metric without label from now on: a zero says more than an absence.
    pub(crate) fn declare_all(&self) {
        for def in ALL.iter().filter(|def| def.label.is_none()) {
            self.cell(def);
        }
    }

    /// The cell of a metric without label. It is shown from now on, from zero.
    pub(crate) fn cell(&self, def: &'static Def) -> Cell {
        self.labelled(def, "")
    }

    /// The cell of a metric for one value of its label.
    pub(crate) fn labelled(&self, def: &'static Def, label: &str) -> Cell {
        let mut families = self.lock();
        let family = families.entry(def.name).or_insert_with(|| Family {
            def,
            cells: BTreeMap::new(),
        });
        if let Some(cell) = family.cells.get(label) {
            return cell.clone();
        }
        let full = family.cells.len() + 1 >= MAX_LABELS;
        let label = if full { OTHER } else { label };
        family.cells.entry(label.to_owned()).or_default().clone()
    }

    /// All values now, by name.
    pub(crate) fn read(&self) -> Vec<Reading> {
        let families = self.lock();
        let readings = families.values().map(|family| Reading {
            def: family.def,
            values: family
                .cells
                .iter()
                .map(|(label, cell)| (label.clone(), cell.get()))
                .collect(),
        });
        readings.collect()
    }

    /// A panic elsewhere cannot leave the map half-changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cell {
    /// Adds to a counter.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_one_name_are_one() {
        let counters = Counters::default();
        counters.cell(&RECORDS).add(2);
        counters.clone().cell(&RECORDS).add(3);
        let cell = counters.cell(&RECORDS);
        assert_eq!(cell.get(), 5);
        cell.set(9);
        assert_eq!(
            counters.read(),
            [Reading {
                def: &RECORDS,
                values: vec![(String::new(), 9)]
            }]
        );
    }

    #[test]
    fn names_are_unique_and_all_are_shown_from_zero() {
        let counters = Counters::default();
        counters.declare_all();
        let shown = counters.read();
        let unlabelled = ALL.iter().filter(|def| def.label.is_none()).count();
        assert_eq!(shown.len(), unlabelled);
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|def| def.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn labels_are_bounded() {
        let counters = Counters::default();
        for n in 0..100 {
            counters.labelled(&CALLS, &format!("op{n}")).add(1);
        }
        counters.labelled(&CALLS, "op0").add(1);
        let values = counters.read().remove(0).values;
        assert_eq!(values.len(), MAX_LABELS);
        let sum: u64 = values.iter().map(|(_, value)| value).sum();
        assert_eq!(sum, 101);
        assert!(values.contains(&("op0".to_owned(), 2)));
        assert!(values.contains(&(OTHER.to_owned(), 37)));
    }
}
