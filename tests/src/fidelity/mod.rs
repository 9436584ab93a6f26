//! Fidelity: does the probe see every call, once, with exact values, and nothing else?

pub mod cells;
pub mod clients;
pub mod compare;
pub mod peers;
pub mod probe;
pub mod process;
pub mod real;
mod real_run;
pub mod report;
mod run;
pub mod span;
pub mod stats;
pub mod witness;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

/// Options of `e2e fidelity`.
#[derive(Clone, Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct FidelityArgs {
    /// Only cells whose name contains this, or matches it where it has a `*`; may be repeated.
    #[arg(long)]
    cells: Vec<String>,
    /// A few cells of each kind: under 90 seconds.
    #[arg(long)]
    quick: bool,
    /// Without the real servers.
    #[arg(long)]
    no_real: bool,
    /// Hold no times, which on an emulated machine say nothing of the probe.
    #[arg(long)]
    untimed: bool,
    /// Without a probe: hold only the clients' accounts against the fake's log.
    #[arg(long, conflicts_with = "write")]
    no_probe: bool,
    /// The probe. The default is `kaos-probe` beside this program.
    #[arg(long, env = "KAOS_PROBE")]
    probe: Option<PathBuf>,
    /// A further argument for the probe's command line.
    #[arg(long, allow_hyphen_values = true)]
    probe_arg: Vec<String>,
    /// A Python that has the clients' libraries.
    #[arg(long, env = "KAOS_CLIENTS_PYTHON")]
    python: Option<PathBuf>,
    /// A folder `node_modules` that has the clients' libraries.
    #[arg(long, env = "KAOS_CLIENTS_NODE_MODULES")]
    node_modules: Option<PathBuf>,
    /// Where logs and spans are kept. The default is a new folder for temporary files.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Where the table is written as well.
    #[arg(long)]
    write: Option<PathBuf>,
}

impl FidelityArgs {
    /// Runs the matrix, prints the table, and fails unless all is exact.
    pub fn run(self) -> Result<()> {
        let report = run::matrix(&self)?;
        let table = report.markdown();
        let mut out = std::io::stdout().lock();
        write!(out, "{table}")?;
        for row in report.rows.iter().filter(|row| !row.is_perfect()) {
            writeln!(out, "\n{} ({})", row.name, row.script)?;
            let verdict = row
                .result
                .as_ref()
                .ok()
                .into_iter()
                .flat_map(compare::Verdict::findings);
            for finding in verdict.chain(row.findings.iter().cloned()).take(6) {
                writeln!(out, "  {finding}")?;
            }
        }
        for finding in report.findings.iter().chain(&report.late()) {
            writeln!(out, "{finding}")?;
        }
        if let Some(path) = &self.write {
            std::fs::write(path, format!("{INTRODUCTION}\n{table}")).context("write the table")?;
        }
        if !report.is_perfect() {
            bail!("not all cells are exact");
        }
        Ok(())
    }

    fn python(&self) -> PathBuf {
        self.python
            .clone()
            .unwrap_or_else(|| cache().join("python-clients/bin/python"))
    }

    fn node_modules(&self) -> PathBuf {
        self.node_modules
            .clone()
            .unwrap_or_else(|| cache().join("node-clients/node_modules"))
    }

    fn wants(&self, name: &str) -> bool {
        self.cells.is_empty() || self.cells.iter().any(|wanted| matches(wanted, name))
    }
}

const INTRODUCTION: &str = "# Fidelity

Each cell is a client that calls our fake server while the probe watches both. The fake's own log is
the ground truth: each call must have exactly one span on the client's side and one on the server's,
with exact models, tokens, ids, status, finish reasons and errors. *Start*, *first chunk* and *end*
are the distances (median / 99th percentile, milliseconds) of the span's times from the fake's own
system calls; *out after* is the time from the call's last byte to the span's line on the probe's
output. Scripts are explained in `tests/src/fake/script.rs`.
The table is made by `cargo run -p e2e -- fidelity --write docs/fidelity.md`.
";

/// Where `cargo xtask peers install clients` puts things.
pub(crate) fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let root = variable("KAOS_CACHE").or_else(|| {
        let cache = variable("XDG_CACHE_HOME");
        let cache = cache.or_else(|| variable("HOME").map(|home| home.join(".cache")));
        cache.map(|cache| cache.join("kaos-telemetry"))
    });
    root.unwrap_or_default().join("peers")
}

/// `*` stands for anything; without one, any part of the name will do.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    if pattern == first {
        return name.contains(pattern);
    }
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    for part in parts.clone() {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
        || parts
            .next_back()
            .is_some_and(|last| last.is_empty() || name.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_parts_or_globs() {
        let name = "late_join: node fetch chat plain stream";
        for good in ["fetch", "late_join*", "*stream", "late*fetch*stream", "*"] {
            assert!(matches(good, name), "{good}");
        }
        for bad in ["tls", "fetch*", "*fetch", "late*tls*"] {
            assert!(!matches(bad, name), "{bad}");
        }
    }
}
