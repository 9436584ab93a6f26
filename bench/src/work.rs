//! The process that is measured.
//!
//! Each line on its standard input, `batches operations pause_us`, asks for one measurement; the
//! answer is a line of `name=nanoseconds` for each kind of operation, the lower quartile of the
//! batches.
//! A batch is short, so that most of them are not disturbed, and between two there is a pause, so
//! that who reads the records keeps up.

mod local;
mod plain;
pub(crate) mod tls;

use std::io::{BufRead as _, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::stats::spread;
use crate::{cpu, http};

/// Options of `work`.
#[derive(clap::Args)]
pub(crate) struct Args {
    kind: Kind,
}

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Serves a stream over TCP.
    Plain,
    /// Serves a stream over TLS to itself, through memory.
    Tls,
    /// Writes to a pipe and reads from it.
    Pipe,
    /// Writes to a TCP connection and reads from it.
    Socket,
}

/// One measurement that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) batches: u32,
    /// Operations of a batch.
    pub(crate) operations: u32,
    /// Pause between batches.
    pub(crate) pause: Duration,
}

impl Plan {
    /// The line that asks for it.
    pub(crate) fn line(self) -> String {
        let Self {
            batches,
            operations,
            pause,
        } = self;
        format!("{batches} {operations} {}\n", pause.as_micros())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            batches: words.next()?.parse().ok()?,
            operations: words.next()?.parse().ok()?,
            pause: Duration::from_micros(words.next()?.parse().ok()?),
        })
    }
}

/// Times of the batches of one operation.
#[derive(Default)]
struct Batches(Vec<f64>);

impl Batches {
    /// Takes the time of `operations` since `start`.
    fn end(&mut self, start: Instant, operations: u32) {
        self.0
            .push(start.elapsed().as_nanos() as f64 / f64::from(operations));
    }

    /// The lower quartile: what disturbs a batch only ever makes it longer.
    fn typical(&self) -> f64 {
        spread(&self.0).lower
    }
}

/// Something that can be measured again and again.
trait Work {
    /// Said before the first plan is taken.
    fn hello(&self) -> String {
        "ready".to_owned()
    }
    /// Does what the plan says, and gives the line that answers it.
    fn measure(&mut self, plan: Plan) -> anyhow::Result<String>;
}

pub(crate) fn run(Args { kind }: &Args) -> anyhow::Result<()> {
    cpu::pin(cpu::MEASURED)?;
    let mut work: Box<dyn Work> = match kind {
        Kind::Plain => Box::new(plain::Plain::new()?),
        Kind::Tls => Box::new(tls::Tls::new()?),
        Kind::Pipe => Box::new(local::Local::pipe()?),
        Kind::Socket => Box::new(local::Local::socket()?),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", work.hello())?;
    for line in std::io::stdin().lock().lines() {
        let plan = Plan::parse(&line?).context("a plan is three numbers")?;
        writeln!(out, "{}", work.measure(plan)?)?;
    }
    Ok(())
}

fn pause(plan: Plan) {
    if !plan.pause.is_zero() {
        sleep(plan.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_line() {
        let plan = Plan {
            batches: 3,
            operations: 100,
            pause: Duration::from_millis(2),
        };
        assert_eq!(Plan::parse(&plan.line()), Some(plan));
        assert_eq!(Plan::parse("1 2"), None);
    }
}
