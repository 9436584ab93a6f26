//! The kernel half, from here: the only module that touches aya.
//!
//! [`load`] gives two halves that live on two threads: [`Feed`] reads records and grants credit,
//! [`Control`] sets policies and attaches the TLS tap.

mod btf;
mod control;
mod feed;
mod helpers;
mod memory;
mod offsets;
mod pod;
mod tap;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, anyhow};
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel, include_bytes_aligned};

pub(crate) use control::{Attached, Control, Counters};
pub(crate) use feed::Feed;
pub(crate) use offsets::VMLINUX;
use tap::SocketTap;
pub(crate) use tap::Tap;

static OBJECT: &[u8] = include_bytes_aligned!(env!("KAOS_BPF_OBJECT"));

/// Programs on tracepoints, and the tracepoint of each.
const TRACEPOINTS: [(&str, &str); 5] = [
    ("socket_state", "inet_sock_set_state"),
    ("socket_destroyed", "tcp_destroy_sock"),
    ("process_fork", "sched_process_fork"),
    ("process_exec", "sched_process_exec"),
    ("process_exit", "sched_process_exit"),
];

/// Loads the programs and starts the process tap. Nothing is captured until a policy says so.
/// The socket tap is the best one that the kernel takes, or `tap`.
///
/// The error of a program that the verifier refused holds the end of the verifier's log.
pub(crate) fn load(ring_bytes: u32, tap: Option<Tap>) -> anyhow::Result<(Feed, Control)> {
    match load_with(ring_bytes, tap, VerifierLogLevel::DISABLE) {
        // The log costs seconds, so it is asked for only when there is something to be read.
        Err(error) if refusal(&error).is_some() => {
            let again = load_with(ring_bytes, tap, VerifierLogLevel::DEBUG);
            let log = again.err().and_then(|error| refusal(&error));
            Err(error.context(log.unwrap_or_default()))
        }
        done => done,
    }
}

/// Lines of the verifier's log that are shown.
const LOG_LINES: usize = 30;

/// The end of the verifier's log, if this is a program that was refused.
fn refusal(error: &anyhow::Error) -> Option<String> {
    let refused = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(ProgramError::LoadError { verifier_log, .. }) => Some(verifier_log.to_string()),
        _ => None,
    })?;
    let lines: Vec<&str> = refused.lines().collect();
    Some(lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
}

fn load_with(
    ring_bytes: u32,
    tap: Option<Tap>,
    log: VerifierLogLevel,
) -> anyhow::Result<(Feed, Control)> {
    let (offsets, helpers) = offsets::of_this_kernel()?;
    let offsets = pod::Pod(offsets);
    memory::lift_limit();
    let btf = Btf::from_sys_fs().with_context(|| format!("cannot read {VMLINUX}"))?;
    let mut ebpf = EbpfLoader::new()
        .btf(Some(&btf))
        .override_global("OFFSETS", &offsets, true)
        .map_max_entries("RING", ring_bytes)
        .verifier_log_level(log)
        .load(OBJECT)
        .context("cannot load the kernel programs; `kaos-probe doctor` says what is missing")?;
    for (program, tracepoint) in TRACEPOINTS {
        load_one(&mut ebpf, program, tracepoint, &btf)?;
        attach(&mut ebpf, program)?;
    }
    let sockets = SocketTap::choose(&mut ebpf, &btf, helpers, tap)?;
    drop(btf);
    memory::give_back();
    let feed = Feed::new(&mut ebpf)?;
    let control = Control::new(ebpf, helpers, sockets)?;
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
