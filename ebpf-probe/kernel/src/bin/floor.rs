//! The floor of what a probe can cost: the cheapest known pair of hooks, and nothing but a copy
//! of the same bytes into a ring. `cargo xtask bench tap` compares kaos-probe with it.
#![no_std]
#![no_main]

use core::ptr::{addr_of, read_volatile};

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::{btf_tracepoint, map, uprobe, uretprobe};
use aya_ebpf::maps::{Array, RingBuf};
use aya_ebpf::programs::{BtfTracePointContext, ProbeContext, RetProbeContext};

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// The process that is measured.
#[unsafe(no_mangle)]
static TARGET: u32 = 0;

/// Bytes of a chunk: a constant, for a floor need not look at lengths.
const CHUNK: u32 = 250;
/// System call `sendto` of x86-64, which `send` of the C library is.
const SENDTO: u64 = 44;
/// Of `struct pt_regs`: the words of `rsi` and of the system call's number.
const SI: usize = 13;
const ORIG_AX: usize = 15;
/// The reader looks by itself now and then.
const NO_WAKEUP: u64 = 1;

#[map]
static RING: RingBuf = RingBuf::with_byte_size(16 << 20, 0);
/// The buffer of the call that is under way; one thread is measured.
#[map]
static BUFFER: Array<u64> = Array::with_max_entries(1, 0);

#[btf_tracepoint(function = "sys_exit")]
pub fn floor_plain(ctx: BtfTracePointContext) -> i32 {
    let registers: *const [u64; 16] = ctx.arg(0);
    // SAFETY: the tracepoint's first argument is the task's saved registers.
    let registers = unsafe { &*registers };
    if registers[ORIG_AX] == SENDTO && is_target() {
        copy(registers[SI]);
    }
    0
}

#[uprobe]
pub fn floor_entry(ctx: ProbeContext) -> u32 {
    if is_target()
        && let Some(place) = BUFFER.get_ptr_mut(0)
    {
        // SAFETY: the place lives as long as the map.
        unsafe { *place = ctx.arg(1).unwrap_or(0) };
    }
    0
}

#[uretprobe]
pub fn floor_return(_: RetProbeContext) -> u32 {
    if is_target()
        && let Some(buffer) = BUFFER.get(0)
    {
        copy(*buffer);
    }
    0
}

/// For the cost of a site by itself.
#[uprobe]
pub fn empty_entry(_: ProbeContext) -> u32 {
    0
}

/// As above.
#[uretprobe]
pub fn empty_return(_: RetProbeContext) -> u32 {
    0
}

#[inline(always)]
fn is_target() -> bool {
    // SAFETY: the static lives for ever and is only written before the program is loaded.
    (bpf_get_current_pid_tgid() >> 32) as u32 == unsafe { read_volatile(addr_of!(TARGET)) }
}

#[inline(always)]
fn copy(user: u64) {
    if let Some(mut slot) = RING.reserve::<[u8; 256]>(0) {
        // SAFETY: the slot has room for a chunk.
        unsafe { bpf_probe_read_user(slot.as_mut_ptr().cast(), CHUNK, user as *const _) };
        slot.submit(NO_WAKEUP);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses a program that can come here.
    loop {}
}
