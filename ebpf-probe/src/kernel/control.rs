//! Policies, counters, and where the TLS tap is attached.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeLinkId, UProbeScope};
use probe_common::maps::{Go, POLICY_OFF, Process, Python, Settings, counter};

use super::feed::take;
use super::helpers::Helpers;
use super::pod::Pod;
use super::tap::{SocketTap, Tap};

/// Values of `probe_common::maps::counter`, summed over the CPUs.
pub(crate) type Counters = [u64; counter::COUNT as usize];

/// Programs on functions of observed programs that a node is likely to need. The others are loaded
/// when the first one is attached: the verifier walks a second through those of Go's TLS.
const UPROBES: [&str; 10] = [
    "tls_read",
    "tls_write",
    "tls_read_ex",
    "tls_write_ex",
    "tls_write_ex2",
    "tls_return",
    "tls_free",
    "tls_shutdown",
    "python_copied",
    "python_made",
];

/// Sets policies and attaches probes.
pub(crate) struct Control {
    ebpf: Ebpf,
    helpers: Helpers,
    processes: HashMap<MapData, u32, Pod<Process>>,
    pythons: HashMap<MapData, u32, Pod<Python>>,
    gos: HashMap<MapData, u32, Pod<Go>>,
    settings: Array<MapData, Pod<Settings>>,
    counters: PerCpuArray<MapData, u64>,
    sockets: SocketTap,
}

/// A place where a program is attached.
#[derive(Debug)]
pub(crate) struct Attached {
    program: &'static str,
    link: UProbeLinkId,
}

impl Control {
    pub(super) fn new(
        mut ebpf: Ebpf,
        helpers: Helpers,
        sockets: SocketTap,
    ) -> anyhow::Result<Self> {
        for name in UPROBES.map(|name| helpers.program(name)) {
            loaded(&mut ebpf, name)?;
        }
        Ok(Self {
            processes: HashMap::try_from(take(&mut ebpf, "PROCESSES")?)?,
            pythons: HashMap::try_from(take(&mut ebpf, "PYTHONS")?)?,
            gos: HashMap::try_from(take(&mut ebpf, "GOS")?)?,
            settings: Array::try_from(take(&mut ebpf, "SETTINGS")?)?,
            counters: PerCpuArray::try_from(take(&mut ebpf, "COUNTERS")?)?,
            ebpf,
            helpers,
            sockets,
        })
    }

    /// Sets the policy of a process; its children inherit it.
    pub(crate) fn set_policy(&mut self, tgid: u32, process: Process) -> anyhow::Result<()> {
        self.tap_sockets_for(process.policy)?;
        self.processes
            .insert(tgid, Pod(process), 0)
            .with_context(|| format!("cannot set the policy of process {tgid}"))
    }

    /// Says where a process keeps its contexts; its children keep theirs there too.
    pub(crate) fn set_python(&mut self, tgid: u32, python: Python) -> anyhow::Result<()> {
        self.pythons
            .insert(tgid, Pod(python), 0)
            .with_context(|| format!("cannot say where process {tgid} keeps its contexts"))
    }

    /// Says where a Go program keeps what its goroutines are. What was said before stays: it is
    /// the same program for as long as the kernel half remembers it.
    pub(crate) fn set_go(&mut self, tgid: u32, go: Go) -> anyhow::Result<()> {
        if self.gos.get(&tgid, 0).is_ok() {
            return Ok(());
        }
        self.gos
            .insert(tgid, Pod(go), 0)
            .with_context(|| format!("cannot say where process {tgid} keeps its goroutines"))
    }

    /// A process is gone.
    pub(crate) fn forget_python(&mut self, tgid: u32) {
        // The kernel half may have been first.
        drop(self.pythons.remove(&tgid));
    }

