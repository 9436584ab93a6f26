//! Running an installation step: quiet when it works, plain about what failed when it does not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// How many lines of a failed step's output are shown.
const SHOWN_LINES: usize = 25;

/// Runs a step to its end and gives its standard output.
///
/// A failure's error holds the last lines that the step wrote.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}; is it installed?"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let all = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = all.lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        bail!("{name} failed ({}):\n{last}", output.status);
    }
    Ok(stdout)
}

/// Runs a step to its end, its output thrown away unless it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// The full path of a program on the search path, if it is there.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_shows_its_last_lines() {
        let script = "for i in $(seq 40); do echo line $i; done; exit 3";
        let error = quiet(Command::new("sh").args(["-c", script])).expect_err("fails");
        let text = error.to_string();
        assert!(text.contains("line 40") && !text.contains("line 15\n"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = quiet(&mut Command::new("no-such-program")).expect_err("fails");
        assert!(error.to_string().contains("no-such-program"));
    }

    #[test]
    fn programs_are_found_on_the_search_path() {
        assert!(which("sh").is_some());
        assert!(which("no-such-program").is_none());
    }
}
