//! Holds each call's parent against the number in its body.

use std::collections::HashMap;

use super::Cell;
use crate::fidelity::span::{Kind, SeenSpan};

/// One row of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) server: String,
    pub(super) what: &'static str,
    pub(super) at_once: usize,
    /// The server cuts its calls off from their requests.
    pub(super) is_detached: bool,
    /// Calls that the server made.
    pub(super) calls: usize,
    /// Of them: how many must be known for certain.
    pub(super) must: usize,
    pub(super) exact: usize,
    pub(super) inferred: usize,
    pub(super) none: usize,
    pub(super) wrong: usize,
    /// Milliseconds from the end of each call to its span, shortest first.
    pub(super) out_after: Vec<f64>,
}

impl Row {
    /// Adds the calls of another run.
    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.must += other.must;
        self.exact += other.exact;
        self.inferred += other.inferred;
        self.none += other.none;
        self.wrong += other.wrong;
        self.out_after.extend(other.out_after);
    }

    /// The half of the calls, and all of them, were out after so many milliseconds.
    pub(super) fn out_after(&self) -> [f64; 2] {
        let at = |place: usize| self.out_after.get(place).copied().unwrap_or_default();
        [
            at(self.out_after.len() / 2),
            at(self.out_after.len().saturating_sub(1)),
        ]
    }

    /// No parent is wrong, every call is there, and those that must be exact are. What is inferred
    /// is found where there is one request at a time.
    pub(super) const fn is_good(&self) -> bool {
        let found = self.exact + self.inferred;
        self.wrong == 0
            && self.exact >= self.must
            && (self.at_once > 1 || self.is_detached || found * 100 >= self.calls * 95)
            && found + self.none == self.calls
    }
}

/// A model call that a server under test made.
pub(super) fn is_call(span: &SeenSpan) -> bool {
    span.kind == Kind::Client && span.text("gen_ai.response.id").is_some()
}

pub(super) fn row(
    server: &str,
    cell: &Cell,
    at_once: usize,
    requests: usize,
    spans: &[SeenSpan],
    numbers: &HashMap<String, u64>,
) -> Row {
    let servers: HashMap<&str, &SeenSpan> = spans
        .iter()
        .filter(|span| span.kind == Kind::Server)
        .map(|span| (span.span_id.as_str(), span))
        .collect();
    let mut row = Row {
        server: server.to_owned(),
        what: cell.what,
        at_once,
        is_detached: cell.path == super::DETACHED,
        calls: requests * cell.calls,
        must: requests * cell.exact,
        ..Row::default()
    };
    for span in spans.iter().filter(|span| is_call(span)) {
        row.out_after
            .push(span.arrived.saturating_sub(span.end) as f64 / 1e6);
        let number = span
            .text("gen_ai.response.id")
            .and_then(|id| numbers.get(id));
        let parent = servers.get(span.parent_span_id.as_str());
        let found = parent.and_then(|s| s.text("url.path")?.rsplit('/').next()?.parse().ok());
        let right = number.is_some()
            && found == number.copied()
            && parent.is_some_and(|p| p.trace_id == span.trace_id);
        match span.text("telemetry.kaos.parent") {
            Some("exact") if right => row.exact += 1,
            Some("inferred") if right => row.inferred += 1,
            _ if span.parent_span_id.is_empty() => row.none += 1,
            said => {
                let parent = parent.and_then(|parent| parent.text("url.path"));
                eprintln!("wrong: {number:?} under {parent:?}, {said:?}: {span:?}");
                row.wrong += 1;
            }
        }
    }
    row.out_after.sort_by(f64::total_cmp);
    row
}
