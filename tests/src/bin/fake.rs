//! `kaos-fake`: a fake model, MCP and agent server for tests and benchmarks.

use anyhow::Result;
use clap::Parser;
use e2e::fake::cli::FakeArgs;

#[derive(Debug, Parser)]
#[command(name = "kaos-fake")]
struct Command {
    #[command(flatten)]
    fake: FakeArgs,
}

fn main() -> Result<()> {
    Command::parse().fake.run()
}
