//! A benchmark program of a package: built, asked what it says, and counted by callgrind.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cmd::{cargo, command, read, which};

/// Sizes for a benchmark program, by its variables' names.
pub(super) type Sizes = [(&'static str, String)];

/// Builds the benchmark `name` of `package`, optimized; gives its path.
pub(super) fn build(package: &str, name: &str) -> anyhow::Result<PathBuf> {
    let mut bench = cargo();
    bench.args(["bench", "--package", package, "--bench", name, "--no-run"]);
    bench.arg("--message-format=json");
    let said = read(&mut bench)?;
    executable(&said).context("cargo names no executable")
}

/// What the program says.
pub(super) fn run(binary: &Path, sizes: &Sizes) -> anyhow::Result<String> {
    read(command(binary).envs(sizes.iter().cloned()))
}

/// The instructions inside the functions whose names match `measured`.
pub(super) fn instructions(binary: &Path, measured: &str, sizes: &Sizes) -> anyhow::Result<u64> {
    if which("valgrind").is_none() {
        bail!("valgrind is missing; `cargo xtask setup` installs it");
    }
    let mut callgrind = command("valgrind");
    callgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={measured}"))
        .arg(binary)
        .envs(sizes.iter().cloned());
    let output = callgrind.output().context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("callgrind failed: {}", said.trim());
    }
    collected(&said)
        .filter(|count| *count > 0)
        .context("callgrind has counted nothing")
}

/// The value of `name=value` among words.
pub(super) fn field<T: std::str::FromStr>(said: &str, name: &str) -> anyhow::Result<T> {
    said.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .find_map(|(key, value)| (key == name).then(|| value.parse().ok()).flatten())
        .with_context(|| format!("the benchmark does not say {name}"))
}

/// The last executable that cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
}

/// The number in callgrind's line `Collected : N`.
fn collected(said: &str) -> Option<u64> {
    said.lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_what_programs_say() {
        let said = "==1== \n==1== Collected : 123456\n==1== \n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("==1== Events : Ir"), None);
        assert_eq!(field::<u32>("records=7 seconds=0.5", "records").unwrap(), 7);
        assert!(field::<u32>("records=x", "records").is_err());
    }

    #[test]
    fn the_executable_is_the_last_that_cargo_names() {
        let messages = "{\"executable\":null}\n{\"executable\":\"/a/b\"}\n{\"reason\":\"x\"}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/a/b")));
        assert_eq!(executable("{\"executable\":null}\nnot json\n"), None);
    }
}
