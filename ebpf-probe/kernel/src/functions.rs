//! The socket tap on the kernel's own functions: the entry keeps where the bytes are, the return
//! has how many they were. It sees what io_uring moves too, and costs the system calls of others
//! nothing.
//!
//! Each hook comes as a pair for trampolines (fentry) and as a pair for breakpoints (kprobe).

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_func_arg, bpf_get_func_ret};
use aya_ebpf::macros::{fentry, fexit, kprobe, kretprobe};
use aya_ebpf::programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext};
use probe_common::maps::{Process, counter};
use probe_common::record::{IN, OUT};

use crate::kernel::{self, Helpers, Newer, Older};
use crate::maps::{Copying, KERNEL_CALLS, KernelCall, count};
use crate::operation::Segments;
use crate::process;
use crate::python;
use crate::socket::{
    MSG_DONTWAIT, MSG_ERRQUEUE, MSG_NOT_DATA, Moved, code_mapped, end_of_stream, is_code, moved,
};

/// [`KernelCall::what`]: none.
const NOTHING: u64 = 0;
const SEND: u64 = 1;
const RECEIVE: u64 = 2;
/// A receive that takes no bytes out of the stream.
const PEEK: u64 = 3;
const MAP: u64 = 4;

/// Arguments of `tcp_recvmsg` before 5.19, where whether to wait is one of its own.
const WITH_NONBLOCK: u16 = 6;

/// `tcp_sendmsg(sk, msg, size)`
#[fentry(function = "tcp_sendmsg")]
pub fn send_fentry(ctx: FEntryContext) -> i32 {
    entered(SEND, ctx.arg(0), ctx.arg(1), ctx.arg(2), false);
    0
}

#[fexit(function = "tcp_sendmsg")]
pub fn send_fexit(ctx: FExitContext) -> i32 {
    left::<Newer>(SEND, result(&ctx));
    0
}

#[fexit(function = "tcp_sendmsg")]
pub fn send_fexit_older(ctx: FExitContext) -> i32 {
    left::<Older>(SEND, ctx.arg(3));
    0
}

#[kprobe]
pub fn send_kprobe(ctx: ProbeContext) -> u32 {
    let arguments = Arguments::of(&ctx);
    entered(SEND, arguments.di, arguments.si, arguments.dx, false);
    0
}

#[kretprobe]
pub fn send_return(ctx: RetProbeContext) -> u32 {
    left::<Newer>(SEND, ctx.ret());
    0
}

#[kretprobe]
pub fn send_return_older(ctx: RetProbeContext) -> u32 {
    left::<Older>(SEND, ctx.ret());
    0
}

/// `tcp_recvmsg(sk, msg, len, [nonblock,] flags[, addr_len])`
#[fentry(function = "tcp_recvmsg")]
pub fn receive_fentry(ctx: FEntryContext) -> i32 {
    // By the helper: of two loads of which one is taken the compiler makes one at an offset that
    // it works out, which the verifier refuses.
    let (nonblock, flags) = if kernel::receive_arguments() == WITH_NONBLOCK {
        (argument(&ctx, 3), argument(&ctx, 4))
    } else {
        (0, argument(&ctx, 3))
    };
    receive_entered(ctx.arg(0), ctx.arg(1), ctx.arg(2), nonblock, flags);
    0
}

/// Kernels without `bpf_get_func_arg` have six arguments there.
#[fentry(function = "tcp_recvmsg")]
pub fn receive_fentry_older(ctx: FEntryContext) -> i32 {
    receive_entered(ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg(3), ctx.arg(4));
    0
}

#[fexit(function = "tcp_recvmsg")]
pub fn receive_fexit(ctx: FExitContext) -> i32 {
    left::<Newer>(RECEIVE, result(&ctx));
    0
}

#[fexit(function = "tcp_recvmsg")]
pub fn receive_fexit_older(ctx: FExitContext) -> i32 {
    left::<Older>(RECEIVE, ctx.arg(6));
    0
}

