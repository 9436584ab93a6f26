//! What a step has found, counted.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::ops::Add;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::cmd::{limited, show};

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

/// How a step ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Its tests; a step that does not count its tests is one.
    pub(crate) tally: Tally,
    /// Why tests were skipped, what failed.
    pub(crate) notes: Vec<String>,
}

impl Outcome {
    /// One test that passed.
    pub(crate) fn passed() -> Self {
        Self {
            tally: Tally {
                passed: 1,
                ..Tally::default()
            },
            notes: Vec::new(),
        }
    }

    /// One test that was not run, and why.
    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        let notes = vec![format!("skipped: {}", why.into())];
        Self {
            tally: Tally {
                skipped: 1,
                ..Tally::default()
            },
            notes,
        }
    }

    /// One test that failed.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self {
            tally: Tally {
                failed: 1,
                ..Tally::default()
            },
            notes: vec![why.into()],
        }
    }

    /// Both outcomes as one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.tally = self.tally + other.tally;
        self.notes.extend(other.notes);
        self
    }
}

/// Runs `command` for at most `limit` and counts the tests that it reports: by lines
/// `test result: …` of Rust's test harness, or `N passed, N failed, N skipped` of our own.
/// A command that reports none is one test.
pub(crate) fn run(command: &Command, limit: Duration) -> anyhow::Result<Outcome> {
    eprintln!("+ {}", show(command));
    let mut child = limited(command, limit)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", show(command)))?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .context("cannot read the output")?
            > 0
        {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            tally = tally + counted(text.trim()).unwrap_or_default();
            line.clear();
        }
    }
    let status = child.wait().context("cannot wait for the command")?;
    Ok(judge(tally, status.code(), &show(command)))
}

/// The outcome of a command that reported `tally` and ended with `code`.
fn judge(mut tally: Tally, code: Option<i32>, command: &str) -> Outcome {
    let mut notes = Vec::new();
    if tally.skipped > 0 {
        notes.push(format!(
            "{} skipped for reasons printed above",
            tally.skipped
        ));
    }
    if code == Some(0) {
        if tally == Tally::default() {
            tally.passed = 1;
        }
        if tally.failed > 0 {
            notes.push(format!(
                "`{command}` reports failures though it exits with 0"
            ));
        }
        return Outcome { tally, notes };
    }
    // The command itself failed even if it has counted no failure.
    tally.failed = tally.failed.max(1);
    let how = match code {
        Some(124) => "took too long".to_owned(),
        Some(code) => format!("exit code {code}"),
        None => "ended by a signal".to_owned(),
    };
    notes.push(format!("`{command}`: {how}"));
    Outcome { tally, notes }
}

/// The counts in a line that reports them.
fn counted(line: &str) -> Option<Tally> {
    if let Some(result) = line.strip_prefix("test result: ") {
        let (_, counts) = result.split_once(". ")?;
        let parts: Vec<&str> = counts.split("; ").collect();
        return Some(Tally {
            passed: number_before(parts.first()?, "passed")?,
            failed: number_before(parts.get(1)?, "failed")?,
            skipped: number_before(parts.get(2)?, "ignored")?,
        });
    }
    let parts: Vec<&str> = line.split(", ").collect();
    let [passed, failed, skipped] = parts.as_slice() else {
        return None;
    };
    Some(Tally {
        passed: number_before(passed, "passed")?,
        failed: number_before(failed, "failed")?,
        skipped: number_before(skipped, "skipped")?,
    })
}

/// `12` of `12 passed`.
fn number_before(text: &str, word: &str) -> Option<u32> {
    text.strip_suffix(word)?.strip_suffix(' ')?.parse().ok()
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::command;

    fn tally(passed: u32, failed: u32, skipped: u32) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn both_kinds_of_reports_are_counted() {
        let harness = "test result: FAILED. 12 passed; 2 failed; 3 ignored; 0 measured; \
                       0 filtered out; finished in 0.51s";
        assert_eq!(counted(harness), Some(tally(12, 2, 3)));
        assert_eq!(
            counted("7 passed, 0 failed, 1 skipped"),
            Some(tally(7, 0, 1))
        );
        assert_eq!(counted(&tally(1, 2, 3).to_string()), Some(tally(1, 2, 3)));
        assert_eq!(counted("all 7 passed, none failed, no skipped"), None);
        assert_eq!(counted(""), None);
    }

    #[test]
    fn a_command_that_breaks_off_has_failed_whatever_it_counted() {
        let mut shell = command("sh");
        shell.args(["-c", "echo '4 passed, 0 failed, 0 skipped'; exit 101"]);
        let outcome = run(&shell, Duration::from_secs(30)).unwrap();
        assert_eq!(outcome.tally, tally(4, 1, 0));
        assert!(
            outcome.notes.iter().any(|note| note.contains("101")),
            "{:?}",
            outcome.notes
        );
    }

    #[test]
    fn reported_failures_count_whatever_the_exit_code() {
        let mut shell = command("sh");
        shell.args([
            "-c",
            "printf '\\377\\n'; echo '4 passed, 2 failed, 0 skipped'",
        ]);
        assert_eq!(
            run(&shell, Duration::from_secs(30)).unwrap().tally,
            tally(4, 2, 0)
        );
    }

    #[test]
    fn a_command_that_counts_nothing_is_one_test() {
        assert_eq!(
            run(&command("true"), Duration::from_secs(30)).unwrap(),
            Outcome::passed()
        );
        assert_eq!(
            run(&command("false"), Duration::from_secs(30))
                .unwrap()
                .tally,
            tally(0, 1, 0)
        );
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let mut sleep = command("sleep");
        sleep.arg("60");
        let outcome = run(&sleep, Duration::from_secs(1)).unwrap();
        assert_eq!(outcome.tally, tally(0, 1, 0));
        assert!(outcome.notes.iter().any(|note| note.contains("too long")));
    }
}
