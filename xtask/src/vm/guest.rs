//! What runs in a guest, and all that it needs there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::initramfs::Initramfs;
use super::kernels::Kernel;
use crate::build::{self, OBJECT_VARIABLE};
use crate::cmd::{cargo, command, limited, read, run as run_command, which};
use crate::{paths, setup};

/// What is run in each machine.
#[derive(clap::Args, Clone, Default)]
pub(super) struct Parts {
    /// Only the tests of the kernel half whose name contains this, and nothing else.
    #[arg(long, value_name = "NAME")]
    test: Option<String>,
    /// Only this socket tap; may be repeated. The default is each that the kernel takes.
    #[arg(long, value_name = "TAP")]
    tap: Vec<String>,
    /// Only one conversation on each tap.
    #[arg(long, conflicts_with = "test")]
    quick: bool,
}

impl Parts {
    /// One conversation on each tap of each kernel, which loads all programs.
    pub(super) fn quick() -> Self {
        Self {
            quick: true,
            ..Self::default()
        }
    }

    /// The taps to force on `kernel`, each in a run of its own.
    fn taps(&self, kernel: &Kernel) -> Vec<String> {
        if self.tap.is_empty() {
            kernel.taps().iter().map(|tap| (*tap).to_owned()).collect()
        } else {
            self.tap.clone()
        }
    }

    /// Which tests of the kernel half run, by what their names begin with.
    fn tests(&self, kernel: &Kernel) -> &str {
        match &self.test {
            Some(name) => name,
            None if self.quick && kernel.has_loops() => CONVERSATION_AND_GO,
            None if self.quick => CONVERSATION,
            None => "kernel::tests",
        }
    }

    /// Whether calls of a real client run too.
    fn has_calls(&self) -> bool {
        self.test.is_none() && !self.quick
    }
}

/// The test that says most in the least time.
const CONVERSATION: &str = "kernel::tests::transfers::write_and_read_are_recorded";
/// And the one that loads what it does not. Without loops an emulated verifier takes minutes for it.
const CONVERSATION_AND_GO: &str = "kernel::tests::transfers::write_and_read_are_recorded \
                                   kernel::tests::processes::the_programs_for_go_load";

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

/// What the machines have in common.
pub(super) struct Guest {
    files: Initramfs,
    parts: Parts,
    tests: PathBuf,
    python: PathBuf,
    chain: Option<Chain>,
}

impl Guest {
    /// Builds what runs in a guest.
    pub(super) fn build(parts: &Parts) -> Result<Self> {
        build::kernel::build(&setup::for_build()?)?;
        let folder = folder();
        fs::create_dir_all(&folder)?;
        let mut files = Initramfs::default();
        for folder in ["/proc", "/sys", "/dev", "/tmp", "/root"] {
            files.folder(folder);
        }
        for name in PROGRAMS {
            let program = which(name).with_context(|| format!("there is no program {name}"))?;
            files.linked(&program)?;
        }
        files.linked(Path::new("/bin/true"))?;
        let python = python(&mut files)?;
        let tests = unit_tests()?;
        files.built(&tests, &folder.join("kernel-tests"))?;
        let chain = if parts.has_calls() {
            Some(Chain::build(&mut files, &folder, python.clone())?)
        } else {
            None
        };
        Ok(Self {
            files,
            parts: parts.clone(),
            tests,
            python,
            chain,
        })
    }

    /// Writes the guest for this kernel, and says where.
    pub(super) fn write_for(&self, kernel: &Kernel) -> Result<PathBuf> {
        let script = format!(
            "{}export PATH={}:/usr/bin:/bin:/usr/sbin:/sbin\n{}\necho o >/proc/sysrq-trigger\nread -r\n",
            include_str!("guest.sh"),
            self.python.parent().unwrap_or(Path::new("/")).display(),
            self.lines(kernel).join("\n")
        );
        let file = folder().join("initramfs");
        self.files.write(&file, "init", &script)?;
        Ok(file)
    }

    /// What the guest's script runs.
    fn lines(&self, kernel: &Kernel) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.chain.as_ref().map(Chain::doctor));
        for tap in self.parts.taps(kernel) {
            lines.push(format!(
                "part tests/{tap} env KAOS_TEST_TAP={tap} {} --test-threads=1 {}",
                self.tests.display(),
                self.parts.tests(kernel)
            ));
            lines.extend(self.chain.as_ref().map(|chain| chain.calls(&tap)));
        }
        lines
    }

    /// The longest that one machine may take.
    pub(super) const fn limit(&self) -> Duration {
        if self.parts.quick {
            Duration::from_mins(4)
        } else {
            Duration::from_mins(20)
        }
    }
}

fn folder() -> PathBuf {
    paths::target_dir().join("vm")
}

/// The chain: probe, fake server, client. The kernel half is as it is shipped, and all that another
/// kernel changes.
struct Chain {
    probe: PathBuf,
    e2e: PathBuf,
    python: PathBuf,
}

impl Chain {
    /// Builds it and adds it to the guest.
    fn build(guest: &mut Initramfs, folder: &Path, python: PathBuf) -> Result<Self> {
        let mut build = cargo();
        build.args(["build", "--profile", PROFILE, "--bins"]);
        build.args(["--package", "ebpf-probe", "--package", "e2e"]);
        build.env(OBJECT_VARIABLE, paths::kernel_object());
        run_command(&mut limited(&build, Duration::from_mins(15)))?;
        let from = paths::target_dir().join(PROFILE);
        for name in ["kaos-probe", "kaos-fake", "e2e"] {
            guest.built(&from.join(name), &folder.join(name))?;
        }
        guest.tree(&paths::root().join("tests/clients"), &NOT_NEEDED)?;
        Ok(Self {
            probe: from.join("kaos-probe"),
            e2e: from.join("e2e"),
            python,
        })
    }

    /// The line that asks what the probe would do by itself.
    fn doctor(&self) -> String {
        format!("part doctor {} doctor", self.probe.display())
    }

    /// The line that runs it with this socket tap.
    fn calls(&self, tap: &str) -> String {
        let cells = CELLS.map(|cell| format!("--cells '{cell}'")).join(" ");
        format!(
            "part calls/{tap} {} fidelity --no-real --untimed {cells} --probe {} \
             --probe-arg=--tap={tap} --python {} --node-modules /tmp --keep /tmp/logs/{tap}",
            self.e2e.display(),
            self.probe.display(),
            self.python.display()
        )
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
