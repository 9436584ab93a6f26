//! The table kernel × case.

use std::fmt::Write as _;

use super::report::Report;

/// What stands above the table in docs/kernels.md.
pub(super) const INTRODUCTION: &str = "# Kernels

What was seen on Debian's kernels for virtual machines, under qemu without KVM.
A column is a kernel, a row a case, and a cell names the socket taps on which it passed: `tests` are those of the kernel half (`ebpf-probe/src/kernel/tests/`: what a process wrote and read over loopback is what the records hold, byte for byte), `calls` are a Python client's calls to the fake server, which have to become exact spans, without TLS and with it.
The first row is the tap that a kernel chooses by itself: fentry where programs may hang on functions so, and syscalls elsewhere. `kaos-probe doctor` says which and why, `--tap` forces one.

Before 5.17 programs have no loops: the taps on functions, for which the verifier would take minutes, are not taken there, and of an operation of more than 1 MiB the first pieces are captured, the rest is a counted hole.
Where there is neither fentry nor kprobe, as on kernels of some virtual machines, `cargo test` runs the same tests on the system calls.

This page is written by `cargo xtask vm --write docs/kernels.md`.
";

/// A row for each case, a column for each kernel.
pub(super) fn markdown(reports: &[Report]) -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for part in reports.iter().flat_map(Report::parts) {
        let (kind, _) = split(&part.name);
        for (case, _) in &part.cases {
            if !rows.contains(&(kind, case)) {
                rows.push((kind, case));
            }
        }
    }
    rows.sort_by_key(|row| row.0);
    let mut text = "| | |".to_owned();
    for report in reports {
        let _ = write!(text, " {} |", report.kernel());
    }
    text.push_str("\n| --- | --- |");
    text.push_str(&" --- |".repeat(reports.len()));
    if reports.iter().any(|report| report.choice().is_some()) {
        text.push_str("\n| | its own choice |");
        for report in reports {
            let _ = write!(text, " {} |", report.choice().unwrap_or("none"));
        }
    }
    for (kind, case) in rows {
        let _ = write!(text, "\n| {kind} | {case} |");
        for report in reports {
            let _ = write!(text, " {} |", cell(report, kind, case));
        }
    }
    text.push('\n');
    text
}

/// Kind and tap of a part.
fn split(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or((name, "ok"))
}

/// The taps on which the case passed, and those on which it failed.
fn cell(report: &Report, kind: &str, case: &str) -> String {
    let mut taps = Vec::new();
    for part in report.parts() {
        let (of, tap) = split(&part.name);
        let cases = part.cases.iter().filter(|one| of == kind && one.0 == case);
        let results: Vec<bool> = cases.map(|one| one.1).collect();
        match results.as_slice() {
            [] => {}
            all if all.contains(&false) => taps.push(format!("{tap} FAILED")),
            _ => taps.push(tap.to_owned()),
        }
    }
    if taps.is_empty() {
        "not run".to_owned()
    } else {
        taps.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_names_the_taps_and_a_case_that_was_not_reached_is_told() {
        let mut good = Report::of("6.1");
        let mut hung = Report::of("sid");
        for line in [
            "guest: begin tests/fentry 9",
            "test a ... ok",
            "test b ... ok",
            "guest: exit 0 11",
            "guest: begin tests/kprobe 12",
            "test a ... ok",
            "test b ... FAILED",
        ] {
            good.take(line);
        }
        hung.take("guest: begin tests/fentry 9");
        let table = markdown(&[good, hung]);
        for row in [
            "| | | 6.1 | sid |",
            "| tests | a | fentry, kprobe | not run |",
            "| tests | b | fentry, kprobe FAILED | not run |",
        ] {
            assert!(table.contains(row), "{table}");
        }
        assert!(!table.contains("choice"), "{table}");
    }
}
