//! `cargo xtask vm`: the probe on other kernels, in virtual machines.
//!
//! The guest is this system with another kernel below: the tests of the kernel half, and calls
//! of a real client to the fake server with the probe beside them.

mod initramfs;
mod kernels;
mod machine;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::build::OBJECT_VARIABLE;
use crate::cmd::{cargo, command, read, run as run_command, which};
use crate::paths;
use initramfs::Initramfs;
use kernels::Kernel;
use report::Report;

/// The longest that one machine may take.
const LIMIT: Duration = Duration::from_mins(8);
/// What the guest's script calls, and what Python takes for granted.
const PROGRAMS: [&str; 6] = ["bash", "mount", "ip", "timeout", "true", "env"];
/// Parts of Python's library that no client of ours imports.
const NOT_NEEDED: [&str; 10] = [
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "site-packages",
    "dist-packages",
    "turtledemo",
    "tkinter",
    "pydoc_data",
];
/// The cells of the fidelity matrix that run in each machine.
const CELLS: &str = "keepalive_open: *";

/// Options of `vm`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only these kernels: 5.10, 6.1, 6.12, sid.
    kernels: Vec<String>,
    /// Only the tests of the kernel half whose name contains this, and no calls.
    #[arg(long, value_name = "NAME")]
    test: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(why) = not_here() {
        bail!("{why}");
    }
    let chosen = kernels::choose(&args.kernels)?;
    let initramfs = prepare(args)?;
    let mut failed = Vec::new();
    for kernel in &chosen {
        let report = boot(kernel, &initramfs)?;
        println!("{report}");
        if !report.is_good() {
            failed.push(kernel.name);
        }
    }
    println!(
        "{} passed, {} failed, 0 skipped",
        chosen.len() - failed.len(),
        failed.len()
    );
    if !failed.is_empty() {
        bail!("not all is well on {}", failed.join(", "));
    }
    Ok(())
}

/// Why no virtual machine can be had here, if none can.
pub(crate) fn not_here() -> Option<String> {
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
    let mut report = Report::default();
    machine::run(&image, initramfs, LIMIT, |line| {
        println!("{}| {line}", kernel.name);
        report.take(line);
    })?;
    report.took = start.elapsed();
    Ok(report)
}

/// Builds what runs in the guest, and writes the guest.
fn prepare(args: &Args) -> Result<PathBuf> {
    let folder = paths::target_dir().join("vm");
    fs::create_dir_all(&folder)?;
    let tests = unit_tests()?;
    let mut guest = Initramfs::default();
    for folder in ["/proc", "/sys", "/dev", "/tmp", "/root"] {
        guest.folder(folder);
    }
    for name in PROGRAMS {
        let program = which(name).with_context(|| format!("there is no program {name}"))?;
        guest.linked(&program)?;
    }
    guest.built(&tests, &folder.join("kernel-tests"))?;
    let python = python(&mut guest)?;
    let mut parts = vec![format!(
        "part tests {} --test-threads=1 {}",
        tests.display(),
        args.test.as_deref().unwrap_or("kernel::tests")
    )];
    if args.test.is_none() {
        parts.push(calls(&mut guest, &folder, &python)?);
    }
    let script = format!(
        "{}export PATH={}:/usr/bin:/bin:/usr/sbin:/sbin\n{}\necho o >/proc/sysrq-trigger\nread -r\n",
        include_str!("vm/guest.sh"),
        python.parent().unwrap_or(Path::new("/")).display(),
        parts.join("\n")
    );
    guest.script("/init", script);
    let file = folder.join("initramfs");
    guest.write(&file)?;
    Ok(file)
}

/// Adds the chain: probe, fake server, client. Gives the line that runs it.
fn calls(guest: &mut Initramfs, folder: &Path, python: &Path) -> Result<String> {
    let mut build = cargo();
    build.args(["build", "--package", "ebpf-probe", "--package", "e2e"]);
    build.env(OBJECT_VARIABLE, paths::kernel_object());
    run_command(&mut build)?;
    let debug = paths::target_dir().join("debug");
    for name in ["kaos-probe", "kaos-fake", "e2e"] {
        guest.built(&debug.join(name), &folder.join(name))?;
    }
    guest.tree(&paths::root().join("tests/clients/python"), &[])?;
    Ok(format!(
        "part calls {} fidelity --no-real --cells '{CELLS}' --python {} --node-modules /tmp",
        debug.join("e2e").display(),
        python.display()
    ))
}

/// Builds the probe's unit tests and gives the program.
fn unit_tests() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["test", "--package", "ebpf-probe", "--bin", "kaos-probe"]);
    build.args(["--no-run", "--message-format=json"]);
    build.env(OBJECT_VARIABLE, paths::kernel_object());
    let said = read(&mut build)?;
    said.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["profile"]["test"] == true)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no program with the unit tests")
}

/// Adds the Python of the search path with its standard library; gives its path.
fn python(guest: &mut Initramfs) -> Result<PathBuf> {
    let ask = "import sys, sysconfig; print(sys.executable, sysconfig.get_path('stdlib'))";
    let said = read(command("python3").args(["-c", ask]))?;
    let (program, library) = said.trim().split_once(' ').context("python3 has no path")?;
    guest.linked(Path::new(program))?;
    guest.tree(Path::new(library), &NOT_NEEDED)?;
    Ok(PathBuf::from(program))
}
