//! Go: its own TLS, and which goroutine a request is read, answered or made in.
//!
//! Arguments stand in rax, rbx and rcx, the goroutine in r14, which Go keeps there through system
//! calls too. A goroutine moves between threads, so what belongs together is kept by goroutine.
//!
//! A pooled connection is written by a goroutine of its own: who makes a request on it says so
//! when it hands the request over, and lends that goroutine its number.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use probe_common::capture::TLS as TLS_SOCKET;
use probe_common::maps::{Go, GoKey, counter};
use probe_common::record::{FOUND, IN, Kind, OUT};

use crate::connections::new_id;
use crate::kernel::{self, Helpers, Newer, Older};
use crate::maps::{GO_HANDOVERS, GO_READS, GOROUTINES, GOS, GoRead, Goroutine, SOCKETS, count};
use crate::operation::Segments;
use crate::process;
use crate::tls::{Transfer, ended, transfer};

/// The carry and the zero flag: with one of them set, the stack grows and the function begins
/// again.
const BEGINS_AGAIN: u64 = 0x41;
/// `g.sched.g`, by which a goroutine names itself.
const SELF: u64 = 72;
/// The second word of `tls.Conn`: the pointer of its `net.Conn`.
const INNER: u64 = 8;
/// `netFD.pfd.Sysfd`
const DESCRIPTOR: u64 = 16;
/// Larger numbers are no descriptors.
const DESCRIPTORS: u64 = 1 << 20;
/// A single operation moves less.
const MOST: u64 = i32::MAX as u64;

/// The number of the goroutine that this thread runs, or of the one for which it writes; 0 where
/// neither is known to serve a request. `request` is how many bytes of a request it has just read,
/// 0 when it did something else.
///
/// Whoever serves is known from its first request on. What another one that was started by it does
/// first has that one's number, marked as [`FOUND`].
/// A server waits for the next request with a read of one byte, in a goroutine that lives for
/// nothing else: that one counts as its parent's.
#[inline(never)]
pub fn token<K: Helpers>(request: u64) -> u64 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(go) = GOS.get_ptr(tgid) else {
        return 0;
    };
    // SAFETY: the value is read as numbers only, and replaced whole.
    let go = unsafe { &*go };
    let goroutine = kernel::user_r14::<K>().unwrap_or(0);
    let Some(id) = id_of(go, goroutine) else {
        return 0;
    };
    let here = key(go, id, tgid);
    if let Some(known) = known(&here) {
        if known.borrowed != 0 {
            return known.borrowed;
        }
        if known.token != 0 {
            return known.token;
        }
    }
    if request == 0 {
        return starters(go, goroutine, &here);
    }
    if request == 1
        && let Some(parent) = parent_of(go, goroutine, tgid)
    {
        let token = known(&parent).map_or(0, |parent| parent.token);
        if token != 0 {
            return token;
        }
    }
    serves(&here)
}

/// The goroutine that started the one at this address.
#[inline(always)]
fn parent_of(go: &Go, goroutine: u64, tgid: u32) -> Option<GoKey> {
    if go.parent == 0 {
        return None;
    }
    let id = user(goroutine.wrapping_add(u64::from(go.parent)))?;
    Some(key(go, id, tgid))
}

/// The number of the goroutine that started this one, marked as [`FOUND`]; 0 if that one serves
/// nobody or is not known. Only for the first call: pools keep whom one request has started, and
/// whose work it does then nobody can tell.
#[inline(always)]
fn starters(go: &Go, goroutine: u64, here: &GoKey) -> u64 {
    let Some(parent) = parent_of(go, goroutine, here.tgid).and_then(|parent| known(&parent)) else {
        return 0;
    };
    let mut own = known(here).unwrap_or(Goroutine::NEW);
    if parent.token == 0 || own.helped != 0 {
        return 0;
    }
    own.helped = 1;
    match GOROUTINES.insert(here, own, 0) {
        Ok(()) => parent.token | FOUND,
        Err(_) => 0,
    }
}

