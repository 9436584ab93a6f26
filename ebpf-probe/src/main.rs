//! kaos-probe: sees the LLM, MCP and agent-to-agent calls of a host as OpenTelemetry spans.

mod cli;
mod discover;
mod export;
mod feed;
mod kernel;
mod kubernetes;
mod pattern;
mod pipeline;
mod view;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    end_at_a_panic();
    match cli::main() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // A reader that has gone away must not change the exit code.
            let _ = writeln!(std::io::stderr(), "kaos-probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A thread that is gone would leave a probe that only looks alive. (The webhook, of the same
/// workspace and profile, unwinds: a pod that it cannot judge is no reason to fail the next.)
fn end_at_a_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
}
