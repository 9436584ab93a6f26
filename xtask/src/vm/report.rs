//! What a machine's console said.

use std::fmt;
use std::time::Duration;

/// What came out of one machine.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What the command line calls the kernel.
    name: &'static str,
    /// The kernel, as it names itself.
    kernel: String,
    parts: Vec<Part>,
    /// The socket tap that the probe chose by itself.
    choice: Option<String>,
    /// From power to the end.
    took: Duration,
}

/// A program that was run.
#[derive(Debug)]
pub(super) struct Part {
    /// What it tests.
    pub(super) name: String,
    /// Its exit code; `None` if it never ended.
    code: Option<i32>,
    /// Seconds since the machine's start when it began and, once it has, ended.
    time: (u32, Option<u32>),
    /// Its cases: name and whether it passed.
    pub(super) cases: Vec<(String, bool)>,
}

impl Report {
    /// Nothing so far of the kernel that the command line calls `name`.
    pub(super) fn of(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Takes a line of the console.
    pub(super) fn take(&mut self, line: &str) {
        // The firmware clears the screen without ending its line.
        if let Some((_, said)) = line.split_once("guest: ") {
            self.take_ours(said);
        } else if let Some((_, said)) = line.split_once("socket tap ") {
            self.choice = said.trim().split(':').next().map(str::to_owned);
        } else if let Some(case) = case_of(line)
            && let Some(part) = self.parts.last_mut()
        {
            part.cases.push(case);
        }
    }

    /// The machine has ended.
    pub(super) const fn ended(&mut self, took: Duration) {
        self.took = took;
    }

    fn take_ours(&mut self, said: &str) {
        let words: Vec<&str> = said.split(' ').collect();
        match words.as_slice() {
            ["kernel", kernel] => (*kernel).clone_into(&mut self.kernel),
            ["begin", name, at] => self.parts.push(Part {
                name: (*name).to_owned(),
                code: None,
                time: (at.parse().unwrap_or(0), None),
                cases: Vec::new(),
            }),
            ["exit", code, at] => {
                if let Some(part) = self.parts.last_mut() {
                    part.code = code.parse().ok();
                    part.time.1 = at.parse().ok();
                }
            }
            _ => {}
        }
    }

    /// The kernel, as it names itself if it came so far.
    pub(super) fn kernel(&self) -> &str {
        match self.kernel.as_str() {
            "" => self.name,
            known => known,
        }
    }

    /// The socket tap that the probe chose by itself, if it was asked.
    pub(super) fn choice(&self) -> Option<&str> {
        self.choice.as_deref()
    }

    /// What was run.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether all parts ran to a good end, and cases were among them.
    pub(super) fn is_good(&self) -> bool {
        let mut cases = self.parts.iter().flat_map(|part| &part.cases);
        self.parts.iter().all(|part| part.code == Some(0))
            && self.parts.iter().any(|part| !part.cases.is_empty())
            && cases.all(|case| case.1)
    }
}

/// The case that a line gives the result of: of a test, or of a cell of the fidelity matrix.
fn case_of(line: &str) -> Option<(String, bool)> {
    if let Some(test) = line.strip_prefix("test ") {
        // A test's own output may stand between its name and its result.
        let name = test.split(' ').next().unwrap_or_default();
        let name = name.rsplit("::").next().unwrap_or(name);
        let passed = match line {
            line if line.ends_with("... ok") => true,
            line if line.ends_with("FAILED") => false,
            _ => return None,
        };
        return Some((name.to_owned(), passed));
    }
    let (_, said) = line.split_once(" s  ")?;
    match said.split_once("  ") {
        Some(("exact", name)) => Some((name.to_owned(), true)),
        Some(("NOT EXACT", name)) => Some((name.to_owned(), false)),
        _ => None,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:.0} s", self.kernel(), self.took.as_secs_f64())?;
        for part in &self.parts {
            let Part {
                name,
                code,
                time,
                cases,
            } = part;
            let passed = cases.iter().filter(|case| case.1).count();
            write!(f, "\n  {name}: ")?;
            match code {
                Some(0) => write!(f, "good")?,
                Some(code) => write!(f, "failed with {code}")?,
                None => write!(f, "never ended")?,
            }
            if !cases.is_empty() {
                write!(f, ", {passed} of {} cases", cases.len())?;
            }
            if let (start, Some(end)) = time {
                write!(f, ", {} s", end.saturating_sub(*start))?;
            }
            for (name, _) in cases.iter().filter(|case| !case.1) {
                write!(f, "\n    failed: {name}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> Report {
        let mut report = Report::of("6.1");
        for line in lines {
            report.take(line);
        }
        report
    }

    #[test]
    fn a_machine_is_good_when_all_parts_ended_well() {
        let good = ["guest: begin tests 9", "test a ... ok", "guest: exit 0 11"];
        assert!(report(&good).is_good());
        assert!(!report(&good[..2]).is_good(), "it hung");
        assert!(!report(&["guest: begin tests 9", "guest: exit 0 9"]).is_good());
        assert!(!report(&[]).is_good(), "it never booted");
        let bad = [
            "guest: begin tests 9",
            "test a ... FAILED",
            "guest: exit 0 9",
        ];
        assert!(!report(&bad).is_good());
    }

    #[test]
    fn the_choice_is_what_doctor_says() {
        let line = "  ok  socket tap       fentry: fentry and fexit of tcp_sendmsg";
        assert_eq!(report(&[line]).choice(), Some("fentry"));
        assert_eq!(report(&[]).choice(), None);
    }

    #[test]
    fn cases_are_tests_and_cells() {
        let exact = "   9.1 s  exact  python http.client chat plain n5";
        assert_eq!(
            case_of(exact),
            Some(("python http.client chat plain n5".to_owned(), true))
        );
        let bad = exact.replace("exact", "NOT EXACT");
        assert_eq!(case_of(&bad).map(|case| case.1), Some(false));
        let test = case_of("test kernel::tests::kind::a_b ... ok");
        assert_eq!(test, Some(("a_b".to_owned(), true)));
        assert_eq!(case_of("test result: ok. 1 passed; 0 failed"), None);
        assert_eq!(case_of("[    9.1 s  what"), None);
    }
}
