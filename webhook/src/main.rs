//! kaos-webhook: gives the pods of KAOS components their telemetry environment.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that has gone away must not change the exit code.
            let _ = writeln!(std::io::stderr(), "kaos-webhook: {error:#}");
            ExitCode::FAILURE
        }
    }
}
