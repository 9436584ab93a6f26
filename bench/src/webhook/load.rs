//! What an API server sends, by `hey`: each connection is kept and has one review under way.

use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::server::Server;
use crate::cpu;

/// A run of the tool.
pub(super) struct Load<'a> {
    /// The program.
    pub(super) hey: &'a Path,
    /// How many, each kept for the whole run.
    pub(super) connections: u32,
    /// Reviews in a second; without one, the next as soon as the last is answered.
    pub(super) rate: Option<u32>,
    /// How long.
    pub(super) time: Duration,
}

/// How long answers took, in seconds, sorted.
#[derive(Debug)]
pub(super) struct Took(Vec<f64>);

impl Load<'_> {
    /// Runs it beside the server; an error unless every answer is a 200.
    pub(super) fn run(&self, server: &Server) -> anyhow::Result<Took> {
        let others = server.alone().then_some(cpu::OTHERS);
        let mut hey = cpu::placed(others, self.hey);
        hey.args(["-o", "csv", "-m", "POST"])
            // It is the server name of TLS too, which may be no address.
            .args(["-host", "localhost"])
            .args(["-T", "application/json", "-A", "application/json", "-D"])
            .arg(server.review())
            .args(["-c", &self.connections.to_string()])
            .args(["-z", &format!("{}s", self.time.as_secs())]);
        if let Some(rate) = self.rate {
            // Of each connection.
            hey.args([
                "-q",
                &(f64::from(rate) / f64::from(self.connections)).to_string(),
            ]);
        }
        hey.arg(server.url()).stderr(Stdio::inherit());
        let output = hey.output().context("cannot run hey")?;
        ensure!(output.status.success(), "hey ended with {}", output.status);
        Took::parse(&String::from_utf8_lossy(&output.stdout))
    }
}

impl Took {
    /// Reads a line for each answer: `response-time,DNS+dialup,…,status-code,offset`.
    fn parse(csv: &str) -> anyhow::Result<Self> {
        let mut took = Vec::new();
        for line in csv.lines().skip(1) {
            let fields: Vec<_> = line.split(',').collect();
            let (Some(time), Some(status)) = (fields.first(), fields.get(6)) else {
                anyhow::bail!("hey says {line:?}");
            };
            ensure!(*status == "200", "an answer was {status}");
            took.push(time.parse().with_context(|| format!("hey says {line:?}"))?);
        }
        ensure!(!took.is_empty(), "nothing was answered");
        took.sort_unstable_by(f64::total_cmp);
        Ok(Self(took))
    }

    /// How many answers came.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Seconds within which so many of a hundred came, from the sending to the last byte.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        let rank = (self.0.len() as f64 * percent / 100.0).ceil();
        #[expect(clippy::cast_sign_loss, reason = "it is never below 0")]
        let at = (rank as usize).clamp(1, self.0.len()) - 1;
        self.0[at]
    }
}

impl fmt::Display for Load<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate {
            Some(rate) => write!(f, "{rate} reviews a second")?,
            None => f.write_str("as fast as answers come")?,
        }
        write!(f, ", {} connections", self.connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,\
                        status-code,offset\n";

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let answer = |time| format!("0.{time:04},0.1,0.1,0.1,0.1,0.1,200,0.5\n");
        let answers: String = (1..=100).rev().map(answer).collect();
        let took = Took::parse(&(HEAD.to_owned() + &answers)).unwrap();
        assert_eq!(took.len(), 100);
        let at = |percent| (took.percentile(percent) * 1e4).round();
        assert_eq!((at(50.0), at(99.0), at(100.0)), (50.0, 99.0, 100.0));
    }

    #[test]
    fn a_refusal_is_no_answer() {
        let csv = format!("{HEAD}0.1,0.1,0.1,0.1,0.1,0.1,503,0.5\n");
        assert!(Took::parse(&csv).is_err());
        assert!(Took::parse(HEAD).is_err());
        assert!(Took::parse("hey\nbroken\n").is_err());
    }
}
