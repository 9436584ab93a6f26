//! `kaos-bench idle`: what a process pays that is not opted in.

use std::time::Duration;

use crate::Programs;
use crate::probe::Probe;
use crate::stats::{field, spread};
use crate::work::{Kind, Plan};
use crate::worker::Worker;

/// Options of `idle`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: Programs,
    /// How often each is measured in turns.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

const PLAN: Plan = Plan {
    batches: 300,
    operations: 100,
    pause: Duration::ZERO,
};

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    crate::cpu::pin(crate::cpu::OTHERS)?;
    let list = [
        (Kind::Pipe, "pair", "write + read of a pipe"),
        (Kind::Socket, "pair", "write + read of a TCP connection"),
        (Kind::Tls, "write", "SSL_write_ex"),
        (Kind::Tls, "read", "SSL_read_ex"),
    ];
    for (kind, name, what) in list {
        measure(args, kind, name, what)?;
    }
    Ok(())
}

fn measure(
    Args { programs, rounds }: &Args,
    kind: Kind,
    name: &str,
    what: &str,
) -> anyhow::Result<()> {
    let mut worker = Worker::start(kind)?;
    // Another process with the same library: when it is opted in, the hooks are in ours too.
    let other = Worker::start(Kind::Tls)?;
    let selector = ["--pid".to_owned(), other.pid().to_string()];
    let mut value =
        || -> anyhow::Result<f64> { Ok(field(&worker.measure(PLAN)?, name).unwrap_or(f64::NAN)) };
    value()?;
    let (mut without, mut nobody, mut another) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..*rounds {
        without.push(value()?);
        let probe = Probe::start(&programs.probe, &[])?;
        nobody.push(value()?);
        drop(probe);
        let probe = Probe::start(&programs.probe, &selector)?;
        another.push(value()?);
        drop(probe);
    }
    println!(
        "{what}: without {} ns, probe without selector {} ns, another process opted in {} ns",
        spread(&without),
        spread(&nobody),
        spread(&another)
    );
    for (case, values) in [("no selector", &nobody), ("another opted in", &another)] {
        let ratios: Vec<f64> = values
            .iter()
            .zip(&without)
            .map(|(with, without)| with / without)
            .collect();
        let added: Vec<f64> = values
            .iter()
            .zip(&without)
            .map(|(with, without)| with - without)
            .collect();
        println!(
            "{what}, {case}: {:.2} times, {} ns more",
            spread(&ratios),
            spread(&added)
        );
    }
    Ok(())
}
