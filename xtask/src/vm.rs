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
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::cmd::which;
use kernels::Kernel;
use report::Report;

/// The longest that one machine may take.
const LIMIT: Duration = Duration::from_mins(8);

/// Options of `vm`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only these kernels: 5.10, 6.1, 6.12, sid.
    kernels: Vec<String>,
    #[command(flatten)]
    parts: guest::Parts,
    /// Where the table is written as well.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(why) = not_here() {
        bail!("{why}");
    }
    let chosen = kernels::choose(&args.kernels)?;
    let initramfs = guest::prepare(&args.parts)?;
    let mut reports = Vec::new();
    for kernel in &chosen {
        let report = boot(kernel, &initramfs)?;
        println!("{report}");
        reports.push(report);
    }
    let table = table::markdown(&reports);
    println!("\n{table}");
    if let Some(file) = &args.write {
        let page = format!("{}\n{table}", table::INTRODUCTION);
        fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let bad = reports.iter().filter(|report| !report.is_good()).count();
    println!(
        "{} passed, {bad} failed, 0 skipped",
        chosen.len().saturating_sub(bad)
    );
    if bad > 0 {
        bail!("not all is well on {bad} of {} kernels", chosen.len());
    }
    Ok(())
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

fn boot(kernel: &Kernel, initramfs: &Path) -> Result<Report> {
    let image = kernel.image()?;
    let start = Instant::now();
    let mut report = Report::of(kernel.name());
    machine::run(&image, initramfs, LIMIT, |line| {
        println!("{}| {line}", kernel.name());
        report.take(line);
    })?;
    report.ended(start.elapsed());
    Ok(report)
}
