//! `cargo xtask bench`: every performance claim, as a ratio or a count of instructions.
//!
//! This machine's clock is shared with others, and there are no hardware counters: instructions
//! are counted by callgrind, times are compared with others of the same run.

mod pipeline;
mod probe;
mod program;
mod webhook;

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
    /// What a review costs the webhook, in process and over TLS: time, instructions, memory.
    Webhook(webhook::Args),
    /// What a captured chunk costs the thread that writes it, beside the floor.
    Tap(probe::Args),
    /// What a process pays that is not opted in.
    Idle(probe::Args),
    /// What a chunk of a thousand streams costs their server.
    Load(probe::Args),
    /// The memory of the probe, in user space and in the kernel, and its size on disk.
    Rss(probe::Args),
    /// What it costs to know which request each call is made for: tasks, goroutines, an app.
    Parents(probe::Args),
    /// The time from the probe's start to the first captured call.
    First(probe::Args),
}

pub(crate) fn run(Args { what }: &Args) -> anyhow::Result<()> {
    match what {
        What::Pipeline(args) => pipeline::run(args),
        What::Webhook(args) => webhook::run(args),
        What::Tap(args) => probe::run("tap", args),
        What::Idle(args) => probe::run("idle", args),
        What::Load(args) => probe::run("load", args),
        What::Rss(args) => probe::run("rss", args),
        What::Parents(args) => probe::parents(args),
        What::First(args) => probe::run("first", args),
    }
}