#[kprobe]
pub fn receive_kprobe(ctx: ProbeContext) -> u32 {
    let Arguments { di, si, dx, cx, r8 } = Arguments::of(&ctx);
    if kernel::receive_arguments() == WITH_NONBLOCK {
        receive_entered(di, si, dx, cx, r8);
    } else {
        receive_entered(di, si, dx, 0, cx);
    }
    0
}

#[kretprobe]
pub fn receive_return(ctx: RetProbeContext) -> u32 {
    left::<Newer>(RECEIVE, ctx.ret());
    0
}

#[kretprobe]
pub fn receive_return_older(ctx: RetProbeContext) -> u32 {
    left::<Older>(RECEIVE, ctx.ret());
    0
}

/// `ksys_mmap_pgoff(addr, len, prot, flags, fd, pgoff)`
#[fentry(function = "ksys_mmap_pgoff")]
pub fn map_fentry(ctx: FEntryContext) -> i32 {
    map_entered(ctx.arg(2), ctx.arg(3));
    0
}

#[fexit(function = "ksys_mmap_pgoff")]
pub fn map_fexit(ctx: FExitContext) -> i32 {
    map_left(ctx.arg(6));
    0
}

#[kprobe]
pub fn map_kprobe(ctx: ProbeContext) -> u32 {
    let Arguments { dx, cx, .. } = Arguments::of(&ctx);
    map_entered(dx, cx);
    0
}

#[kretprobe]
pub fn map_return(ctx: RetProbeContext) -> u32 {
    map_left(ctx.ret());
    0
}

/// `inet_csk_accept` gives the new socket.
#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit(ctx: FExitContext) -> i32 {
    python::accepted(result(&ctx) as u64);
    0
}

/// Kernels without `bpf_get_func_ret` have four arguments there.
#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit_older(ctx: FExitContext) -> i32 {
    python::accepted(ctx.arg(4));
    0
}

#[kretprobe]
pub fn accept_return(ctx: RetProbeContext) -> u32 {
    python::accepted(ctx.ret());
    0
}

/// The first five arguments at a function's entry, each read in any case.
struct Arguments {
    di: u64,
    si: u64,
    dx: u64,
    cx: u64,
    r8: u64,
}

impl Arguments {
    #[inline(always)]
    fn of(ctx: &ProbeContext) -> Self {
        let registers: *const pt_regs = ctx.regs;
        // SAFETY: the context of a kprobe is the registers.
        unsafe {
            Self {
                di: (&raw const (*registers).rdi).read_volatile(),
                si: (&raw const (*registers).rsi).read_volatile(),
                dx: (&raw const (*registers).rdx).read_volatile(),
                cx: (&raw const (*registers).rcx).read_volatile(),
                r8: (&raw const (*registers).r8).read_volatile(),
            }
        }
    }
}

/// An argument whose number is not known before the program is loaded.
#[inline(always)]
fn argument(ctx: &FEntryContext, n: u32) -> u64 {
    let mut value = 0;
    // SAFETY: the helper checks the number; the value outlives the call.
    unsafe { bpf_get_func_arg(ctx.as_ptr(), n, &raw mut value) };
    value
}

/// What a function returns, however many arguments it has.
#[inline(always)]
fn result(ctx: &FExitContext) -> i64 {
    let mut value = 0;
    // SAFETY: the value outlives the call.
    unsafe { bpf_get_func_ret(ctx.as_ptr(), &raw mut value) };
    value as i64
}

#[inline(always)]
fn receive_entered(sk: u64, message: u64, asked: u64, nonblock: u64, flags: u64) {
    let what = if flags & MSG_NOT_DATA == 0 {
        RECEIVE
    } else if flags & MSG_ERRQUEUE == 0 {
        PEEK
    } else {
        NOTHING
    };
    let hasty = flags & MSG_DONTWAIT != 0 || nonblock as u32 != 0;
    entered(what, sk, message, asked, hasty);
}

