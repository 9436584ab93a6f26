//! Running other programs: shown before they run, never waiting for a keyboard.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::setup::build_cache;

/// A command in the repository's root without standard input.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(crate::paths::root())
        .stdin(Stdio::null());
    command
}

/// The cargo that runs us, else the one on the path.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if let Some(dir) = build_cache::dir() {
        cargo.env(build_cache::VARIABLE, dir);
        // No crate of a fresh clone is built twice.
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    cargo
}

/// Runs `command`, showing it and its output; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("+ {}", show(command));
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", name(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", name(command));
    }
    Ok(())
}

/// What `command` prints on standard output; its errors are kept for the message.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", name(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed: {}: {}",
            name(command),
            output.status,
            said.trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{}: not UTF-8", name(command)))
}

/// True if `command` can be run and exits with 0. Its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `command` under `timeout`, which ends it and all its children after `limit`.
pub(crate) fn limited(command: &Command, limit: Duration) -> Command {
    let mut outer = Command::new("timeout");
    outer
        .arg("--kill-after=20")
        .arg(limit.as_secs().to_string());
    outer
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(key, value),
            None => outer.env_remove(key),
        };
    }
    outer
}

/// True if the program is root.
pub(crate) fn is_root() -> bool {
    read(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// The file that `program` on the path is, if there is one.
pub(crate) fn which(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

fn name(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// The command as one would type it, without its environment.
pub(crate) fn show(command: &Command) -> String {
    let mut words = vec![name(command)];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_an_error_with_its_words() {
        let error = read(command("sh").args(["-c", "echo woe >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("woe"), "{error}");
        assert!(error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn standard_input_is_empty() {
        assert_eq!(read(&mut command("cat")).unwrap(), "");
    }

    #[test]
    fn a_limit_ends_a_command_and_keeps_its_environment() {
        let mut slow = command("sh");
        slow.args(["-c", "test \"$KEPT\" = yes && sleep 60"])
            .env("KEPT", "yes");
        let start = std::time::Instant::now();
        let status = limited(&slow, Duration::from_secs(1)).status().unwrap();
        // 124 is what `timeout` says when it had to end the command.
        assert_eq!(status.code(), Some(124));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut command("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"));
    }
}
