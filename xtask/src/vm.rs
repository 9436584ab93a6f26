//! `cargo xtask vm`: the probe on other kernels, in virtual machines.
//!
//! The guest is this system with another kernel below: what doctor says, the tests of the kernel
//! half, and calls of a real client to the fake server with the probe beside them.

mod guest;
mod initramfs;
mod kernels;
mod machine;
mod report;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::cmd::which;
use crate::test::{Outcome, Tally};
use guest::{Guest, Parts};
use kernels::Kernel;
use report::Report;

/// Options of `vm`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only these kernels: 5.10, 6.1, 6.12, sid.
    kernels: Vec<String>,
    #[command(flatten)]
    parts: Parts,
    /// Where the table is written as well.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(why) = not_here() {
        bail!("{why}");
    }
    let outcome = on_kernels(args)?;
    for note in &outcome.notes {
        println!("{note}");
    }
    println!("{}", outcome.tally);
    if outcome.tally.failed > 0 {
        bail!("not all is well on all kernels");
    }
    Ok(())
}

/// Every program on every kernel, and one conversation on each socket tap.
pub(crate) fn quick() -> Result<Outcome> {
    if let Some(why) = not_here() {
        return Ok(Outcome::skipped(why));
    }
    on_kernels(&Args {
        parts: Parts::quick(),
        ..Args::default()
    })
}

/// Why no virtual machine can be had here, if none can.
fn not_here() -> Option<String> {
    let missing = [machine::QEMU, "dpkg-deb", "strip", "ldd"]
        .into_iter()
        .find(|program| which(program).is_none())?;
    Some(format!(
        "there is no {missing}; Debian's packages are qemu-system-x86 and binutils"
    ))
}

/// Boots the chosen kernels one after the other and prints what passed.
fn on_kernels(args: &Args) -> Result<Outcome> {
    let chosen = kernels::choose(&args.kernels)?;
    let guest = Guest::build(&args.parts)?;
    let mut outcome = Outcome::default();
    let mut reports = Vec::new();
    for kernel in &chosen {
        match kernel.image() {
            Ok(image) => {
                let report = boot(kernel, &image, &guest)?;
                println!("{report}");
                outcome = outcome.and(judge(&report));
                reports.push(report);
            }
            Err(why) => {
                let why = format!("kernel {} is not to be had: {why:#}", kernel.name());
                outcome = outcome.and(Outcome::skipped(why));
            }
        }
    }
    let table = table::markdown(&reports);
    println!("\n{table}");
    if let Some(file) = &args.write {
        let page = format!("{}\n{table}", table::INTRODUCTION);
        fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(outcome)
}

fn boot(kernel: &Kernel, image: &Path, guest: &Guest) -> Result<Report> {
    let initramfs = guest.write_for(kernel)?;
    let start = Instant::now();
    let mut report = Report::of(kernel.name());
    machine::run(image, &initramfs, guest.limit(), |line| {
        println!("{}| {line}", kernel.name());
        report.take(line);
    })?;
    report.ended(start.elapsed());
    Ok(report)
}

/// A test for each case; a machine that is not good without a bad case has failed one, too.
fn judge(report: &Report) -> Outcome {
    let cases = || report.parts().iter().flat_map(|part| &part.cases);
    let count = |passed| u32::try_from(cases().filter(|c| c.1 == passed).count());
    let mut tally = Tally {
        passed: count(true).unwrap_or(u32::MAX),
        failed: count(false).unwrap_or(u32::MAX),
        skipped: 0,
    };
    let mut notes = Vec::new();
    if !report.is_good() {
        tally.failed = tally.failed.max(1);
        notes.push(format!("kernel {} failed", report.kernel()));
    }
    Outcome { tally, notes }
}
