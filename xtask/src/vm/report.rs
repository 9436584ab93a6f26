//! What a machine's console said.

use std::fmt;
use std::time::Duration;

/// What came out of one machine.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The kernel, as it names itself.
    kernel: String,
    /// Name and exit code of each part that ended.
    parts: Vec<(String, Option<i32>)>,
    /// Tests of the kernel half: name and whether it passed.
    tests: Vec<(String, bool)>,
    /// From power to the end.
    pub(super) took: Duration,
}

impl Report {
    /// Takes a line of the console.
    pub(super) fn take(&mut self, line: &str) {
        // The firmware clears the screen without ending its line.
        if let Some((_, said)) = line.split_once("guest: ") {
            self.take_ours(said);
        } else if let Some(test) = line.strip_prefix("test ") {
            // A test's own output may stand between its name and its result.
            let name = test.split(' ').next().unwrap_or_default();
            if let Some(passed) = result_of(line) {
                self.tests.push((name.to_owned(), passed));
            }
        }
    }

    fn take_ours(&mut self, said: &str) {
        if let Some(kernel) = said.strip_prefix("kernel ") {
            kernel.clone_into(&mut self.kernel);
        } else if let Some(part) = said.strip_prefix("begin ") {
            self.parts.push((part.to_owned(), None));
        } else if let Some(code) = said.strip_prefix("exit ")
            && let Some(part) = self.parts.last_mut()
        {
            part.1 = code.parse().ok();
        }
    }

    /// Whether all parts ran to a good end, and tests were among them.
    pub(super) fn is_good(&self) -> bool {
        !self.parts.is_empty()
            && self.parts.iter().all(|part| part.1 == Some(0))
            && self.tests.iter().any(|test| test.1)
            && self.tests.iter().all(|test| test.1)
    }
}

fn result_of(line: &str) -> Option<bool> {
    if line.ends_with("... ok") {
        return Some(true);
    }
    line.ends_with("FAILED").then_some(false)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kernel,
            parts,
            tests,
            took,
        } = self;
        let passed = tests.iter().filter(|test| test.1).count();
        write!(
            f,
            "{kernel}: {passed} of {} tests of the kernel half",
            tests.len()
        )?;
        for (part, code) in parts {
            match code {
                Some(0) => write!(f, ", {part} good")?,
                Some(code) => write!(f, ", {part} failed with {code}")?,
                None => write!(f, ", {part} never ended")?,
            }
        }
        write!(f, ", {:.0} s", took.as_secs_f64())?;
        for (name, _) in tests.iter().filter(|test| !test.1) {
            write!(f, "\n  failed: {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> Report {
        let mut report = Report::default();
        for line in lines {
            report.take(line);
        }
        report
    }

    #[test]
    fn a_machine_is_good_when_all_parts_ended_well() {
        let good = ["guest: begin tests", "test a ... ok", "guest: exit 0"];
        assert!(report(&good).is_good());
        assert!(!report(&good[..2]).is_good(), "it hung");
        assert!(!report(&["guest: begin tests", "guest: exit 0"]).is_good());
        assert!(!report(&[]).is_good(), "it never booted");
        let bad = ["guest: begin tests", "test a ... FAILED", "guest: exit 101"];
        assert!(!report(&bad).is_good());
    }
}
