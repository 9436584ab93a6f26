//! `cargo xtask bench`: every performance claim, as a ratio or a count of instructions.
//!
//! This machine's clock is shared with others, and there are no hardware counters: instructions
//! are counted by callgrind, times are compared with others of the same run.

mod pipeline;
mod probe;
mod program;
mod review;

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// From the ring buffer's bytes to spans: instructions per record, records per second.
    Pipeline(pipeline::Args),
    /// From a review's bytes to the webhook's answer: time, instructions, allocations.
    Review(review::Args),
    /// What a captured chunk costs the thread that writes it, beside the floor.
    Tap(probe::Args),
    /// What a process pays that is not opted in.
    Idle(probe::Args),
    /// What a chunk of a thousand streams costs their server.
    Load(probe::Args),
    /// The memory of the probe, in user space and in the kernel, and its size on disk.
    Rss(probe::Args),
    /// The time from the probe's start to the first captured call.
    First(probe::Args),
}

pub(crate) fn run(Args { what }: &Args) -> anyhow::Result<()> {
    match what {
        What::Pipeline(args) => pipeline::run(args),
        What::Review(args) => review::run(args),
        What::Tap(args) => probe::run("tap", args),
        What::Idle(args) => probe::run("idle", args),
        What::Load(args) => probe::run("load", args),
        What::Rss(args) => probe::run("rss", args),
        What::First(args) => probe::run("first", args),
    }
}
