//! One operation on one connection: the same for sockets and for TLS libraries.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_user};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use probe_common::capture::{
    self, Connection, HTTP, IGNORED, LATE as LATE_CONNECTION, Looked, OPENED, UNKNOWN,
};
use probe_common::http::{Look, PEEK};
use probe_common::maps::counter;
use probe_common::record::{BLOCKING, Header, IN, Kind, LATE, PIECE, TLS};

use crate::go;
use crate::kernel::{self, Helpers};
use crate::maps::{ACCEPTED, Copying, GRANTS, count};
use crate::operation::{Operation, Segments, entry};
use crate::python;
use crate::records::{has_room, header, send_bytes, send_mark, send_open, send_word};

/// The most pieces and segments of one operation that are looked at; the rest is a hole. A vector
/// has 1024 segments at the most (`UIO_MAXIOV`), and each takes two steps.
const STEPS: u32 = 4096;
/// The same where there is no `bpf_loop`: the verifier walks through each of them, for each way that
/// leads here. Enough for the credit of a turn.
const FEW_STEPS: u32 = 80;

/// What in the process did an operation; told where a turn begins.
#[derive(Clone, Copy)]
struct Who {
    flags: u16,
    token: u64,
}

impl Who {
    const UNKNOWN: Self = Self { flags: 0, token: 0 };

    #[inline(always)]
    fn of<K: Helpers>(c: &Connection, operation: &Operation) -> Self {
        let waits = operation.sk != 0 && !operation.hasty && kernel::is_blocking(operation.sk);
        let mut token = python::token::<K>(operation.process.start);
        // Without registers nothing would come of it, and the verifier would walk all that follows
        // once more for each way through it.
        if token == 0 && K::REGISTERS {
            let serves = operation.direction == IN && c.request == IN;
            token = go::token::<K>(if serves { operation.n } else { 0 });
        }
        Self {
            flags: if waits { BLOCKING } else { 0 },
            token,
        }
    }
}

