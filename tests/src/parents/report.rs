//! The table.

use std::fmt::Write as _;

use super::judge::Row;

/// A row in a line.
pub(super) fn line(row: &Row) -> String {
    let [half, all] = row.out_after();
    format!(
        "{:<26} {:>4} at once: {:>5} calls, {:>5} exact, {:>5} inferred, {:>5} none, {:>3} wrong, out after {half:.0} to {all:.0} ms  {}",
        row.server,
        row.at_once,
        row.calls,
        row.exact,
        row.inferred,
        row.none,
        row.wrong,
        if row.is_good() { "ok" } else { "NOT GOOD" }
    )
}

/// The table as a part of `docs/parents.md`.
pub(super) fn document(rows: &[Row]) -> String {
    let mut text = String::from(
        "| server | calls of a request | at once | calls | exact, right | inferred, right | none | wrong | out after |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let Row {
            server,
            what,
            at_once,
            calls,
            exact,
            inferred,
            none,
            wrong,
            ..
        } = row;
        let [half, all] = row.out_after();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {server} | {what} | {at_once} | {calls} | {exact} | {inferred} | {none} | {wrong} | {half:.0} / {all:.0} |"
        );
    }
    text
}