/// Gives a goroutine its number, which is younger than the connection that it serves.
#[inline(always)]
fn serves(here: &GoKey) -> u64 {
    let new = Goroutine {
        token: new_id() & !FOUND,
        ..Goroutine::NEW
    };
    match GOROUTINES.insert(here, new, 0) {
        Ok(()) => new.token,
        Err(_) => 0,
    }
}

/// `(*persistConn).roundTrip` begins: this goroutine makes a request on the connection.
#[uprobe]
pub fn go_hands_over(ctx: ProbeContext) -> u32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Some((go, here)) = here(&ctx, tgid) {
        let mut token = known(&here).map_or(0, |goroutine| goroutine.token);
        if token == 0 {
            token = starters(go, registers(&ctx).r14, &here);
        }
        let connection = key(go, registers(&ctx).rax, tgid);
        // Also when it is nobody's: the connection had another one's request before.
        let _ = GO_HANDOVERS.insert(connection, token, 0);
    }
    0
}

/// `persistConnWriter.Write` begins: this goroutine writes what another one has handed over.
#[uprobe]
pub fn go_writes_for(ctx: ProbeContext) -> u32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some((go, here)) = here(&ctx, tgid) else {
        return 0;
    };
    let connection = key(go, registers(&ctx).rax, tgid);
    let mut own = known(&here).unwrap_or(Goroutine::NEW);
    own.borrowed = match GO_HANDOVERS.get_ptr(connection) {
        // SAFETY: the value is a number.
        Some(token) => unsafe { *token },
        None => 0,
    };
    let _ = GOROUTINES.insert(here, own, 0);
    0
}

/// The program that this is, and the goroutine that it runs.
#[inline(always)]
fn here(ctx: &ProbeContext, tgid: u32) -> Option<(&'static Go, GoKey)> {
    let registers = registers(ctx);
    if registers.eflags & BEGINS_AGAIN != 0 {
        return None;
    }
    // SAFETY: the value is read as numbers only, and replaced whole.
    let go = unsafe { &*GOS.get_ptr(tgid)? };
    process::current()?;
    let id = id_of(go, registers.r14)?;
    Some((go, key(go, id, tgid)))
}

/// The id of the goroutine at this address, if one is there.
#[inline(always)]
fn id_of(go: &Go, address: u64) -> Option<u64> {
    if user::<u64>(address.wrapping_add(SELF))? != address {
        return None;
    }
    user(address + u64::from(go.goid)).filter(|id| *id != 0)
}

#[inline(always)]
fn key(go: &Go, id: u64, tgid: u32) -> GoKey {
    GoKey {
        id,
        tgid,
        generation: go.generation,
    }
}

/// What is known of a goroutine.
#[inline(always)]
fn known(key: &GoKey) -> Option<Goroutine> {
    // SAFETY: the value is copied at once.
    unsafe { GOROUTINES.get(key) }.copied()
}

/// `(*tls.Conn).Read` begins.
#[uprobe]
pub fn go_tls_read(ctx: ProbeContext) -> u32 {
    let registers = registers(&ctx);
    if registers.eflags & BEGINS_AGAIN != 0 || process::current().is_none() {
        return 0;
    }
    let read = GoRead {
        connection: registers.rax,
        buffer: registers.rbx,
    };
    if GO_READS.insert(reader(registers), read, 0).is_err() {
        count(counter::UNPAIRED, 1);
    }
    0
}

/// A program for each kind of kernel.
macro_rules! both {
    ($newer:ident, $older:ident, $does:ident) => {
        #[uprobe]
        pub fn $newer(ctx: ProbeContext) -> u32 {
            $does::<Newer>(registers(&ctx));
            0
        }

        #[uprobe]
        pub fn $older(ctx: ProbeContext) -> u32 {
            $does::<Older>(registers(&ctx));
            0
        }
    };
}