    /// Sets the policy of processes that nobody decided about.
    pub(crate) fn set_default_policy(&mut self, policy: u32) -> anyhow::Result<()> {
        self.tap_sockets_for(policy)?;
        let settings = Pod(Settings {
            default_policy: policy,
            pad: 0,
        });
        self.settings
            .set(0, settings, 0)
            .context("cannot set the default policy")
    }

    /// Attaches the socket tap if the policy needs it.
    fn tap_sockets_for(&mut self, policy: u32) -> anyhow::Result<()> {
        if policy != POLICY_OFF {
            self.sockets.attach(&mut self.ebpf)?;
        }
        Ok(())
    }

    /// The socket tap, and why those that would be better were not taken.
    pub(crate) fn tap(&self) -> (Tap, &[(Tap, String)]) {
        self.sockets.chosen()
    }

    #[cfg(test)]
    pub(super) const fn taps_sockets(&self) -> bool {
        self.sockets.is_attached()
    }

    #[cfg(test)]
    pub(super) fn has_loops(&self) -> bool {
        self.helpers == Helpers::Newer
    }

    /// Detaches the socket tap: no process is opted in now. The next policy attaches it again.
    pub(crate) fn rest(&mut self) -> anyhow::Result<()> {
        self.sockets.detach(&mut self.ebpf)
    }

    /// Takes every program away, and gives the processes that still had a policy: whoever was
    /// held must be let go on after this, and nobody is held any more.
    pub(crate) fn end(self) -> Vec<u32> {
        drop(self.ebpf);
        self.processes.keys().filter_map(Result::ok).collect()
    }

    /// The processes that have a policy other than off, by tgid, with their start; 0 where the
    /// kernel half has not looked yet.
    pub(crate) fn captured(&self) -> std::collections::HashMap<u32, u64> {
        let all = self.processes.iter().filter_map(Result::ok);
        let captured = all.filter(|(_, process)| process.0.policy != POLICY_OFF);
        captured
            .map(|(tgid, process)| (tgid, process.0.start))
            .collect()
    }

    /// What the kernel half counted so far.
    pub(crate) fn counters(&self) -> Counters {
        let mut sums = Counters::default();
        for (i, sum) in sums.iter_mut().enumerate() {
            let index = u32::try_from(i).unwrap_or(u32::MAX);
            if let Ok(values) = self.counters.get(&index, 0) {
                *sum = values.iter().sum();
            }
        }
        sums
    }

    /// Attaches a program at a file offset, for every process that maps the file.
    pub(crate) fn attach(
        &mut self,
        program: &'static str,
        file: &Path,
        offset: u64,
    ) -> anyhow::Result<Attached> {
        let program = self.helpers.program(program);
        let link = loaded(&mut self.ebpf, program)?
            .attach(
                UProbeAttachLocation::AbsoluteOffset(offset),
                file,
                UProbeScope::AllProcesses,
            )
            .with_context(|| {
                format!(
                    "cannot attach {program} at {offset:#x} of {}",
                    file.display()
                )
            })?;
        Ok(Attached { program, link })
    }

    /// Loads a program that is not attached yet.
    #[cfg(test)]
    pub(super) fn load(&mut self, program: &'static str) -> anyhow::Result<()> {
        loaded(&mut self.ebpf, self.helpers.program(program)).map(drop)
    }

    /// Takes an attached program away; the file's users are left as they were.
    pub(crate) fn detach(&mut self, attached: Attached) -> anyhow::Result<()> {
        uprobe(&mut self.ebpf, attached.program)?.detach(attached.link)?;
        Ok(())
    }
}

/// The program, which is loaded now if it was not before.
fn loaded<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut UProbe> {
    let program = uprobe(ebpf, name)?;
    if program.fd().is_err() {
        program
            .load()
            .with_context(|| format!("the kernel refused the program {name}"))?;
    }
    Ok(program)
}

fn uprobe<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut UProbe> {
    Ok(ebpf
        .program_mut(name)
        .ok_or_else(|| anyhow!("the kernel half has no program {name}"))?
        .try_into()?)
}
