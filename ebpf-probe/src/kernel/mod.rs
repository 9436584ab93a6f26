//! The kernel half, from here: the only module that touches aya.
//!
//! [`load`] gives two halves that live on two threads: [`Feed`] reads records and grants credit,
//! [`Control`] sets policies and attaches the TLS tap.

mod btf;
mod control;
mod feed;
mod memory;
mod offsets;
mod pod;
#[cfg(test)]
pub(crate) mod tests;

use anyhow::{Context as _, anyhow};
use aya::programs::BtfTracePoint;
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel, include_bytes_aligned};

pub(crate) use control::{Attached, Control, Counters};
pub(crate) use feed::Feed;
pub(crate) use offsets::VMLINUX;

static OBJECT: &[u8] = include_bytes_aligned!(env!("KAOS_BPF_OBJECT"));

/// Programs on tracepoints, and the tracepoint of each.
const TRACEPOINTS: [(&str, &str); 5] = [
    ("socket_state", "inet_sock_set_state"),
    ("socket_destroyed", "tcp_destroy_sock"),
    ("process_fork", "sched_process_fork"),
    ("process_exec", "sched_process_exec"),
    ("process_exit", "sched_process_exit"),
];

/// The socket tap, and its tracepoint. While it is attached every system call of the host takes
/// the kernel's slower way, so it is only while some process is opted in.
const SOCKET_TAP: (&str, &str) = ("sys_exit", "sys_exit");

/// Loads the programs and starts the process tap. Nothing is captured until a policy says so.
pub(crate) fn load(ring_bytes: u32) -> anyhow::Result<(Feed, Control)> {
    let offsets = pod::Pod(offsets::of_this_kernel()?);
    let btf = Btf::from_sys_fs().with_context(|| format!("cannot read {VMLINUX}"))?;
    let mut ebpf = EbpfLoader::new()
        .btf(Some(&btf))
        .override_global("OFFSETS", &offsets, true)
        .map_max_entries("RING", ring_bytes)
        .verifier_log_level(VerifierLogLevel::DISABLE)
        .load(OBJECT)
        .context("cannot load the kernel programs; `kaos-probe doctor` says what is missing")?;
    for (program, tracepoint) in TRACEPOINTS {
        load_one(&mut ebpf, program, tracepoint, &btf)?;
        attach(&mut ebpf, program)?;
    }
    let (program, tracepoint) = SOCKET_TAP;
    load_one(&mut ebpf, program, tracepoint, &btf)?;
    drop(btf);
    memory::give_back();
    let feed = Feed::new(&mut ebpf)?;
    let control = Control::new(ebpf)?;
    Ok((feed, control))
}

fn load_one(ebpf: &mut Ebpf, name: &str, tracepoint: &str, btf: &Btf) -> anyhow::Result<()> {
    tracepoint_program(ebpf, name)?
        .load(tracepoint, btf)
        .with_context(|| format!("the kernel refused the program {name}"))
}

fn attach(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<BtfTracePointLinkId> {
    tracepoint_program(ebpf, name)?
        .attach()
        .with_context(|| format!("cannot attach {name} to its tracepoint"))
}

fn tracepoint_program<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut BtfTracePoint> {
    Ok(ebpf
        .program_mut(name)
        .ok_or_else(|| anyhow!("the kernel half has no program {name}"))?
        .try_into()?)
}