both!(go_tls_copies, go_tls_copies_older, copies);
both!(go_tls_returns, go_tls_returns_older, returns);
both!(go_tls_write, go_tls_write_older, writes);

/// `(*tls.Conn).Read` is about to copy what it returns.
#[inline(always)]
fn copies<K: Helpers>(registers: &pt_regs) {
    if let Some(read) = taken(registers) {
        let (from, n) = (registers.rbx, registers.rcx);
        moved::<K>(read.connection, IN, from, n);
    }
}

/// It returns.
#[inline(always)]
fn returns<K: Helpers>(registers: &pt_regs) {
    if let Some(read) = taken(registers) {
        moved::<K>(read.connection, IN, read.buffer, registers.rax);
    }
}

/// `(*tls.Conn).Write` begins. It writes everything, or nothing is ever written after it.
#[inline(always)]
fn writes<K: Helpers>(registers: &pt_regs) {
    if registers.eflags & BEGINS_AGAIN == 0 {
        let (from, n) = (registers.rbx, registers.rcx);
        moved::<K>(registers.rax, OUT, from, n);
    }
}

/// `(*tls.Conn).Close` begins.
#[uprobe]
pub fn go_tls_close(ctx: ProbeContext) -> u32 {
    let registers = registers(&ctx);
    if registers.eflags & BEGINS_AGAIN == 0 {
        ended(registers.rax, Kind::Closed);
    }
    0
}

/// Plaintext moved over a connection.
#[inline(always)]
fn moved<K: Helpers>(connection: u64, direction: u8, from: u64, n: u64) {
    if n == 0 || n > MOST {
        return;
    }
    let Some(process) = process::current() else {
        return;
    };
    transfer::<K>(&Transfer {
        pointer: connection,
        direction,
        bytes: Segments::one(from, n),
        process,
        sk: socket(connection).unwrap_or(0),
    });
}

/// The read that this goroutine is in.
#[inline(always)]
fn taken(registers: &pt_regs) -> Option<GoRead> {
    let Some(read) = GO_READS.get_ptr_mut(reader(registers)) else {
        // Of a process that is not opted in nobody expects a beginning.
        if process::current().is_some() {
            count(counter::UNPAIRED, 1);
        }
        return None;
    };
    // SAFETY: entries are numbers; the goroutine runs here and nowhere else.
    let read = unsafe { &mut *read };
    let taken = *read;
    read.connection = 0;
    (taken.connection != 0).then_some(taken)
}

/// The goroutine by its address, which is its own while it is in a call.
#[inline(always)]
fn reader(registers: &pt_regs) -> GoKey {
    GoKey {
        id: registers.r14,
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        generation: 0,
    }
}

/// The socket below a `tls.Conn`, where that wraps a `*net.TCPConn`. Whatever else it wraps leads
/// to no descriptor of a socket that carries TLS.
#[inline(always)]
fn socket(connection: u64) -> Option<u64> {
    let inner: u64 = user(connection.wrapping_add(INNER))?;
    let descriptor: u64 = user(inner)?;
    let number: u64 = user(descriptor.wrapping_add(DESCRIPTOR))?;
    if number >= DESCRIPTORS {
        return None;
    }
    // A uprobe may not follow pointers as other programs may.
    let sk = kernel::socket_of::<Older>(number)?;
    let socket = SOCKETS.get_ptr(sk)?;
    // SAFETY: the entry lives until the socket closes.
    (unsafe { (*socket).class } == TLS_SOCKET).then_some(sk)
}

#[inline(always)]
fn registers(ctx: &ProbeContext) -> &pt_regs {
    // SAFETY: the context of a uprobe is the task's registers.
    unsafe { &*ctx.regs }
}

#[inline(always)]
fn user<T>(at: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(at as *const T) }.ok()
}