/// A number that no other connection has.
#[inline(always)]
pub fn new_id() -> u64 {
    // SAFETY: the helpers have no preconditions.
    let (now, cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
    // Two connections of one CPU are never a nanosecond apart; 2^56 ns are two years.
    (u64::from(cpu & 0xff) << 56) | (now & 0x00ff_ffff_ffff_ffff)
}

/// Follows `state.operation` on `c`, and sends what of it is wanted. `state` is this call's own;
/// `K` is what the kernel has.
#[inline(always)]
pub fn operate<K: Helpers>(c: &mut Connection, state: &'static mut Copying) {
    // Kept in the map: what is handed on by its address would else take room on the stack.
    let operation: *const Operation = &raw const state.operation;
    // SAFETY: nobody writes to it before the copy is over.
    let operation = unsafe { &*operation };
    let Operation {
        direction,
        n,
        segments,
        start,
        process,
        ..
    } = *operation;
    let follows = c.side(direction).offset == start;
    c.side(direction).offset = start.wrapping_add(n);
    let mut who = Who::UNKNOWN;
    if c.class != HTTP && c.class != UNKNOWN {
        return;
    }
    if c.wants_look(direction) {
        let (first, seen) = peek(&segments, n);
        let looked = c.look(direction, &first, seen, n, follows);
        let Looked { look, before, word } = forgotten(&mut state.looked, looked);
        let http2 = look == Look::Http2 && c.class == UNKNOWN;
        if operation.transport == TLS {
            c.presume_fresh(look, n);
        }
        let start = start.wrapping_sub(u64::from(before));
        let wanted = c.begin(direction, start, look, process.policy);
        if http2 {
            count(counter::HTTP2, 1);
        } else if !wanted {
            return;
        }
        // One place for both: the verifier walks through it at each.
        let told = (c.flags & OPENED != 0 && !http2) || announce(c, operation, http2);
        if !wanted {
            return;
        }
        if !told {
            // The ring is full, and nobody would know whose bytes these are: follow the
            // connection from its next head on.
            c.class = UNKNOWN;
            c.flags |= LATE_CONNECTION;
            return;
        }
        who = Who::of::<K>(c, operation);
        if before != 0 {
            let mut header = header(Kind::Data, direction, c.id, process.start);
            header.offset = start;
            header.len = u64::from(before);
            header.flags = who.flags;
            header.token = who.token;
            send_word(&header, word);
        }
    }
    let (limit, tail) = bounds(c, direction, start, n);
    if segments.vector == 0 && n <= PIECE as u64 && start.wrapping_add(n) <= limit {
        whole(c.id, operation, who);
    } else {
        copy::<K>(state, c.id, operation, who, limit, tail);
    }
}

/// `value` as the verifier sees what it reads from a map: anything. Each way that leads to a value
/// which it knows is one on which it walks through all that follows once more.
#[inline(always)]
fn forgotten<T>(place: &mut T, value: T) -> T {
    // SAFETY: the place is this call's own, and holds a value of this type from here on.
    unsafe {
        (&raw mut *place).write_volatile(value);
        (&raw const *place).read_volatile()
    }
}

/// Up to which offset the `n` bytes from `start` are wanted, and which tail beyond it.
#[inline(always)]
fn bounds(c: &mut Connection, direction: u8, start: u64, n: u64) -> (u64, (u64, u64)) {
    let end = start.wrapping_add(n);
    let mut limit = c.side(direction).limit;
    let mut tail = capture::default_tail(start, n);
    if end <= limit {
        return (limit, tail);
    }
    let mut spoken = false;
    // SAFETY: the value is read field by field; user space replaces it whole.
    if let Some(grant) = unsafe { GRANTS.get(c.id) } {
        if grant.ignore != 0 {
            c.class = IGNORED;
        }
        limit = grant.until(direction, limit);
        // Kept, so that the grant is looked up again only when it is used up.
        c.side(direction).limit = limit;
        let granted = grant.tail(direction);
        spoken = granted.1 > start;
        if spoken {
            tail = granted;
        }
    }
    if end > limit && !spoken && c.answers(direction) && has_room() {
        limit = end;
    }
    (limit, tail)
}

/// Sends an operation of one piece, which a chunk of a stream always is, without the loop.
#[inline(always)]
fn whole(id: u64, operation: &Operation, who: Who) {
    let Operation {
        direction,
        n,
        segments,
        start,
        process,
        ..
    } = *operation;
    let mut header = header(Kind::Data, direction, id, process.start);
    header.offset = start;
    header.len = n;
    header.flags = who.flags;
    header.token = who.token;
    send_bytes(&header, segments.buffer, n);
}

/// Copies the wanted pieces; what is left out at the end is told by a mark.
///
/// The state stands in a map's memory, not on the stack: there the verifier takes every value
/// for unknown, so that all steps of the loop look alike to it and are checked once.
#[inline(always)]
fn copy<K: Helpers>(
    state: &'static mut Copying,
    id: u64,
    operation: &Operation,
    who: Who,
    limit: u64,
    tail: (u64, u64),
) {
    let Operation {
        direction,
        n,
        segments,
        start,
        process,
        ..
    } = *operation;
    state.header = header(Kind::Data, direction, id, process.start);
    state.header.flags = who.flags;
    state.header.token = who.token;
    state.start = start;
    state.n = n;
    state.limit = limit;
    state.tail = tail;
    state.vector = segments.vector;
    state.entries = segments.entries;
    state.in_kernel = segments.in_kernel;
    state.index = 0;
    state.at = segments.buffer;
    state.left = min(segments.length, n);
    state.done = 0;
    state.sent = 0;
    let mut context: *mut Copying = state;
    if K::LOOP {
        // SAFETY: the callback has the shape that the helper calls; the state outlives the call.
        unsafe { bpf_loop(STEPS, step as *mut c_void, (&raw mut context).cast(), 0) };
    } else {
        for _ in 0..FEW_STEPS {
            if step(0, &raw const context) == STOP {
                break;
            }
        }
    }
    // SAFETY: the loop is over; nobody else has the state.
    let state = unsafe { &mut *context };
    if state.sent < state.n {
        state.header.offset = state.start + state.sent;
        state.header.len = state.n - state.sent;
        count(counter::OVER_CREDIT, state.header.len);
        send_mark(&state.header);
    }
}

const GO_ON: i64 = 0;
const STOP: i64 = 1;

/// One piece, or the move to the next segment.
extern "C" fn step(_: u64, context: *const *mut Copying) -> i64 {
    // SAFETY: the helper hands over what `copy` gave it.
    let s = unsafe { &mut **context };
    if s.left == 0 {
        s.index += 1;
        if s.done >= s.n || s.index >= s.entries {
            return STOP;
        }
        let [buffer, length] = entry(s.vector, s.index, s.in_kernel);
        s.at = buffer;
        s.left = min(length, s.n - s.done);
        return GO_ON;
    }
    let offset = s.start + s.done;
    let (wanted, mut m) = capture::piece(offset, s.left, s.limit, s.tail.0, s.tail.1);
    if wanted {
        m = min(m, PIECE as u64);
        s.header.offset = offset;
        s.header.len = m;
        send_bytes(&s.header, s.at, m);
        s.sent = s.done + m;
    }
    s.at += m;
    s.left -= m;
    s.done += m;
    if s.done >= s.n { STOP } else { GO_ON }
}

/// Tells user space of the connection; `false` when the ring is full.
#[inline(always)]
fn announce(c: &mut Connection, operation: &Operation, http2: bool) -> bool {
    let flags = if http2 {
        probe_common::record::HTTP2
    } else {
        0
    };
    let told = announce_as(Kind::Open, c, operation, flags) != 0;
    if told {
        c.flags |= OPENED;
    }
    told
}

/// Sends what is known of the connection as a record of `kind`; 0 when the ring is full.
///
/// Not inlined: its frame is given back before bytes are copied.
#[inline(never)]
pub fn announce_as(kind: Kind, c: &Connection, operation: &Operation, flags: u32) -> u32 {
    // SAFETY: the value is a number.
    let accepted = unsafe { ACCEPTED.get(operation.sk) }.copied().unwrap_or(0);
    let header = || Header {
        offset: accepted,
        ..header(kind, operation.direction, c.id, operation.process.start)
    };
    send_open(header, |open| {
        open.flags = flags | operation.transport;
        open.socket = c.socket;
        if c.flags & LATE_CONNECTION != 0 {
            open.flags |= LATE;
        }
        open.pointer = operation.pointer;
        if operation.sk != 0 {
            kernel::addresses(operation.sk, open);
        }
    })
}

/// The first bytes of the operation, and how many they are.
#[inline(always)]
fn peek(segments: &Segments, n: u64) -> ([u8; PEEK], usize) {
    let mut first = [0u8; PEEK];
    let n = min(min(segments.length, n), PEEK as u64);
    let bytes = core::hint::black_box(n) & 0x1f;
    if bytes > PEEK as u64 {
        return (UNREADABLE, PEEK);
    }
    // SAFETY: at most `PEEK` bytes go into an array of that size.
    let failed = unsafe {
        bpf_probe_read_user(
            first.as_mut_ptr().cast(),
            bytes as u32,
            segments.buffer as *const _,
        )
    };
    if failed != 0 {
        count(counter::UNREADABLE, 1);
        return (UNREADABLE, PEEK);
    }
    (first, n as usize)
}

/// Bytes that are the start of nothing.
const UNREADABLE: [u8; PEEK] = [0xff; PEEK];

/// The connection needs nothing more than its offsets.
#[inline(always)]
pub const fn is_done(c: &Connection) -> bool {
    c.class == IGNORED
}

#[inline(always)]
const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}
