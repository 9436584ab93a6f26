//! `cargo xtask bench pipeline`: the stages in user space, without IO.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cmd::{cargo, command, read, which};

/// The function of the benchmark that is counted.
const MEASURED: &str = "*feed_measured*";

/// Options of `bench pipeline`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Streams that are open side by side.
    #[arg(long, default_value_t = 1000)]
    streams: u32,
    /// Chunks of each stream in the run that is timed; the run that is counted has a tenth.
    #[arg(long, default_value_t = 100)]
    chunks: u32,
}

pub(crate) fn run(Args { streams, chunks }: &Args) -> anyhow::Result<()> {
    let binary = build()?;
    let mut best = f64::MAX;
    let mut records = 0;
    // The time is the thread's own, but caches are shared: the fastest run is the least disturbed.
    for _ in 0..5 {
        let said = read(command(&binary).envs(size(*streams, *chunks)))?;
        records = field(&said, "records")?;
        best = best.min(field(&said, "seconds")?);
    }
    println!(
        "pipeline: {records} records of {streams} streams in {:.1} ms",
        best * 1e3
    );
    println!(
        "pipeline: {:.0} records per second on one core",
        f64::from(records) / best
    );
    if which("valgrind").is_none() {
        bail!("valgrind is missing; `cargo xtask setup` installs it");
    }
    let chunks = (chunks / 10).max(1);
    let instructions = instructions(&binary, *streams, chunks)?;
    let counted = u64::from(streams * chunks);
    println!(
        "pipeline: {} instructions per record (callgrind)",
        instructions / counted
    );
    Ok(())
}

fn build() -> anyhow::Result<PathBuf> {
    let mut bench = cargo();
    bench.args([
        "bench",
        "--package",
        "probe-core",
        "--bench",
        "pipeline",
        "--no-run",
    ]);
    bench.arg("--message-format=json");
    let said = read(&mut bench)?;
    executable(&said).context("cargo names no executable")
}

/// The last executable that cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
}

fn instructions(binary: &Path, streams: u32, chunks: u32) -> anyhow::Result<u64> {
    let mut callgrind = command("valgrind");
    callgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(binary)
        .envs(size(streams, chunks));
    let output = callgrind.output().context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("callgrind failed: {}", said.trim());
    }
    collected(&said)
        .filter(|count| *count > 0)
        .context("callgrind has counted nothing")
}

/// The number in callgrind's line `Collected : N`.
fn collected(said: &str) -> Option<u64> {
    said.lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn size(streams: u32, chunks: u32) -> [(&'static str, String); 2] {
    [
        ("STREAMS", streams.to_string()),
        ("CHUNKS", chunks.to_string()),
    ]
}

/// The value of `name=value` among words.
fn field<T: std::str::FromStr>(said: &str, name: &str) -> anyhow::Result<T> {
    said.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .find_map(|(key, value)| (key == name).then(|| value.parse().ok()).flatten())
        .with_context(|| format!("the benchmark does not say {name}"))
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
