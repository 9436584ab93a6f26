//! `cargo xtask bench review`: the webhook's decision over a grid of sizes, in process.

use std::path::Path;

use super::program::{self, field};

/// The function of the benchmark that is counted.
const MEASURED: &str = "*review*answer*";

const CONTAINERS: [u32; 3] = [1, 10, 100];
const ENV: [u32; 2] = [5, 40];
const UNKNOWN: [u32; 3] = [0, 16 << 10, 1 << 20];

/// Options of `bench review`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs of each size; the fastest counts.
    #[arg(long, default_value_t = 5)]
    runs: u32,
}

pub(crate) fn run(Args { runs }: &Args) -> anyhow::Result<()> {
    let binary = program::build("webhook-core", "review")?;
    println!(
        "| containers | env | unknown | body | time | reviews/s | instructions | allocations | allocated | patch |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for containers in CONTAINERS {
        for env in ENV {
            for unknown in UNKNOWN {
                println!("{}", cell(&binary, *runs, [containers, env, unknown])?);
            }
        }
    }
    Ok(())
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
