//! `cargo xtask bench pipeline`: the stages in user space, without IO.

use super::program::{self, field};

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
    let binary = program::build("probe-core", "pipeline")?;
    let mut best = f64::MAX;
    let mut records = 0;
    // The time is the thread's own, but caches are shared: the fastest run is the least disturbed.
    for _ in 0..5 {
        let said = program::run(&binary, &size(*streams, *chunks))?;
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
    let chunks = (chunks / 10).max(1);
    let instructions = program::instructions(&binary, MEASURED, &size(*streams, chunks))?;
    let counted = u64::from(streams * chunks);
    println!(
        "pipeline: {} instructions per record (callgrind)",
        instructions / counted
    );
    Ok(())
}

fn size(streams: u32, chunks: u32) -> [(&'static str, String); 2] {
    [
        ("STREAMS", streams.to_string()),
        ("CHUNKS", chunks.to_string()),
    ]
}
