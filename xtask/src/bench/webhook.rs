//! `cargo xtask bench webhook`: the webhook's decision over a grid of sizes, in process; then
//! reviews over TLS, against the program itself.

use std::path::{Path, PathBuf};

use super::program::{self, field};
use crate::cmd::{cargo, command, run as run_command};
use crate::paths;
use crate::peers::{Cache, HEY, Peer as _};

/// The function of the benchmark that is counted.
const MEASURED: &str = "*review*answer*";

const CONTAINERS: [u32; 3] = [1, 10, 100];
const ENV: [u32; 2] = [5, 40];
const UNKNOWN: [u32; 3] = [0, 16 << 10, 1 << 20];

/// Options of `bench webhook`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs of each size of the grid; the fastest counts.
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// A kaos-webhook to measure instead of the one that is built for it.
    #[arg(long)]
    webhook: Option<PathBuf>,
    /// Options of the load over TLS; `-- --help` shows them.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    grid(args.runs)?;
    load(args.webhook.as_deref(), &args.rest)
}

fn grid(runs: u32) -> anyhow::Result<()> {
    let binary = program::build("webhook-core", "review")?;
    println!(
        "| containers | env | unknown | body | time | reviews/s | instructions | allocations | allocated | patch |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for containers in CONTAINERS {
        for env in ENV {
            for unknown in UNKNOWN {
                println!("{}", cell(&binary, runs, [containers, env, unknown])?);
            }
        }
    }
    Ok(())
}

/// Reviews over TLS connections that are kept; `hey` sends them.
fn load(webhook: Option<&Path>, rest: &[String]) -> anyhow::Result<()> {
    // Each by itself: built together, the webhook would get features that it is not shipped with.
    let ours = webhook.is_none().then_some("kaos-webhook");
    for package in ["kaos-bench"].into_iter().chain(ours) {
        run_command(cargo().args(["build", "--release", "--package", package]))?;
    }
    let release = paths::target_dir().join("release");
    let ours = release.join("kaos-webhook");
    let hey = HEY.install(&Cache::from_env()?)?.join("usr/bin/hey");
    let mut bench = command(release.join("kaos-bench"));
    bench
        .arg("webhook")
        .env("HEY", hey)
        .env("KAOS_WEBHOOK", webhook.unwrap_or(&ours))
        .args(rest);
    run_command(&mut bench)
}

/// The row of one size.
fn cell(binary: &Path, runs: u32, size: [u32; 3]) -> anyhow::Result<String> {
    let [containers, env, unknown] = size;
    let rounds = (200_000 / (containers * env + unknown / 100 + 20)).max(20);
    let mut best = f64::MAX;
    let mut said = String::new();
    for _ in 0..runs {
        said = program::run(binary, &sizes(size, rounds))?;
        best = best.min(field::<f64>(&said, "seconds")? / f64::from(rounds));
    }
    // The program answers once before it counts its rounds.
    let counted = 4;
    let instructions = program::instructions(binary, MEASURED, &sizes(size, counted))?;
    let kib = |name| field::<f64>(&said, name).map(|bytes| bytes / 1024.0);
    Ok(format!(
        "| {containers} | {env} | {} KiB | {:.1} KiB | {:.1} µs | {:.0} | {} | {} | {:.1} KiB | {:.1} KiB |",
        unknown / 1024,
        kib("body")?,
        best * 1e6,
        1.0 / best,
        instructions / u64::from(counted + 1),
        field::<u64>(&said, "allocations")?,
        kib("bytes")?,
        kib("patch")?,
    ))
}

fn sizes([containers, env, unknown]: [u32; 3], rounds: u32) -> [(&'static str, String); 4] {
    [
        ("CONTAINERS", containers.to_string()),
        ("ENV", env.to_string()),
        ("UNKNOWN", unknown.to_string()),
        ("ROUNDS", rounds.to_string()),
    ]
}
