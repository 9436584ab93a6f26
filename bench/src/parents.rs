//! `kaos-bench parents`: what it costs to know which request each call is made for.

mod app;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use probe_elf::ReadCache;

use crate::floor::{Floor, Place};
use crate::probe::Probe;
use crate::stats::{field, median, spread};
use crate::work::Plan;
use crate::worker::Worker;
use crate::{Programs, cpu};

/// Options of `parents`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: Programs,
    /// A Python with `FastAPI` and uvicorn.
    #[arg(long, env = "KAOS_PYTHON")]
    python: PathBuf,
    /// The Go program that is measured.
    #[arg(long, env = "KAOS_GOROUTINES")]
    goroutines: PathBuf,
    /// How often tasks and goroutines are measured in turns.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Pairs of runs of the `FastAPI` app, without the probe and with it.
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    /// Its connections.
    #[arg(long, default_value_t = 200)]
    connections: usize,
}

const PLAN: Plan = Plan {
    batches: 300,
    operations: 100,
    pause: Duration::from_millis(1),
};
/// How long hooks may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    cpu::pin(cpu::OTHERS)?;
    tasks(args)?;
    goroutines(args)?;
    app::run(args)
}

/// One that stands in this package's folder.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("parents")
        .join(name)
}

fn selector(pid: u32) -> [String; 2] {
    ["--pid".to_owned(), pid.to_string()]
}

fn tasks(args: &Args) -> anyhow::Result<()> {
    let mut command = cpu::pinned(cpu::MEASURED, &args.python);
    let mut worker = Worker::run(command.arg(script("tasks.py")))?;
    let pid = worker.pid();
    let hook = Hook::of(pid)?;
    let mut value =
        || -> anyhow::Result<f64> { Ok(field(&worker.measure(PLAN)?, "task").unwrap_or(f64::NAN)) };
    value()?;
    let (mut without, mut empty, mut with) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        hook.wait(false)?;
        without.push(value()?);
        let mut floor = Floor::load(&args.programs.floor, pid)?;
        floor.attach("empty_return", &hook.place)?;
        hook.wait(true)?;
        empty.push(value()?);
        drop(floor);
        hook.wait(false)?;
        let probe = Probe::start(&args.programs.probe, &selector(pid))?;
        hook.wait(true)?;
        with.push(value()?);
        drop(probe);
    }
    let [none, floor, probe] = [&without, &empty, &with].map(|values| spread(values));
    println!(
        "asyncio task: without {none} ns, with an empty probe at the same place {floor} ns, with kaos-probe {probe} ns"
    );
    println!(
        "asyncio task: the empty probe adds {:.0} ns, kaos-probe {:.0} ns",
        added(&without, &empty),
        added(&without, &with)
    );
    Ok(())
}

/// The probe has no hook where goroutines are made; what they cost with it is measured all the
/// same.
fn goroutines(args: &Args) -> anyhow::Result<()> {
    let mut worker = Worker::run(&mut cpu::pinned(cpu::MEASURED, &args.goroutines))?;
    let pid = worker.pid();
    let port = worker.port("http").context("it serves on no port")?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut value = || -> anyhow::Result<f64> {
        Ok(field(&worker.measure(PLAN)?, "goroutine").unwrap_or(f64::NAN))
    };
    value()?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        without.push(value()?);
        let probe = Probe::start(&args.programs.probe, &selector(pid))?;
        probe.wait_until_it_sees(server)?;
        with.push(value()?);
    }
    println!(
        "goroutine: without {} ns, with kaos-probe {} ns, {:.0} ns more",
        spread(&without),
        spread(&with),
        added(&without, &with)
    );
    Ok(())
}

/// The median of what came on top in each round.
fn added(without: &[f64], with: &[f64]) -> f64 {
    let pairs = with.iter().zip(without);
    median(
        &pairs
            .map(|(with, without)| with - without)
            .collect::<Vec<_>>(),
    )
}

/// Where contexts are copied, in the file and in a process.
struct Hook {
    place: Place,
    pid: u32,
    address: u64,
    /// The byte that stands there in the file.
    plain: u8,
    /// Somebody else hooks it: there is nothing to wait for.
    shared: bool,
}

impl Hook {
    /// Of a process that runs Python.
    fn of(pid: u32) -> anyhow::Result<Self> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        for line in maps.lines().filter(|line| line.contains("python")) {
            let Some((start, end, offset, path)) = mapping(line) else {
                continue;
            };
            let Ok(file) = std::fs::File::open(&path) else {
                continue;
            };
            let Some(python) = probe_elf::python::interpreter(&ReadCache::new(&file))? else {
                continue;
            };
            let at = python.copied.file_offset;
            if at < offset || at - offset >= end - start {
                continue;
            }
            let mut hook = Self {
                place: Place {
                    file: path,
                    offset: at,
                },
                pid,
                address: start + (at - offset),
                plain: byte(&file, at)?,
                shared: false,
            };
            hook.shared = hook.is_there()?;
            if hook.shared {
                println!("another probe hooks this Python: its cost is in these figures too");
            }
            return Ok(hook);
        }
        bail!("the measured process runs no Python whose contexts are known")
    }

    /// Waits until a hook is there, or until it is gone.
    fn wait(&self, there: bool) -> anyhow::Result<()> {
        let start = Instant::now();
        while !self.shared && self.is_there()? != there {
            if start.elapsed() > PATIENCE {
                bail!("the hook is {}there", if there { "not " } else { "still " });
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn is_there(&self) -> anyhow::Result<bool> {
        let memory = std::fs::File::open(format!("/proc/{}/mem", self.pid))?;
        Ok(byte(&memory, self.address)? != self.plain)
    }
}

fn byte(file: &std::fs::File, at: u64) -> anyhow::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)
        .context("cannot read where the hook is to be")?;
    Ok(byte[0])
}

/// Start, end, offset and path of a line of `/proc/PID/maps`.
fn mapping(line: &str) -> Option<(u64, u64, u64, PathBuf)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some((
        hex(start)?,
        hex(end)?,
        hex(offset)?,
        PathBuf::from(words.nth(2)?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read() {
        let line = "7f00-7f80 r-xp 00001000 fe:01 42     /usr/bin/python3.11";
        let path = PathBuf::from("/usr/bin/python3.11");
        assert_eq!(mapping(line), Some((0x7f00, 0x7f80, 0x1000, path)));
        assert_eq!(mapping("7f00-7f80 rw-p 00000000 00:00 0"), None);
    }

    #[test]
    fn what_is_added_is_counted_by_rounds() {
        assert!((added(&[1.0, 10.0, 2.0], &[3.0, 12.0, 5.0]) - 2.0).abs() < 1e-9);
    }
}
