//! The table.

use std::fmt::Write as _;

use super::compare::{Side, Verdict};
use super::real::NOT_TO_BE_HAD;
use super::stats::Deviations;

/// Picks a side.
type OfSide = fn(&Verdict) -> &Side;

/// One cell with its result.
#[derive(Clone, Debug)]
pub struct Row {
    /// The cell's name.
    pub name: String,
    /// Its script for the fake.
    pub script: String,
    /// Calls at once.
    pub concurrency: u32,
    /// What came out; `Err` is the reason why the cell could not be.
    pub result: Result<Verdict, String>,
    /// What else is wrong.
    pub findings: Vec<String>,
}

impl Row {
    /// The cell is as it must be.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        self.findings.is_empty() && self.result.as_ref().is_ok_and(Verdict::is_perfect)
    }
}

/// The whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// All cells.
    pub rows: Vec<Row>,
    /// What belongs to no cell.
    pub findings: Vec<String>,
    /// Seconds from the probe's start to the first call seen.
    pub first_call: f64,
    /// The kernel's release.
    pub kernel: String,
    /// Times are not held.
    pub untimed: bool,
    /// No probe ran: only clients and log were compared.
    pub without_probe: bool,
}

/// The limits for a median and a 99th percentile, in milliseconds, at 1 and 20 calls at once.
const LIMITS: (f64, f64) = (1.0, 20.0);

impl Report {
    /// Every cell is perfect, and times are within their limits.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        let cells = self.rows.iter().all(Row::is_perfect) && !self.rows.is_empty();
        cells && self.findings.is_empty() && self.late().is_empty()
    }

    /// The times that are beyond their limits, of the server's side: its clock is the log's.
    #[must_use]
    pub fn late(&self) -> Vec<String> {
        if self.untimed {
            return Vec::new();
        }
        let times = Times::of(self, |verdict| &verdict.server, |at_once| at_once <= 20);
        let all = [
            ("start", &times.start),
            ("first chunk", &times.first),
            ("end", &times.end),
        ];
        let beyond = |d: &Deviations| d.median() > LIMITS.0 || d.p99() > LIMITS.1;
        let words = |(name, d): (&str, &Deviations)| {
            format!("{name}: median {:.3} ms, p99 {:.3} ms", d.median(), d.p99())
        };
        all.into_iter()
            .filter(|(_, d)| beyond(d))
            .map(words)
            .collect()
    }

    /// Calls in all cells.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.rows
            .iter()
            .filter_map(|row| row.result.as_ref().ok())
            .map(|v| v.calls)
            .sum()
    }

    /// The table and the sums, in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        if self.without_probe {
            text.push_str("Without a probe: only the clients' accounts and the fake's log.\n\n");
        }
        let good = self.rows.iter().filter(|row| row.is_perfect()).count();
        let phantoms: usize = self
            .rows
            .iter()
            .filter_map(|r| r.result.as_ref().ok())
            .map(|v| v.phantoms.len())
            .sum();
        let _ = writeln!(
            text,
            "{good} of {} cells are exact; {} calls, {} phantom spans; kernel {}; {:.2} s from \
             the probe's start to the first call seen.\n",
            self.rows.len(),
            self.calls(),
            phantoms
                + self
                    .findings
                    .iter()
                    .filter(|f| f.starts_with("phantom"))
                    .count(),
            self.kernel,
            self.first_call,
        );
        self.times(&mut text);
        text.push_str(
            "| cell | script | calls | client | server | start | first chunk | end | out after | |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|---|\n",
        );
        for row in &self.rows {
            line(&mut text, row);
        }
        for (cell, why) in NOT_TO_BE_HAD {
            let _ = writeln!(text, "| {cell} | | | | | | | | | not to be had: {why} |");
        }
        text
    }

    fn times(&self, text: &mut String) {
        text.push_str(
            "| side | calls at once | start | first chunk | end | out after |\n\
             |---|---|---:|---:|---:|---:|\n",
        );
        let sides: [(&str, OfSide); 2] = [
            ("server", |verdict| &verdict.server),
            ("client", |verdict| &verdict.client),
        ];
        for (name, side) in sides {
            let few = Times::of(self, side, |at_once| at_once <= 20);
            let many = Times::of(self, side, |at_once| at_once > 20);
            for (crowd, t) in [("1 to 20", few), ("200", many)] {
                let cells = [&t.start, &t.first, &t.end, &t.delay].map(both).join(" | ");
                let _ = writeln!(text, "| {name} | {crowd} | {cells} |");
            }
        }
        text.push('\n');
    }
}

fn line(text: &mut String, row: &Row) {
    let mark = if row.is_perfect() {
        "exact"
    } else {
        "**not exact**"
    };
    match &row.result {
        Ok(v) => {
            let cells = [
                &v.server.start,
                &v.server.first_chunk,
                &v.server.end,
                &v.server.delay,
            ];
            let _ = writeln!(
                text,
                "| {} | `{}` | {} | {} | {} | {} | {mark} |",
                row.name,
                row.script,
                v.calls,
                v.client.exact,
                v.server.exact,
                cells.map(both).join(" | ")
            );
        }
        Err(reason) => {
            let _ = writeln!(
                text,
                "| {} | `{}` | | | | | | | | {reason} |",
                row.name, row.script
            );
        }
    }
}

/// Median and 99th percentile.
fn both(deviations: &Deviations) -> String {
    if deviations.is_empty() {
        return String::new();
    }
    format!("{:.2} / {:.2}", deviations.median(), deviations.p99())
}

#[derive(Default)]
struct Times {
    start: Deviations,
    first: Deviations,
    end: Deviations,
    delay: Deviations,
}

impl Times {
    fn of(report: &Report, side: OfSide, crowd: fn(u32) -> bool) -> Self {
        let mut times = Self::default();
        for row in report.rows.iter().filter(|row| crowd(row.concurrency)) {
            let Ok(verdict) = &row.result else { continue };
            let side = side(verdict);
            times.start.extend(&side.start);
            times.first.extend(&side.first_chunk);
            times.end.extend(&side.end);
            times.delay.extend(&side.delay);
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(deviation: u64) -> Report {
        let mut verdict = Verdict {
            calls: 1,
            ..Verdict::default()
        };
        (verdict.client.exact, verdict.server.exact) = (1, 1);
        verdict.server.end.add(deviation);
        let row = Row {
            name: "x".to_owned(),
            script: "n5".to_owned(),
            concurrency: 20,
            result: Ok(verdict),
            findings: Vec::new(),
        };
        Report {
            rows: vec![row],
            ..Report::default()
        }
    }

    #[test]
    fn a_run_is_perfect_only_without_findings_and_in_time() {
        assert!(report(900_000).is_perfect());
        assert!(
            !report(1_100_000).is_perfect(),
            "the median is beyond its limit"
        );
        assert!(!Report::default().is_perfect(), "no cells");
        let mut other = report(0);
        other.findings.push("a phantom".to_owned());
        assert!(!other.is_perfect());
        let mut other = report(0);
        other.rows[0].result = Err("no such client".to_owned());
        assert!(!other.is_perfect() && other.markdown().contains("no such client"));
        assert!(report(0).markdown().contains("| x | `n5` | 1 | 1 | 1 |"));
    }
}
