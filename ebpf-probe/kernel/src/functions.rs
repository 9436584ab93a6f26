//! The socket tap on the kernel's own functions: the entry keeps where the bytes are, the return
//! has how many they were. It sees what io_uring and `sendfile` move too, and costs the system
//! calls of others nothing.
//!
//! Each hook comes as a pair for trampolines (fentry) and as a pair for breakpoints (kprobe).

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{fentry, fexit, kprobe, kretprobe};
use aya_ebpf::programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext};
use probe_common::maps::counter;
use probe_common::record::{IN, OUT};

use crate::connections::Segments;
use crate::kernel::{self, Helpers, Newer, Older};
use crate::maps::{Copying, KERNEL_CALLS, KernelCall, count};
use crate::process;
use crate::socket::{MSG_NOT_DATA, code_mapped, end_of_stream, is_code, moved};

/// [`KernelCall::what`]: none.
pub const NOTHING: u64 = 0;
const SEND: u64 = 1;
const RECEIVE: u64 = 2;
/// A receive that takes no bytes out of the stream.
const PEEK: u64 = 3;
const MAP: u64 = 4;

/// The programs at a function's entry, and at its return for newer and for older kernels.
macro_rules! hooks {
    ($function:literal, $what:expr, $enter:expr, $arguments:expr,
     $fentry:ident, $fexit:ident, $fexit_older:ident,
     $kprobe:ident, $kretprobe:ident, $kretprobe_older:ident) => {
        #[fentry(function = $function)]
        pub fn $fentry(ctx: FEntryContext) -> i32 {
            // SAFETY: the context holds the arguments, and no other is asked for.
            $enter(|n| unsafe { ctx.as_ptr().cast::<u64>().add(n).read_volatile() });
            0
        }
        #[fexit(function = $function)]
        pub fn $fexit(ctx: FExitContext) -> i32 {
            left::<Newer>($what, result(&ctx, ($arguments)()));
            0
        }
        #[fexit(function = $function)]
        pub fn $fexit_older(ctx: FExitContext) -> i32 {
            left::<Older>($what, result(&ctx, ($arguments)()));
            0
        }
        #[kprobe(function = $function)]
        pub fn $kprobe(ctx: ProbeContext) -> u32 {
            $enter(|n| ctx.arg(n).unwrap_or(0));
            0
        }
        #[kretprobe(function = $function)]
        pub fn $kretprobe(ctx: RetProbeContext) -> u32 {
            left::<Newer>($what, ctx.ret());
            0
        }
        #[kretprobe(function = $function)]
        pub fn $kretprobe_older(ctx: RetProbeContext) -> u32 {
            left::<Older>($what, ctx.ret());
            0
        }
    };
}

hooks!(
    "tcp_sendmsg",
    SEND,
    send_entered,
    || 3,
    send_fentry,
    send_fexit,
    send_fexit_older,
    send_kprobe,
    send_return,
    send_return_older
);
hooks!(
    "tcp_recvmsg",
    RECEIVE,
    receive_entered,
    kernel::receive_arguments,
    receive_fentry,
    receive_fexit,
    receive_fexit_older,
    receive_kprobe,
    receive_return,
    receive_return_older
);
hooks!(
    "ksys_mmap_pgoff",
    MAP,
    map_entered,
    || 6,
    map_fentry,
    map_fexit,
    map_fexit_older,
    map_kprobe,
    map_return,
    map_return_older
);

/// The result stands behind the arguments. Only one of these loads is ever walked by the
/// verifier, which knows the number: it refuses loads at an offset that it has to work out.
#[inline(always)]
fn result(ctx: &FExitContext, arguments: u16) -> i64 {
    let base = ctx.as_ptr().cast::<i64>();
    // SAFETY: the context holds the arguments and the result.
    unsafe {
        match arguments {
            3 => base.add(3).read_volatile(),
            4 => base.add(4).read_volatile(),
            5 => base.add(5).read_volatile(),
            _ => base.add(6).read_volatile(),
        }
    }
}

/// `tcp_sendmsg(sk, msg, size)`
#[inline(always)]
fn send_entered(argument: impl Fn(usize) -> u64) {
    entered(SEND, argument(0), argument(1), argument(2));
}

/// `tcp_recvmsg(sk, msg, len, [nonblock,] flags[, addr_len])`
#[inline(always)]
fn receive_entered(argument: impl Fn(usize) -> u64) {
    let flags = if kernel::receive_arguments() == 6 {
        argument(4)
    } else {
        argument(3)
    };
    let what = if flags & MSG_NOT_DATA != 0 {
        PEEK
    } else {
        RECEIVE
    };
    entered(what, argument(0), argument(1), argument(2));
}

/// `ksys_mmap_pgoff(addr, len, prot, flags, fd, pgoff)`
#[inline(always)]
fn map_entered(argument: impl Fn(usize) -> u64) {
    if !is_code(argument(2), argument(3)) {
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
fn entered(what: u64, sk: u64, message: u64, asked: u64) {
    let Some(process) = process::current() else {
        return;
    };
    let Some(call) = this_thread() else {
        return;
    };
    call.what = what;
    call.sk = sk;
    call.asked = asked;
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
    if what == MAP {
        // An error is the last page of all addresses.
        if !(-4095..0).contains(&returned) {
            code_mapped(call.process);
        }
        return;
    }
    // The functions give an `int`, whose upper half nobody clears.
    let n = i64::from(returned as i32);
    if n < 0 {
        return;
    }
    if n == 0 {
        if what != SEND {
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
    let segments = Segments {
        // One segment that holds all is as good as a buffer.
        vector: if call.length < n as u64 {
            call.vector
        } else {
            0
        },
        entries: call.entries,
        in_kernel: 1,
        buffer: call.buffer,
        length: call.length,
    };
    let direction = if what == SEND { OUT } else { IN };
    moved::<K>(
        call.sk,
        direction,
        n as u64,
        segments,
        call.process,
        &mut call.copying,
    );
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

/// Not inlined: its frame is large and is given back at once.
#[inline(never)]
fn first_call(thread: u64) -> i32 {
    let call = KernelCall {
        what: NOTHING,
        sk: 0,
        asked: 0,
        vector: 0,
        entries: 0,
        buffer: 0,
        length: 0,
        process: probe_common::maps::Process {
            policy: 0,
            flags: 0,
            start: 0,
        },
        copying: Copying::NONE,
    };
    match KERNEL_CALLS.insert(thread, call, 0) {
        Ok(()) => 0,
        Err(error) => error,
    }
}
