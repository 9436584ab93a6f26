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

const WATCH_EXAMPLES: &str = "Examples:\n  \
    kaos-probe watch --errors                  calls that failed\n  \
    kaos-probe watch --tree --min-duration 2s  slow calls under their parents\n  \
    kaos-probe watch --content --model 'gpt*'  prompts and answers too, of some models\n  \
    kaos-probe watch --json > calls.jsonl      one object per call (docs/json.md)\n\n\
    Filters choose what is shown; --otlp exports every call all the same.";
const RUN_EXAMPLES: &str = "Examples:\n  \
    kaos-probe run -- python agent.py                    calls, tokens and errors at the end\n  \
    kaos-probe run --json calls.jsonl -- npm start       each call in a file as well\n  \
    kaos-probe run --hold -- curl https://api.openai.com not even the first TLS bytes missed";
const AGENT_EXAMPLES: &str = "Examples:\n  \
    OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317 kaos-probe agent --exe ollama\n  \
    kaos-probe agent --command '*uvicorn*' --port 8000   any that matches is captured\n  \
    kaos-probe agent --config /etc/kaos-probe.yaml       options from a file (docs/agent.md)\n  \
    kaos-probe agent --all --print-config                what would hold, and end";
const DOCTOR_EXAMPLES: &str = "Examples:\n  \
    kaos-probe doctor                      this host\n  \
    kaos-probe doctor $(pgrep -o ollama)   a process too\n\n\
    Exit code 0: all is well.";

#[derive(Subcommand)]
enum Command {
    /// Show calls live.
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(watch::Args),
    /// Run a command under observation, from its first byte and with its children.
    #[command(after_help = RUN_EXAMPLES)]
    Run(run::Args),
    /// Export calls: the daemon.
    #[command(after_help = AGENT_EXAMPLES)]
    Agent(agent::Args),
    /// Say what can be seen on this host, or of one process, and why.
    #[command(after_help = DOCTOR_EXAMPLES)]
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
