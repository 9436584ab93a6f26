//! What is built from Go modules.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::command::{quiet, which};

/// `go install MODULE@VERSION` into a folder, with more environment.
pub(crate) fn install(module: &str, into: &Path, env: &[(&str, &str)]) -> Result<()> {
    quiet(go()?.env("GOBIN", into).envs(env.iter().copied()).args([
        "install",
        "-trimpath",
        "-ldflags",
        "-s -w",
        module,
    ]))
}

/// The go program, with the lowest priority: its builds take minutes of every core.
pub(crate) fn go() -> Result<Command> {
    if which("go").is_none() {
        bail!("there is no go: install Go 1.26 or newer (https://go.dev/dl)");
    }
    let mut command = Command::new("nice");
    command.arg("go");
    Ok(command)
}
