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
pub(crate) mod tests;

use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};
use flate2::read::ZlibDecoder;

pub(crate) use control::{Attached, Control, Counters};
pub(crate) use feed::Feed;
use helpers::Helpers;
pub(crate) use offsets::VMLINUX;
use tap::SocketTap;
pub(crate) use tap::Tap;

/// The kernel half as `build.rs` packed it.
static PACKED: &[u8] = include_bytes!(env!("KAOS_BPF_PACKED"));

/// Programs on tracepoints, and the tracepoint of each.
const TRACEPOINTS: [(&str, &str); 5] = [
    ("socket_state", "inet_sock_set_state"),
    ("socket_destroyed", "tcp_destroy_sock"),
    ("process_fork", "sched_process_fork"),
    ("process_exec", "sched_process_exec"),
    ("process_exit", "sched_process_exit"),
];

/// Loads the programs and starts the process tap. Nothing is captured until a policy says so.
/// The socket tap is `tap`, or the best one that the kernel takes.
///
/// The error of a program that the verifier refused holds the end of the verifier's log.
pub(crate) fn load(ring_bytes: u32, tap: Option<Tap>) -> anyhow::Result<(Feed, Control)> {
    load_for(None, tap, ring_bytes)
}

/// [`load`] with the programs for these helpers, if not for those that this kernel has.
fn load_for(
    helpers: Option<Helpers>,
    tap: Option<Tap>,
    ring_bytes: u32,
) -> anyhow::Result<(Feed, Control)> {
    let with = |log| load_with(helpers, tap, ring_bytes, log);
    match with(VerifierLogLevel::DISABLE) {
        // To write the log takes seconds, so it is asked for only when there is something to read.
        Err(error) if refusal(&error).is_some() => with(VerifierLogLevel::DEBUG).map_err(|again| {
            let short = refusal(&again);
            short.unwrap_or(again)
        }),
        done => done,
    }
}

/// Lines of the verifier's log that are shown.
const LOG_LINES: usize = 40;

/// `error` with no more than the end of the verifier's log, if it says that a program was refused.
fn refusal(error: &anyhow::Error) -> Option<anyhow::Error> {
    let (code, log) = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(ProgramError::LoadError {
            io_error,
            verifier_log,
        }) => Some((io_error, verifier_log.to_string())),
        _ => None,
    })?;
    let lines: Vec<&str> = log.lines().collect();
    let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    Some(anyhow!("{error}: {code}; the verifier's log ends\n{end}"))
}

fn load_with(
    helpers: Option<Helpers>,
    tap: Option<Tap>,
    ring_bytes: u32,
    log: VerifierLogLevel,
) -> anyhow::Result<(Feed, Control)> {
    let (offsets, known) = offsets::of_this_kernel()?;
    let helpers = helpers.unwrap_or(known);
    memory::lift_limit();
    let btf = Btf::from_sys_fs().with_context(|| format!("cannot read {VMLINUX}"))?;
    let mut object = Vec::new();
    ZlibDecoder::new(PACKED)
        .read_to_end(&mut object)
        .context("cannot unpack the kernel programs")?;
    let mut ebpf = EbpfLoader::new()
        .btf(Some(&btf))
        .override_global("OFFSETS", &pod::Pod(offsets), true)
        .map_max_entries("RING", ring_bytes)
        .verifier_log_level(log)
        .load(&object)
        .context("cannot load the kernel programs; `kaos-probe doctor` says what is missing")?;
    for (program, tracepoint) in TRACEPOINTS {
        load_one(&mut ebpf, program, tracepoint, &btf)?;
        attach(&mut ebpf, program)?;
    }
    let sockets = SocketTap::choose(&mut ebpf, &btf, &offsets, helpers, tap)?;
    drop((btf, object));
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
