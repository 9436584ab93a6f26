//! `e2e`: end-to-end tests of the probe.

use anyhow::Result;
use clap::{Parser, Subcommand};
use e2e::chart::ChartArgs;
use e2e::doctor::DoctorArgs;
use e2e::fake::cli::FakeArgs;
use e2e::fidelity::FidelityArgs;
use e2e::node::NodeArgs;
use e2e::otlp::OtlpArgs;
use e2e::parents::ParentsArgs;
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
    /// Hold the chart against real helm and a real API server.
    Chart(ChartArgs),
    /// Hold what `kaos-probe doctor` says of real programs against what is known of them.
    Doctor(DoctorArgs),
    /// Serve as a fake model, MCP and agent server.
    Fake(FakeArgs),
    /// Hold the probe's spans against the fake's log, for many clients.
    Fidelity(FidelityArgs),
    /// Hold the whole, installed by helm, against agents on a real node.
    Node(NodeArgs),
    /// Hold what a real collector got by gRPC and by HTTP against `watch --json` and the log.
    Otlp(OtlpArgs),
    /// Hold the parent of each call inside a process against what the program did.
    Parents(ParentsArgs),
    /// Hold the webhook against a real API server, under outages and load.
    Webhook(WebhookArgs),
}

fn main() -> Result<()> {
    match Command::parse().what {
        What::Chart(args) => args.run(),
        What::Doctor(args) => args.run(),
        What::Fake(args) => args.run(),
        What::Fidelity(args) => args.run(),
        What::Node(args) => args.run(),
        What::Otlp(args) => args.run(),
        What::Parents(args) => args.run(),
        What::Webhook(args) => args.run(),
    }
}
