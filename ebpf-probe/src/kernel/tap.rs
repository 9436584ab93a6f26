//! The socket tap: which hooks it hangs on, and when.

use anyhow::{Context as _, anyhow, bail};
use aya::programs::fentry::FEntryLinkId;
use aya::programs::fexit::FExitLinkId;
use aya::programs::kprobe::KProbeLinkId;
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::programs::{FEntry, FExit, KProbe, Program};
use aya::{Btf, Ebpf};
use probe_common::offsets::Offsets;

use super::helpers::Helpers;
use super::{attach, load_one, offsets, tracepoint_program};

/// What the socket tap hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tap {
    /// Trampolines at `tcp_sendmsg` and `tcp_recvmsg` (fentry and fexit).
    Fentry,
    /// Breakpoints there (kprobe and kretprobe). The kernel sees the returns of a few waiting
    /// calls at a time only, so it is taken only when told to.
    Kprobe,
    /// The end of every system call of the host.
    Syscalls,
}

impl Tap {
    /// As it is called on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Syscalls => "syscalls",
        }
    }
}

/// Those that are tried by themselves, the best first.
const BEST_FIRST: [Tap; 2] = [Tap::Fentry, Tap::Syscalls];

/// Programs and the kernel's functions that they hang on, entries first.
type Hooks = &'static [(&'static str, &'static str)];

const FENTRY: Hooks = &[
    ("send_fentry", "tcp_sendmsg"),
    ("receive_fentry", "tcp_recvmsg"),
    ("map_fentry", "ksys_mmap_pgoff"),
    ("send_fexit", "tcp_sendmsg"),
    ("receive_fexit", "tcp_recvmsg"),
    ("map_fexit", "ksys_mmap_pgoff"),
    ("accept_fexit", "inet_csk_accept"),
];

const KPROBE: Hooks = &[
    ("send_kprobe", "tcp_sendmsg"),
    ("receive_kprobe", "tcp_recvmsg"),
    ("map_kprobe", "ksys_mmap_pgoff"),
    ("send_return", "tcp_sendmsg"),
    ("receive_return", "tcp_recvmsg"),
    ("map_return", "ksys_mmap_pgoff"),
    ("accept_return", "inet_csk_accept"),
];

/// At the end of each system call. While it is attached every system call of the host takes the
/// kernel's slower way, so it is only while some process is opted in.
const SYSCALLS: Hooks = &[("sys_exit", "sys_exit")];

/// The tap that was chosen.
pub(super) struct SocketTap {
    tap: Tap,
    helpers: Helpers,
    refused: Vec<(Tap, String)>,
    links: Vec<(&'static str, Link)>,
}

enum Link {
    Tracepoint(BtfTracePointLinkId),
    Entry(FEntryLinkId),
    Exit(FExitLinkId),
    Probe(KProbeLinkId),
}

impl SocketTap {
    /// Loads the programs of the best tap that this kernel takes, or of `forced`, and tries
    /// whether they can be attached.
    pub(super) fn choose(
        ebpf: &mut Ebpf,
        btf: &Btf,
        offsets: &Offsets,
        helpers: Helpers,
        forced: Option<Tap>,
    ) -> anyhow::Result<Self> {
        let best = match helpers {
            Helpers::Newer => &BEST_FIRST[..],
            // There the verifier takes minutes for what is copied at each function.
            Helpers::Older => &BEST_FIRST[1..],
        };
        let wanted = forced.as_ref().map_or(best, std::slice::from_ref);
        let mut refused = Vec::new();
        for &tap in wanted {
            let mut chosen = Self {
                tap,
                helpers,
                refused: Vec::new(),
                links: Vec::new(),
            };
            let tried = chosen
                .can_be(offsets)
                .and_then(|()| chosen.load(ebpf, btf))
                .and_then(|()| chosen.attach(ebpf));
            chosen.detach(ebpf)?;
            match tried {
                Ok(()) => {
                    chosen.refused = refused;
                    return Ok(chosen);
                }
                Err(error) if wanted.last() == Some(&tap) => return Err(error),
                Err(error) => refused.push((tap, format!("{error:#}"))),
            }
        }
        bail!("no socket tap is left")
    }

