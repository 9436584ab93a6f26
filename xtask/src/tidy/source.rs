//! Rules for Rust files.

use super::{Complaint, File, mentions};

/// The most lines of a file, tests not counted.
const MAX_LINES: usize = 450;

/// What clippy cannot forbid everywhere (the kernel half, macros) or not at all. Spelled in
/// halves, for this file is checked too.
const FORBIDDEN: [&str; 7] = [
    concat!(".unwrap", "()"),
    concat!("to", "do!("),
    concat!("db", "g!("),
    concat!("unimple", "mented!("),
    concat!("#[al", "low("),
    concat!("#![al", "low("),
    concat!("#[ig", "nore"),
];

pub(super) fn check(file: &File) -> Vec<Complaint> {
    if !file.is_rust() {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    if !file.is_test() && !file.text.starts_with("//! ") {
        complaints.push(file.complaint(1, "begins without a `//!` line that says what it is"));
    }
    let length = file.product_lines().count();
    if length > MAX_LINES && !file.path.starts_with("tests/") {
        complaints.push(file.complaint(0, format!("{length} lines, more than {MAX_LINES}")));
    }
    for (line, word) in mentions(file, &FORBIDDEN) {
        complaints.push(file.complaint(line, format!("`{word}` outside tests")));
    }
    for (i, line) in file.text.lines().enumerate() {
        if line.contains(concat!("TO", "DO")) || line.contains(concat!("FIX", "ME")) {
            complaints.push(file.complaint(i + 1, "a thing left to do"));
        }
        if line.trim_start().starts_with(concat!("#[ig", "nore")) {
            complaints.push(file.complaint(i + 1, "a test that is never run"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    fn complaints(text: &str) -> usize {
        check(&file("a/src/x.rs", text)).len()
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(complaints("//! X.\n"), 0);
        assert_eq!(complaints("fn x() {}\n"), 1);
        assert_eq!(check(&file("a.md", "fn x() {}\n")), []);
    }

    #[test]
    fn shortcuts_are_for_tests() {
        assert_eq!(complaints("//! X.\nfn x() { y().unwrap() }\n"), 1);
        assert_eq!(complaints("//! X.\nfn x() {} // not y().unwrap()\n"), 0);
        assert_eq!(
            complaints("//! X.\n#[cfg(test)]\nmod tests { fn x() { y().unwrap() } }\n"),
            0
        );
    }

    #[test]
    fn a_long_file_is_found_and_long_tests_are_not() {
        let long = "fn x() {}\n".repeat(MAX_LINES);
        assert_eq!(complaints(&format!("//! X.\n{long}")), 1);
        assert_eq!(complaints(&format!("//! X.\n#[cfg(test)]\n{long}")), 0);
    }

    #[test]
    fn every_test_is_run() {
        let text = concat!("//! X.\n#[cfg(test)]\nmod tests {\n    #[ig", "nore]\n}\n");
        assert_eq!(complaints(text), 1);
    }
}
