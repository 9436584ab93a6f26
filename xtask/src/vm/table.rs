//! The table kernel × case.

use std::fmt::Write as _;

use super::report::Report;

/// What stands above the table in docs/kernels.md.
pub(super) const INTRODUCTION: &str = "# Kernels

Debian's kernels for virtual machines, each booted under qemu with this repository's own tests: the
programs load, sockets are recorded as they were used, and a Python client's calls to the fake
server become spans, without TLS and with it. A column is a kernel, a row a case.
The table is made by `cargo xtask vm --write docs/kernels.md`.
";

/// A row for each case, a column for each kernel.
pub(super) fn markdown(reports: &[Report]) -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for part in reports.iter().flat_map(Report::parts) {
        for (case, _) in &part.cases {
            if !rows.contains(&(&part.name, case)) {
                rows.push((&part.name, case));
            }
        }
    }
    let mut text = "| part | case |".to_owned();
    for report in reports {
        let _ = write!(text, " {} |", report.kernel());
    }
    text.push_str("\n| --- | --- |");
    text.push_str(&" --- |".repeat(reports.len()));
    for (part, case) in rows {
        let _ = write!(text, "\n| {part} | {case} |");
        for report in reports {
            let _ = write!(text, " {} |", cell(report, part, case));
        }
    }
    text.push('\n');
    text
}

fn cell(report: &Report, part: &str, case: &str) -> &'static str {
    let mut cases = report
        .parts()
        .iter()
        .filter(|one| one.name == part)
        .flat_map(|one| &one.cases)
        .filter(|one| one.0 == case)
        .map(|one| one.1)
        .peekable();
    if cases.peek().is_none() {
        return "not run";
    }
    if cases.all(|passed| passed) {
        "ok"
    } else {
        "FAILED"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_a_kernel_did_not_reach_is_told() {
        let mut good = Report::of("6.1");
        let mut hung = Report::of("sid");
        for line in ["guest: begin tests 9", "test a ... ok", "test b ... FAILED"] {
            good.take(line);
        }
        hung.take("guest: begin tests 9");
        let table = markdown(&[good, hung]);
        assert!(table.contains("| part | case | 6.1 | sid |"), "{table}");
        assert!(table.contains("| tests | a | ok | not run |"), "{table}");
        assert!(
            table.contains("| tests | b | FAILED | not run |"),
            "{table}"
        );
    }
}
