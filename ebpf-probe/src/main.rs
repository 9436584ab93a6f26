//! kaos-probe: sees the LLM, MCP and agent-to-agent calls of a host as OpenTelemetry spans.

mod cli;
mod discover;
mod export;
mod feed;
mod kernel;
mod pipeline;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::main() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("kaos-probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}
