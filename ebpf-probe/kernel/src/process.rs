//! The process tap, and the policy of a process.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::maps::{POLICY_OFF, Process, counter};
use probe_common::record::{IN, Kind};

use crate::kernel;
use crate::maps::{GOS, PROCESSES, PYTHON_THREADS, PYTHONS, SETTINGS, count};
use crate::records::{header, send};

/// The current process, if it is opted in.
#[inline(always)]
pub fn current() -> Option<Process> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let process = match PROCESSES.get_ptr_mut(tgid) {
        Some(known) => {
            // SAFETY: the entry lives until the process exits; user space replaces it whole.
            let known = unsafe { &mut *known };
            if known.start == 0 && known.policy != POLICY_OFF {
                // User space knows the start to a clock tick only, and leaves it to us.
                known.start = kernel::process_start();
            }
            *known
        }
        None => by_default(tgid)?,
    };
    (process.policy != POLICY_OFF).then_some(process)
}

/// Takes up a process that nobody decided about, when that is the setting.
#[inline(always)]
fn by_default(tgid: u32) -> Option<Process> {
    let policy = SETTINGS.get(0)?.default_policy;
    if policy == POLICY_OFF {
        return None;
    }
    let process = Process {
        policy,
        flags: 0,
        start: kernel::process_start(),
    };
    if PROCESSES.insert(tgid, process, 0).is_err() {
        count(counter::PROCESSES_FULL, 1);
    }
    Some(process)
}

/// A child takes its parent's policy before it runs its first instruction.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let child: *const u8 = ctx.arg(1);
    let Some((tgid, tid)) = kernel::ids_of(child as u64) else {
        return 0;
    };
    if tgid != tid {
        return 0;
    }
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the value is copied at once.
    let Some(known) = (unsafe { PROCESSES.get(parent) }).copied() else {
        // User space may have decided about an older process of this number when it was gone.
        let _ = PROCESSES.remove(tgid);
        let _ = PYTHONS.remove(tgid);
        return 0;
    };
    let process = Process {
        start: kernel::start_of(child as u64),
        ..known
    };
    if PROCESSES.insert(tgid, process, 0).is_err() {
        count(counter::PROCESSES_FULL, 1);
    }
    // The child has the same program at the same addresses.
    // SAFETY: the value is copied at once.
    if let Some(python) = (unsafe { PYTHONS.get(parent) }).copied() {
        let _ = PYTHONS.insert(tgid, python, 0);
    }
    if process.policy != POLICY_OFF {
        send(&header(Kind::Fork, IN, u64::from(tgid), process.start));
    }
    0
}

/// User space looks at each new program: a selector may want it.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(_: BtfTracePointContext) -> i32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let _ = PYTHONS.remove(tgid);
    let _ = GOS.remove(tgid);
    send(&header(Kind::Exec, IN, 0, kernel::process_start()));
    0
}

/// A process ends with its last thread, not with its first: that one may end before the others,
/// and does so when another thread starts a program (execve(2)).
#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(_: BtfTracePointContext) -> i32 {
    let ids = bpf_get_current_pid_tgid();
    let tgid = (ids >> 32) as u32;
    if PYTHONS.get_ptr(tgid).is_some() {
        let _ = PYTHON_THREADS.remove(ids);
    }
    if kernel::has_threads() {
        return 0;
    }
    // SAFETY: the value is copied at once.
    let known = unsafe { PROCESSES.get(tgid) }.copied();
    if let Some(process) = known {
        // The last two may end at once: one of them tells.
        if PROCESSES.remove(tgid).is_ok() {
            let _ = PYTHONS.remove(tgid);
            let _ = GOS.remove(tgid);
            send(&header(Kind::Exit, IN, 0, process.start));
        }
    }
    0
}
