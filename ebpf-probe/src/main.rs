//! kaos-probe: sees the LLM, MCP and agent-to-agent calls of a host as OpenTelemetry spans.

mod cli;
mod discover;
mod export;
mod feed;
mod kernel;
mod pattern;
mod pipeline;
mod view;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::main() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // A reader that has gone away must not change the exit code.
            let _ = writeln!(std::io::stderr(), "kaos-probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}
