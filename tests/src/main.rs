//! `e2e`: end-to-end tests of the probe.

use anyhow::Result;
use clap::{Parser, Subcommand};
use e2e::fake::cli::FakeArgs;
use e2e::fidelity::FidelityArgs;
use e2e::webhook::WebhookArgs;

/// End-to-end tests of the probe against real processes and a real kernel.
#[derive(Debug, Parser)]
#[command(name = "e2e")]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Serve as a fake model, MCP and agent server.
    Fake(FakeArgs),
    /// Hold the probe's spans against the fake's log, for many clients.
    Fidelity(FidelityArgs),
    /// Hold the webhook against a real API server, under outages and load.
    Webhook(WebhookArgs),
}

fn main() -> Result<()> {
    match Command::parse().what {
        What::Fake(args) => args.run(),
        What::Fidelity(args) => args.run(),
        What::Webhook(args) => args.run(),
    }
}
