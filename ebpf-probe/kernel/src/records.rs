//! Writing records into the ring.

use core::ptr::addr_of_mut;

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use probe_common::maps::counter;
use probe_common::record::{CLASSES, Header, Kind, Line, Open, PIECE};

use crate::maps::{RING, count};

/// Bytes that gather in the ring before its reader is woken for them. It looks by itself now and
/// then, so this is how far a busy host may run ahead, far below the credit of a connection.
const GATHERED: u64 = 16 << 10;
const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;

/// A record with room for `N` bytes.
#[repr(C)]
struct Slot<const N: usize> {
    header: Header,
    bytes: [u8; N],
}

#[repr(C)]
struct OpenSlot {
    header: Header,
    open: Open,
}

/// The header of a record about the current thread.
#[inline(always)]
pub fn header(kind: Kind, direction: u8, conn: u64, start: u64) -> Header {
    let ids = bpf_get_current_pid_tgid();
    Header {
        kind: kind as u8,
        direction,
        flags: 0,
        captured: 0,
        // SAFETY: the helper has no preconditions.
        at: unsafe { bpf_ktime_get_ns() },
        conn,
        tgid: (ids >> 32) as u32,
        tid: ids as u32,
        start,
        offset: 0,
        len: 0,
        token: 0,
    }
}

/// Sends a header alone, and wakes the reader: something has begun or ended.
#[inline(always)]
pub fn send(header: &Header) {
    send_after(header, FORCE_WAKEUP, || ());
}

/// Sends a header that stands for bytes which were left out.
#[inline(always)]
pub fn send_mark(header: &Header) {
    send_after(header, wakeup(size_of::<Header>() as u64), || ());
}

/// Does something and then sends a header, and wakes the reader; neither of them when the ring
/// is full.
#[inline(always)]
pub fn send_with(header: &Header, first: impl FnOnce()) {
    send_after(header, FORCE_WAKEUP, first);
}

#[inline(always)]
fn send_after(header: &Header, wakeup: u64, first: impl FnOnce()) {
    match RING.reserve::<Header>(0) {
        Some(mut slot) => {
            slot.write(*header);
            first();
            slot.submit(wakeup);
        }
        None => count(counter::RING_FULL, 1),
    }
}

/// Whether the reader is woken for a record of `n` bytes: when [`GATHERED`] more bytes wait. To
/// wake it for each would cost the thread that is observed an interrupt.
#[inline(always)]
fn wakeup(n: u64) -> u64 {
    let waiting = RING.query(BPF_RB_AVAIL_DATA.into());
    if waiting / GATHERED == waiting.saturating_sub(n) / GATHERED {
        NO_WAKEUP
    } else {
        FORCE_WAKEUP
    }
}

/// Whether half of the ring is free: what is sent then takes no other connection's place.
#[inline(always)]
pub fn has_room() -> bool {
    RING.query(BPF_RB_AVAIL_DATA.into()) < RING.query(BPF_RB_RING_SIZE.into()) / 2
}

/// Sends a header and what is known of the connection, both made in their place in the ring: on
/// the stack there is no room. 0 when the ring is full.
#[inline(always)]
pub fn send_open(header: impl FnOnce() -> Header, fill: impl FnOnce(&mut Open)) -> u32 {
    match RING.reserve::<OpenSlot>(0) {
        Some(mut slot) => {
            let at = slot.as_mut_ptr();
            // SAFETY: the slot is reserved, aligned to 8 bytes and large enough.
            unsafe {
                addr_of_mut!((*at).header).write(header());
                addr_of_mut!((*at).header.captured).write(size_of::<Open>() as u32);
                addr_of_mut!((*at).open).write(Open::default());
                fill(&mut (*at).open);
            }
            slot.submit(FORCE_WAKEUP);
            1
        }
        None => {
            count(counter::RING_FULL, 1);
            0
        }
    }
}

/// Sends where a context comes from; `false` when the ring is full.
#[inline(always)]
pub fn send_line(token: u64, line: &Line, start: u64) -> bool {
    match RING.reserve::<Slot<{ size_of::<Line>() }>>(0) {
        Some(mut slot) => {
            let at = slot.as_mut_ptr();
            // SAFETY: the slot is reserved, aligned to 8 bytes and large enough.
            unsafe {
                addr_of_mut!((*at).header).write(header(Kind::Context, 0, 0, start));
                addr_of_mut!((*at).header.token).write(token);
                addr_of_mut!((*at).header.captured).write(size_of::<Line>() as u32);
                addr_of_mut!((*at).bytes).cast::<Line>().write(*line);
            }
            slot.submit(NO_WAKEUP);
            true
        }
        None => {
            count(counter::RING_FULL, 1);
            false
        }
    }
}

/// Sends `n` bytes (at most [`PIECE`]) of user memory in the smallest slot that holds them.
#[inline(always)]
pub fn send_bytes(header: &Header, user: u64, n: u64) {
    if n <= CLASSES[0] as u64 {
        send_class::<{ CLASSES[0] }>(header, user, n);
    } else if n <= CLASSES[1] as u64 {
        send_class::<{ CLASSES[1] }>(header, user, n);
    } else if n <= CLASSES[2] as u64 {
        send_class::<{ CLASSES[2] }>(header, user, n);
    } else {
        send_class::<PIECE>(header, user, n);
    }
}

/// Sends the first `header.len` bytes of `word`, the first one lowest: bytes that were kept.
#[inline(always)]
pub fn send_word(header: &Header, word: u32) {
    match RING.reserve::<Slot<4>>(0) {
        Some(mut slot) => {
            let at = slot.as_mut_ptr();
            // SAFETY: the slot is reserved, aligned to 8 bytes and has room for 4 bytes.
            unsafe {
                addr_of_mut!((*at).header).write(*header);
                addr_of_mut!((*at).header.captured).write(header.len as u32);
                addr_of_mut!((*at).bytes).write(word.to_le_bytes());
            }
            slot.submit(NO_WAKEUP);
        }
        None => count(counter::RING_FULL, 1),
    }
}

#[inline(always)]
fn send_class<const N: usize>(header: &Header, user: u64, n: u64) {
    let Some(mut slot) = RING.reserve::<Slot<N>>(0) else {
        count(counter::RING_FULL, 1);
        return;
    };
    let at = slot.as_mut_ptr();
    // SAFETY: the slot is reserved, aligned to 8 bytes and has room for `N` bytes.
    unsafe {
        addr_of_mut!((*at).header).write(*header);
        // The verifier wants a bound, and would follow the value back through every step of the
        // copy to prove it. Read back from the slot it is just a number.
        let captured = addr_of_mut!((*at).header.captured);
        captured.write_volatile(n as u32);
        let mut n = captured.read_volatile();
        if n > N as u32 {
            n = N as u32;
        }
        if bpf_probe_read_user(addr_of_mut!((*at).bytes).cast(), n, user as *const _) != 0 {
            captured.write(0);
            count(counter::UNREADABLE, 1);
        }
    }
    slot.submit(wakeup(size_of::<Slot<N>>() as u64));
}
