//! `cargo xtask bench tap`, `idle`, `load`, `rss`, `parents` and `first`: what the probe costs. The
//! measuring itself is the package `kaos-bench`; here is what it needs.

use std::path::PathBuf;

use anyhow::bail;

use crate::build::{self, kernel};
use crate::cmd::{cargo, command, is_root, run as run_command};
use crate::peers::{Cache, LiteLlm, Peer as _, golang};
use crate::{paths, setup};

/// Options of a measurement.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A kaos-probe to measure instead of the one that is built for it.
    #[arg(long)]
    probe: Option<PathBuf>,
    /// Options of the measurement itself; `-- --help` shows them.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds what is measured and what measures, and runs `kaos-bench WHAT`.
pub(crate) fn run(what: &str, args: &Args) -> anyhow::Result<()> {
    measure(what, args, &[])
}

/// The same for `parents`, which needs programs of others besides.
pub(crate) fn parents(args: &Args) -> anyhow::Result<()> {
    let cache = Cache::from_env()?;
    let python = LiteLlm.install(&cache)?.join("bin/python");
    let folder = paths::target_dir().join("bench-parents");
    // What an ended build has left would be in its way.
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder)?;
    let goroutines = folder.join("goroutines");
    golang::build(&GOROUTINES, "", &goroutines)?;
    let programs = [("KAOS_PYTHON", python), ("KAOS_GOROUTINES", goroutines)];
    measure("parents", args, &programs)
}

/// The program whose goroutines are measured.
const GOROUTINES: [(&str, &str); 2] = [
    ("main.go", include_str!("../../../bench/parents/main.go")),
    ("go.mod", include_str!("../../../bench/parents/go.mod")),
];

fn measure(
    what: &str,
    Args { probe, rest }: &Args,
    programs: &[(&str, PathBuf)],
) -> anyhow::Result<()> {
    if !is_root() {
        bail!("`cargo xtask bench {what}` loads programs into the kernel: run it as root");
    }
    let route = setup::for_build()?;
    kernel::build(&route)?;
    let probe = match probe {
        Some(probe) => probe.clone(),
        None => build::probe(true)?,
    };
    let mut build = cargo();
    build.args(["build", "--release", "--package", "kaos-bench"]);
    build.args([
        "--package",
        "e2e",
        "--bin",
        "kaos-bench",
        "--bin",
        "kaos-fake",
    ]);
    run_command(&mut build)?;
    let release = paths::target_dir().join("release");
    let mut bench = command(release.join("kaos-bench"));
    bench
        .arg(what)
        .env("KAOS_PROBE", probe)
        .env("KAOS_FAKE", release.join("kaos-fake"))
        .env("KAOS_BENCH_FLOOR", paths::floor_object())
        .envs(programs.iter().map(|(name, path)| (name, path)))
        .args(rest);
    run_command(&mut bench)
}
