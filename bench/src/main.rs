//! Measures what kaos-probe and kaos-webhook cost; `cargo xtask bench` builds what it needs and runs it.
//!
//! Machines are shared and noisy, so every figure is a median and is compared with others of the
//! same run. What is measured sits on CPU 0; peers, the probe and this program sit on CPU 1.

mod cpu;
mod first;
mod floor;
mod http;
mod idle;
mod load;
mod memory;
mod parents;
mod probe;
mod rss;
mod stats;
mod tap;
mod webhook;
mod work;
mod worker;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "kaos-bench", version)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

/// The programs that a measurement needs.
#[derive(clap::Args, Clone, Debug)]
struct Programs {
    /// kaos-probe.
    #[arg(long, env = "KAOS_PROBE")]
    probe: PathBuf,
    /// The object with the floor's programs.
    #[arg(long, env = "KAOS_BENCH_FLOOR")]
    floor: PathBuf,
    /// kaos-fake, the server of `load`, `rss` and `first`.
    #[arg(long, env = "KAOS_FAKE")]
    fake: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// What a captured chunk costs the thread that writes it, beside the floor.
    Tap(tap::Args),
    /// What a process pays that is not opted in.
    Idle(idle::Args),
    /// What a chunk of a thousand streams costs their server.
    Load(load::Args),
    /// The memory of the probe, in user space and in the kernel, and its size on disk.
    Rss(rss::Args),
    /// What it costs to know which request each call is made for: tasks, goroutines, an app.
    Parents(parents::Args),
    /// The time from the probe's start to the first captured call.
    First(first::Args),
    /// How soon and at what price kaos-webhook answers reviews.
    Webhook(webhook::Args),
    /// The process that is measured: works as its standard input says.
    #[command(hide = true)]
    Work(work::Args),
}

fn main() -> anyhow::Result<()> {
    let what = Cli::parse().what;
    if !matches!(what, What::Work(_)) {
        probe::warn_of_others();
    }
    match what {
        What::Tap(args) => tap::run(&args),
        What::Idle(args) => idle::run(&args),
        What::Load(args) => load::run(&args),
        What::Rss(args) => rss::run(&args),
        What::Parents(args) => parents::run(&args),
        What::First(args) => first::run(&args),
        What::Webhook(args) => webhook::run(&args),
        What::Work(args) => work::run(&args),
    }
}
