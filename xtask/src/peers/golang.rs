//! What is built from Go modules.

use std::fs;
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

/// Builds a program of our own, given as files of one folder, into the file `program`. Its modules
/// are those of its `go.sum`.
pub(crate) fn build(files: &[(&str, &str)], linking: &str, program: &Path) -> Result<()> {
    let source = program.with_file_name("_build");
    fs::create_dir(&source)?;
    for (name, text) in files {
        fs::write(source.join(name), text)?;
    }
    let mut go = go()?;
    go.current_dir(&source)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false"])
        .args(["-ldflags", linking, "-o"])
        .arg(program)
        .arg(".");
    quiet(&mut go)?;
    Ok(fs::remove_dir_all(source)?)
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
