//! `kaos-bench tap`: nanoseconds of the writing thread per chunk, without a probe, with the
//! floor, and with kaos-probe, in turns.

use std::time::Duration;

use anyhow::ensure;

use crate::Programs;
use crate::floor::{Floor, Place, TlsPlaces, tls_places};
use crate::probe::{Probe, Seen};
use crate::stats::{field, median, spread};
use crate::work::{Kind, Plan};
use crate::worker::Worker;

/// Options of `tap`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: Programs,
    /// How often the three are measured in turns.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Batches of each measurement.
    #[arg(long, default_value_t = 200)]
    batches: u32,
    /// Chunks of each batch.
    #[arg(long, default_value_t = 50)]
    chunks: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    crate::cpu::pin(crate::cpu::OTHERS)?;
    plain(args)?;
    tls(args)
}

/// What the rounds gave for one operation.
#[derive(Default)]
struct Rounds {
    without: Vec<f64>,
    floor: Vec<f64>,
    probe: Vec<f64>,
}

impl Rounds {
    fn print(&self, what: &str, goal: f64) {
        let [without, floor, probe] =
            [&self.without, &self.floor, &self.probe].map(|values| spread(values));
        println!("{what}: without {without} ns, floor {floor} ns, probe {probe} ns");
        let ratios: Vec<f64> = self
            .probe
            .iter()
            .zip(&self.floor)
            .map(|(p, f)| p / f)
            .collect();
        let added = |values: &[f64]| {
            median(
                &values
                    .iter()
                    .zip(&self.without)
                    .map(|(with, without)| with - without)
                    .collect::<Vec<_>>(),
            )
        };
        let (floor, probe) = (added(&self.floor), added(&self.probe));
        println!(
            "{what}: probe / floor {:.2} (goal {goal}); the floor adds {floor:.0} ns, the probe {probe:.0} ns, {:.2} times",
            spread(&ratios),
            probe / floor,
        );
    }
}

impl Args {
    fn plan(&self) -> Plan {
        Plan {
            batches: self.batches,
            operations: self.chunks,
            // So long that the probe's reader keeps up on the other processor.
            pause: Duration::from_millis(2),
        }
    }

    fn expected(&self) -> f64 {
        f64::from(self.batches) * f64::from(self.chunks)
    }
}

fn plain(args: &Args) -> anyhow::Result<()> {
    let mut worker = Worker::start(Kind::Plain)?;
    let mut rounds = Rounds::default();
    let value = |line: String| field::<f64>(&line, "write").unwrap_or(f64::NAN);
    worker.measure(args.plan())?;
    for _ in 0..args.rounds {
        rounds.without.push(value(worker.measure(args.plan())?));
        let mut floor = Floor::load(&args.programs.floor, worker.pid())?;
        floor.attach_plain()?;
        rounds.floor.push(value(worker.measure(args.plan())?));
        complete("the floor", floor.copies() as f64, args.expected())?;
        drop(floor);
        let probe = start(args, &worker)?;
        rounds.probe.push(value(worker.measure(args.plan())?));
        whole(probe.seen()?, args.expected())?;
    }
    rounds.print("plain write", 1.5);
    Ok(())
}

fn tls(args: &Args) -> anyhow::Result<()> {
    let mut worker = Worker::start(Kind::Tls)?;
    let places = tls_places(worker.pid())?;
    let (mut writes, mut reads) = (Rounds::default(), Rounds::default());
    let value = |line: &str, name: &str| field::<f64>(line, name).unwrap_or(f64::NAN);
    worker.measure(args.plan())?;
    for _ in 0..args.rounds {
        let line = worker.measure(args.plan())?;
        writes.without.push(value(&line, "write"));
        reads.without.push(value(&line, "read"));
        for (name, at, back, rounds) in [
            ("write", &places.write, &places.write_return, &mut writes),
            ("read", &places.read, &places.read_return, &mut reads),
        ] {
            let mut floor = Floor::load(&args.programs.floor, worker.pid())?;
            floor.attach("floor_return", back)?;
            floor.attach("floor_entry", at)?;
            rounds
                .floor
                .push(value(&worker.measure(args.plan())?, name));
            complete("the floor", floor.copies() as f64, args.expected())?;
        }
        let probe = start(args, &worker)?;
        let line = worker.measure(args.plan())?;
        writes.probe.push(value(&line, "write"));
        reads.probe.push(value(&line, "read"));
        whole(probe.seen()?, 2.0 * args.expected())?;
    }
    writes.print("TLS write", 1.2);
    reads.print("TLS read", 1.2);
    sites(args, &mut worker, &places)
}

/// What each place costs by itself, with a program that does nothing.
fn sites(args: &Args, worker: &mut Worker, places: &TlsPlaces) -> anyhow::Result<()> {
    let TlsPlaces {
        write,
        write_return,
        read,
        read_return,
    } = places;
    let list: [(&str, &str, &Place, &str); 4] = [
        ("SSL_write_ex, entry", "empty_entry", write, "write"),
        (
            "SSL_write_ex, return",
            "empty_return",
            write_return,
            "write",
        ),
        ("SSL_read_ex, entry", "empty_entry", read, "read"),
        ("SSL_read_ex, return", "empty_return", read_return, "read"),
    ];
    for (what, program, place, name) in list {
        let mut added = Vec::new();
        for _ in 0..args.rounds.div_ceil(2) {
            let without = worker.measure(args.plan())?;
            let mut floor = Floor::load(&args.programs.floor, 0)?;
            floor.attach(program, place)?;
            let with = worker.measure(args.plan())?;
            let value = |line: &str| field::<f64>(line, name).unwrap_or(f64::NAN);
            added.push(value(&with) - value(&without));
        }
        println!("site {what} at {:#x}: {} ns", place.offset, spread(&added));
    }
    Ok(())
}

fn start(args: &Args, worker: &Worker) -> anyhow::Result<Probe> {
    let selectors = ["--pid".to_owned(), worker.pid().to_string()];
    Probe::start(&args.programs.probe, &selectors)
}

/// A tap that has missed chunks was cheaper than it is.
fn complete(who: &str, seen: f64, expected: f64) -> anyhow::Result<()> {
    ensure!(
        seen >= 0.99 * expected,
        "{who} has copied {seen} of {expected} chunks"
    );
    Ok(())
}

fn whole(seen: Seen, expected: f64) -> anyhow::Result<()> {
    let Seen {
        records,
        refused,
        over_credit,
    } = seen;
    if refused > 0.0 || over_credit > 0.0 {
        println!("the ring refused {refused} records, {over_credit} bytes were over the credit");
    }
    complete("the probe", records, expected)
}
