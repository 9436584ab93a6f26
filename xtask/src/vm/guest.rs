//! What runs in a guest, and all that it needs there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::initramfs::Initramfs;
use crate::build::{self, OBJECT_VARIABLE};
use crate::cmd::{cargo, command, limited, read, run as run_command, which};
use crate::{paths, setup};

/// What is run in each machine.
#[derive(clap::Args, Default)]
pub(super) struct Parts {
    /// Only the tests of the kernel half whose name contains this, and nothing else.
    #[arg(long, value_name = "NAME")]
    test: Option<String>,
    /// Force this socket tap; may be repeated. The default is the one that each kernel chooses.
    #[arg(long, value_name = "TAP")]
    tap: Vec<String>,
}

impl Parts {
    /// What to force, each in a run of its own; `None` forces nothing.
    fn taps(&self) -> Vec<Option<&str>> {
        match self.tap.as_slice() {
            [] => vec![None],
            taps => taps.iter().map(|tap| Some(tap.as_str())).collect(),
        }
    }
}

/// What the guest's script calls, and what Python takes for granted.
const PROGRAMS: [&str; 6] = ["bash", "mount", "ip", "timeout", "true", "env"];
/// Parts of Python's library that no client of ours imports.
const NOT_NEEDED: [&str; 11] = [
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
    "node_modules",
];
/// The cells of the fidelity matrix that run in each machine: without TLS, and with it.
const CELLS: [&str; 2] = [
    "keepalive_open: python http.client",
    "python http.client chat TLS stream keep-alive x1",
];
/// Cargo's profile of the programs that hold ours against what is real: under emulation, without
/// optimisation, they would take minutes.
const PROFILE: &str = "tests";

/// Builds what runs in the guest, and writes the guest.
pub(super) fn prepare(parts: &Parts) -> Result<PathBuf> {
    build::kernel::build(&setup::for_build()?)?;
    let folder = paths::target_dir().join("vm");
    fs::create_dir_all(&folder)?;
    let mut guest = Initramfs::default();
    for folder in ["/proc", "/sys", "/dev", "/tmp", "/root"] {
        guest.folder(folder);
    }
    for name in PROGRAMS {
        let program = which(name).with_context(|| format!("there is no program {name}"))?;
        guest.linked(&program)?;
    }
    guest.linked(Path::new("/bin/true"))?;
    let python = python(&mut guest)?;
    let tests = unit_tests()?;
    guest.built(&tests, &folder.join("kernel-tests"))?;
    let chain = match parts.test {
        Some(_) => None,
        None => Some(Chain::build(&mut guest, &folder, python.clone())?),
    };
    let only = parts.test.as_deref().unwrap_or("kernel::tests");
    let mut lines = Vec::new();
    for tap in parts.taps() {
        let name = tap.map_or_else(String::new, |tap| format!("/{tap}"));
        let variable = tap.map_or_else(String::new, |tap| format!("KAOS_TEST_TAP={tap} "));
        lines.extend(chain.iter().flat_map(|chain| chain.lines(tap, &name)));
        lines.push(format!(
            "part tests{name} env {variable}{} --test-threads=1 {only}",
            tests.display()
        ));
    }
    let script = format!(
        "{}export PATH={}:/usr/bin:/bin:/usr/sbin:/sbin\n{}\necho o >/proc/sysrq-trigger\nread -r\n",
        include_str!("guest.sh"),
        python.parent().unwrap_or(Path::new("/")).display(),
        lines.join("\n")
    );
    guest.script("/init", script);
    let file = folder.join("initramfs");
    guest.write(&file)?;
    Ok(file)
}

/// The chain: the probe as it is shipped, fake server, client.
struct Chain {
    probe: PathBuf,
    e2e: PathBuf,
    python: PathBuf,
}

impl Chain {
    /// Builds it and adds it to the guest.
    fn build(guest: &mut Initramfs, folder: &Path, python: PathBuf) -> Result<Self> {
        let probe = build::probe(true)?;
        let mut e2e = cargo();
        e2e.args(["build", "--profile", PROFILE, "--package", "e2e", "--bins"]);
        run_command(&mut limited(&e2e, Duration::from_mins(15)))?;
        let built = paths::target_dir().join(PROFILE);
        guest.built(&probe, &folder.join("kaos-probe"))?;
        for name in ["kaos-fake", "e2e"] {
            guest.built(&built.join(name), &folder.join(name))?;
        }
        guest.tree(&paths::root().join("tests/clients"), &NOT_NEEDED)?;
        Ok(Self {
            probe,
            e2e: built.join("e2e"),
            python,
        })
    }

    /// The lines that run it with this socket tap.
    fn lines(&self, tap: Option<&str>, name: &str) -> [String; 2] {
        let probe = self.probe.display();
        let cells = CELLS.map(|cell| format!("--cells '{cell}'")).join(" ");
        let doctor = tap.map_or_else(String::new, |tap| format!(" --tap {tap}"));
        let watch = tap.map_or_else(String::new, |tap| format!(" --probe-arg=--tap={tap}"));
        [
            format!("part doctor{name} {probe} doctor{doctor}"),
            format!(
                "part calls{name} {} fidelity --no-real --untimed {cells} --probe {probe}{watch} \
                 --python {} --node-modules /tmp --keep /tmp/logs{name}",
                self.e2e.display(),
                self.python.display()
            ),
        ]
    }
}

/// Builds the probe's unit tests and gives the program.
fn unit_tests() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["test", "--package", "ebpf-probe", "--bin", "kaos-probe"]);
    build.args(["--profile", PROFILE, "--no-run", "--message-format=json"]);
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