#[inline(always)]
fn map_entered(protection: u64, flags: u64) {
    if !is_code(protection, flags) {
        return;
    }
    let Some(process) = process::current() else {
        return;
    };
    if let Some(call) = this_thread() {
        call.what = MAP;
        call.process = process;
    }
}

#[inline(always)]
fn map_left(returned: i64) {
    let Some(call) = KERNEL_CALLS.get_ptr_mut(bpf_get_current_pid_tgid()) else {
        return;
    };
    // SAFETY: the entry belongs to this thread, which is here.
    let call = unsafe { &mut *call };
    // An error is an address in the last page of all.
    if call.what == MAP && !(-4095..0).contains(&returned) {
        code_mapped(call.process);
    }
    call.what = NOTHING;
}

#[inline(always)]
fn entered(what: u64, sk: u64, message: u64, asked: u64, hasty: bool) {
    let Some(process) = process::current() else {
        return;
    };
    let Some(call) = this_thread() else {
        return;
    };
    call.what = what;
    call.sk = sk;
    call.asked = asked;
    call.hasty = hasty.into();
    call.process = process;
    match kernel::segments(message) {
        Some(Segments {
            vector,
            entries,
            buffer,
            length,
            ..
        }) => {
            call.vector = vector;
            call.entries = entries;
            call.buffer = buffer;
            call.length = length;
        }
        // Pages without an address of this process, as `sendfile` gives them.
        None => call.entries = 0,
    }
}

#[inline(always)]
fn left<K: Helpers>(function: u64, returned: i64) {
    let Some(call) = KERNEL_CALLS.get_ptr_mut(bpf_get_current_pid_tgid()) else {
        return;
    };
    // SAFETY: the entry belongs to this thread, which is here.
    let call = unsafe { &mut *call };
    let what = call.what;
    call.what = NOTHING;
    // What was kept may be of a call whose return was not seen.
    if what != function && (what != PEEK || function != RECEIVE) {
        return;
    }
    // The functions give an `int`, whose upper half nobody clears.
    let n = i64::from(returned as i32);
    if n <= 0 {
        if n == 0 && what != SEND {
            end_of_stream(call.asked, call.sk, call.process);
        }
        return;
    }
    if what == PEEK {
        return;
    }
    if call.entries == 0 {
        // The next call's offset shows the hole.
        count(counter::NOT_IN_MEMORY, n as u64);
        return;
    }
    let n = n as u64;
    let segments = Segments {
        // One segment that holds all is as good as a buffer.
        vector: if call.length < n { call.vector } else { 0 },
        entries: call.entries,
        in_kernel: 1,
        buffer: call.buffer,
        length: call.length,
    };
    let what = Moved {
        sk: call.sk,
        direction: if what == SEND { OUT } else { IN },
        n,
        segments,
        process: call.process,
        hasty: call.hasty != 0,
    };
    moved::<K>(&what, &mut call.copying);
}

/// The place of the current thread, made at its first call.
#[inline(always)]
fn this_thread() -> Option<&'static mut KernelCall> {
    let thread = bpf_get_current_pid_tgid();
    if KERNEL_CALLS.get_ptr_mut(thread).is_none() && first_call(thread) != 0 {
        return None;
    }
    // SAFETY: the entry belongs to this thread, which is here.
    KERNEL_CALLS
        .get_ptr_mut(thread)
        .map(|call| unsafe { &mut *call })
}

/// What a thread's place holds at first. It is too large for the stack.
const NO_CALL: &KernelCall = &KernelCall {
    what: NOTHING,
    sk: 0,
    asked: 0,
    hasty: 0,
    vector: 0,
    entries: 0,
    buffer: 0,
    length: 0,
    process: Process {
        policy: 0,
        flags: 0,
        start: 0,
    },
    copying: Copying::NONE,
};

#[inline(always)]
fn first_call(thread: u64) -> i32 {
    match KERNEL_CALLS.insert(thread, NO_CALL, 0) {
        Ok(()) => 0,
        Err(error) => error,
    }
}
