//! The commands.

mod explain;

use std::io::Write as _;

use clap::Parser as _;
use kaos_webhook::Settings;

/// Gives the pods of KAOS components their telemetry environment.
#[derive(clap::Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what would be injected into a pod, from where, and if nothing: why.
    Explain(explain::Args),
    /// Print the configuration that holds when none is given.
    DefaultConfig,
}

pub(crate) fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Explain(args) => explain::run(&args),
        Command::DefaultConfig => print(&Settings::default().to_yaml()),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
