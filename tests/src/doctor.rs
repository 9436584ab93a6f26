//! `kaos-probe doctor PID` of real programs, each with a TLS library of its own kind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::built;
use crate::fidelity::cache;
use crate::fidelity::process::Running;

/// How long a program may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(20);
const GATEWAY: &str = "Let the program reach its model through a gateway over plain HTTP (http:// as the base URL): that hop is seen whole.";

/// Options of `e2e doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The probe. The default is `kaos-probe` beside this program.
    #[arg(long, env = "KAOS_PROBE")]
    probe: Option<PathBuf>,
}

/// A program, and what must be said of it.
struct Patient {
    name: &'static str,
    command: Command,
    /// Whether it says `ready`.
    speaks: bool,
    /// Every word must stand in one line.
    lines: Vec<String>,
    exit: i32,
}

impl DoctorArgs {
    /// Starts the programs, asks about each, and fails unless every answer is as it must be.
    pub fn run(self) -> Result<()> {
        let beside = built::program("kaos-probe")?;
        let binary = self.probe.unwrap_or(beside);
        let folder = std::env::temp_dir().join(format!("kaos-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&folder).context("make the folder for logs")?;
        let mut wrong = 0;
        for patient in patients(&binary) {
            let name = patient.name;
            let findings = examine(&binary, patient, &folder).with_context(|| name.to_owned())?;
            println!(
                "{name}: {}",
                if findings.is_empty() {
                    "as it must be"
                } else {
                    "WRONG"
                }
            );
            wrong += findings.len();
            for finding in findings {
                println!("  {finding}");
            }
        }
        if wrong > 0 {
            bail!("{wrong} answers of doctor are wrong");
        }
        Ok(())
    }
}

fn patients(binary: &Path) -> [Patient; 5] {
    let peers = cache();
    let mut bun = Command::new(peers.join("bun/bun"));
    bun.args(["-e", "console.log('ready'); process.stdin.resume()"]);
    let mut rustls = Command::new(binary);
    rustls.args(["agent", "--listen", "none"]);
    let mut node = Command::new("node");
    node.args(["-e", "console.log('ready'); process.stdin.resume()"]);
    let mut python = Command::new(peers.join("python-clients/bin/python"));
    python.args(["-c", "import ssl; print('ready', flush=True); input()"]);
    let unhookable = |why: &str, advice: &str| {
        let advice = format!("to do: {advice}{GATEWAY}");
        vec![why.to_owned(), advice, "plain HTTP/1     seen".to_owned()]
    };
    let patient = |name, command, speaks, exit, lines| Patient {
        name,
        command,
        speaks,
        lines,
        exit,
    };
    [
        patient("a BoringSSL without symbols", bun, true, 1, [
            vec!["runtime          Bun".to_owned()],
            unhookable(
                "!!    TLS            BoringSSL: not covered. BoringSSL is linked in without symbols, so there is no safe place to hook it.",
                "Use a build that exports SSL_read and SSL_write, or one with a shared libssl. ",
            ),
        ].concat()),
        patient("rustls", rustls, false, 1, [
            vec!["runtime          Rust".to_owned()],
            unhookable(
                ": not covered. rustls is linked in. Rust compiles it anew into each program, so it has no functions with a stable name or form to hook.",
                "Build the program with its native-tls (OpenSSL) feature, if it has one. ",
            ),
        ].concat()),
        patient("static Go with TLS", Command::new(peers.join("go-tls/go-tls")), true, 0, vec![
            "runtime          go1.".to_owned(),
            "Go crypto/tls: covered. The program was built by go1.".to_owned(),
            "connections that speak HTTP/2, which Go prefers over TLS, are counted (kaos_probe_http2_connections_total)".to_owned(),
            "4 places in crypto/tls; about half a microsecond a hit".to_owned(),
        ]),
        patient("Node", node, true, 0, vec![
            "runtime          Node.js".to_owned(),
            "OpenSSL: covered. OpenSSL's functions are in this file by name and are hooked there".to_owned(),
            "SSL_read, SSL_read_ex, SSL_shutdown, SSL_write".to_owned(),
        ]),
        patient("CPython with a shared OpenSSL", python, true, 0, vec![
            "runtime          CPython".to_owned(),
            "OpenSSL: covered. OpenSSL's functions are in this file by name and are hooked there".to_owned(),
        ]),
    ]
}

/// What is wrong with the answer.
fn examine(binary: &Path, mut patient: Patient, folder: &Path) -> Result<Vec<String>> {
    let running = Running::start(&mut patient.command, &folder.join("patient.err"))?;
    if patient.speaks {
        let line = running.line(Instant::now() + PATIENCE)?;
        if line.as_deref() != Some("ready") {
            bail!(
                "it said {line:?}; see {}",
                folder.join("patient.err").display()
            );
        }
    }
    let mut doctor = Command::new(binary);
    let output = doctor
        .arg("doctor")
        .arg(running.pid().to_string())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut wrong = judge(&text, &patient.lines);
    if output.status.code() != Some(patient.exit) {
        wrong.push(format!(
            "it ended with {}, not {}",
            output.status, patient.exit
        ));
    }
    if !wrong.is_empty() {
        wrong.push(format!("it said:\n{text}"));
    }
    Ok(wrong)
}

/// The lines that are missing.
fn judge(text: &str, wanted: &[String]) -> Vec<String> {
    let missing = |wanted: &&String| !text.lines().any(|line| line.contains(wanted.as_str()));
    wanted
        .iter()
        .filter(missing)
        .map(|wanted| format!("no line has {wanted:?}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_line_is_found() {
        let wanted = ["ok  a".to_owned(), "b".to_owned()];
        assert!(judge("x ok  a\nb\n", &wanted).is_empty());
        assert_eq!(judge("ok a\nb", &wanted).len(), 1);
    }
}
