//! Every chore of this repository as a command: `cargo xtask --help`.

mod bench;
mod build;
mod cluster;
mod cmd;
mod demo;
mod image;
mod interrupt;
mod paths;
mod peers;
mod setup;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of kaos-telemetry.
#[derive(Parser)]
#[command(name = "cargo xtask", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
pub(crate) enum Chore {
    /// Install what the other chores need; says what it installs, asks nothing, may be repeated.
    Setup(setup::Args),
    /// Build the kernel programs and the probe.
    Build(build::Args),
    /// Show the main job: a real agent system, traced.
    Demo(demo::Args),
    /// Run every test.
    Test(test::Args),
    /// Measure every performance claim.
    Bench(bench::Args),
    /// Install or run the real servers, agents and clients that demo and tests use.
    Peers(peers::Args),
    /// Make container images of the probe and the webhook, without a daemon.
    Image(image::Args),
    /// Start a real Kubernetes cluster.
    Cluster(cluster::Args),
    /// Check the rules of the house that no other tool checks.
    Tidy(tidy::Args),
    /// Run the probe on other kernels, in virtual machines.
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let chore = Cli::parse().chore;
    let result = paths::ourselves().and_then(|_| perform(chore));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // In words; a backtrace of xtask helps nobody.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(chore: Chore) -> anyhow::Result<()> {
    match chore {
        Chore::Setup(args) => setup::run(&args),
        Chore::Build(args) => build::run(&args),
        Chore::Demo(args) => demo::run(&args),
        Chore::Test(args) => test::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Peers(args) => peers::run(&args),
        Chore::Image(args) => image::run(&args),
        Chore::Cluster(args) => cluster::run(&args),
        Chore::Tidy(args) => tidy::run(&args),
        Chore::Vm(args) => vm::run(&args),
    }
}