    /// The tap, and why those that would be better were not taken.
    pub(super) fn chosen(&self) -> (Tap, &[(Tap, String)]) {
        (self.tap, &self.refused)
    }

    /// The programs, each with its function.
    fn programs(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let hooks = match self.tap {
            Tap::Fentry => FENTRY,
            Tap::Kprobe => KPROBE,
            Tap::Syscalls => SYSCALLS,
        };
        let helpers = self.helpers;
        let name = move |(program, function): &(&'static str, &'static str)| {
            (helpers.program(program), *function)
        };
        hooks.iter().map(name)
    }

    /// Whether all is known that the programs read.
    fn can_be(&self, offsets: &Offsets) -> anyhow::Result<()> {
        match self.tap {
            Tap::Fentry | Tap::Kprobe => offsets::needed_by_functions(offsets),
            Tap::Syscalls => Ok(()),
        }
    }

    fn load(&self, ebpf: &mut Ebpf, btf: &Btf) -> anyhow::Result<()> {
        for (name, function) in self.programs() {
            let refused = || format!("the kernel refused the program {name}");
            match program(ebpf, name)? {
                Program::FEntry(one) => one.load(function, btf).with_context(refused)?,
                Program::FExit(one) => one.load(function, btf).with_context(refused)?,
                Program::KProbe(one) => one.load().with_context(refused)?,
                _ => load_one(ebpf, name, function, btf)?,
            }
        }
        Ok(())
    }

    /// Attaches the tap, if it is not attached.
    pub(super) fn attach(&mut self, ebpf: &mut Ebpf) -> anyhow::Result<()> {
        if self.is_attached() {
            return Ok(());
        }
        let done = self.attach_all(ebpf);
        if done.is_err() {
            self.detach(ebpf)?;
        }
        done
    }

    fn attach_all(&mut self, ebpf: &mut Ebpf) -> anyhow::Result<()> {
        for (name, function) in self.programs() {
            let failed = || format!("cannot attach {name} to {function}");
            let link = match program(ebpf, name)? {
                Program::FEntry(one) => Link::Entry(one.attach().with_context(failed)?),
                Program::FExit(one) => Link::Exit(one.attach().with_context(failed)?),
                Program::KProbe(one) => Link::Probe(one.attach(function, 0).with_context(failed)?),
                _ => Link::Tracepoint(attach(ebpf, name)?),
            };
            self.links.push((name, link));
        }
        Ok(())
    }

    /// Whether it is attached.
    pub(super) const fn is_attached(&self) -> bool {
        !self.links.is_empty()
    }

    /// Detaches it, if it is attached.
    pub(super) fn detach(&mut self, ebpf: &mut Ebpf) -> anyhow::Result<()> {
        for (name, link) in self.links.drain(..) {
            match link {
                Link::Tracepoint(id) => tracepoint_program(ebpf, name)?.detach(id)?,
                Link::Entry(id) => fentry(ebpf, name)?.detach(id)?,
                Link::Exit(id) => fexit(ebpf, name)?.detach(id)?,
                Link::Probe(id) => kprobe(ebpf, name)?.detach(id)?,
            }
        }
        Ok(())
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Program> {
    ebpf.program_mut(name)
        .ok_or_else(|| anyhow!("the kernel half has no program {name}"))
}

fn fentry<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut FEntry> {
    Ok(program(ebpf, name)?.try_into()?)
}

fn fexit<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut FExit> {
    Ok(program(ebpf, name)?.try_into()?)
}

fn kprobe<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut KProbe> {
    Ok(program(ebpf, name)?.try_into()?)
}
