//! `cargo xtask bench`: every performance claim, as a ratio or a count of instructions.
//!
//! This machine's clock is shared with others, and there are no hardware counters: instructions
//! are counted by callgrind, times are compared with others of the same run.

mod pipeline;

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
}

pub(crate) fn run(Args { what }: &Args) -> anyhow::Result<()> {
    match what {
        What::Pipeline(args) => pipeline::run(args),
    }
}
