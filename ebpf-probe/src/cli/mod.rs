//! The command line: what can be asked, and the answers of `--help`.

mod agent;
mod capture;
mod descriptors;
mod doctor;
mod file;
mod output;
mod patient;
mod run;
mod select;
mod stop;
mod watch;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// Sees the LLM, MCP and agent-to-agent calls of this host as OpenTelemetry spans, with nothing
/// restarted, changed or configured.
#[derive(Parser)]
#[command(
    name = "kaos-probe",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:\n  \
        kaos-probe watch                          every call on this host, a line each\n  \
        kaos-probe watch --tree --comm 'python*'  calls under their parents\n  \
        kaos-probe run -- python agent.py         one command and its children, with a summary\n  \
        kaos-probe agent --exe ollama             export by OTEL_EXPORTER_OTLP_ENDPOINT\n  \
        kaos-probe doctor 4711                    what is covered of process 4711, and why"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What the probe says about itself on stderr: error, warn, info, debug or trace.
    #[arg(
        long,
        global = true,
        env = "KAOS_PROBE_LOG",
        default_value = "warn",
        value_name = "LEVEL"
    )]
    log: tracing::Level,
}

#[derive(Subcommand)]
enum Command {
    /// Show calls live.
    Watch(watch::Args),
    /// Run a command under observation, from its first byte and with its children.
    Run(run::Args),
    /// Export calls: the daemon.
    Agent(agent::Args),
    /// Say what can be seen on this host, or of one process, and why.
    Doctor(doctor::Args),
    /// Waits for a byte on a descriptor, then becomes the command: the child side of `run`.
    #[command(hide = true)]
    Gate(run::GateArgs),
}

/// Runs what the command line asks for; returns the exit code.
pub(crate) fn main() -> anyhow::Result<u8> {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let chosen = matches.subcommand().map(|(_, matches)| matches);
    let is_given = |id: &str| {
        let source = chosen.and_then(|matches| matches.value_source(id));
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    };
    log_to_stderr(cli.log);
    match cli.command {
        Command::Watch(args) => watch::run(args),
        Command::Run(args) => run::run(&args),
        Command::Agent(args) => agent::run(&args, &is_given),
        Command::Doctor(args) => Ok(doctor::run(&args)),
        Command::Gate(args) => run::gate(&args),
    }
}

fn log_to_stderr(level: tracing::Level) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}
