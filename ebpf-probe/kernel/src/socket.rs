//! What moves over sockets, and the socket tap for kernels that let programs hang on no function:
//! one hook at the end of every system call.
//!
//! At `sys_exit` the registers still hold the arguments, so no hook at the entry is needed and
//! nothing is kept between the two. The bytes are there too, for writes as well as for reads,
//! and their pages are present.

use aya_ebpf::helpers::generated::bpf_send_signal;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::capture::{Connection, ENDED, HTTP, OPENED, TLS as TLS_SOCKET};
use probe_common::maps::{PROCESS_HELD, Process, counter};
use probe_common::record::{IN, Kind, OUT};

use crate::connections::{is_done, new_id, operate};
use crate::kernel::{self, Helpers, Newer, Older};
use crate::maps::{ACCEPTED, Copying, GRANTS, SCRATCH, SOCKETS, TLS_CALLS, count};
use crate::operation::{Operation, Segments};
use crate::process;
use crate::python;
use crate::records::{header, send, send_with};

/// `struct pt_regs` of x86-64, stable since 2.6.24 (arch/x86/include/asm/ptrace.h).
#[repr(C)]
struct Registers {
    saved: [u64; 6],
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    ax: u64,
    cx: u64,
    dx: u64,
    si: u64,
    di: u64,
    orig_ax: u64,
    ip: u64,
    cs: u64,
}

/// Code segment of 32-bit programs.
const USER32_CS: u64 = 0x23;

const READ: u64 = 0;
const WRITE: u64 = 1;
const MMAP: u64 = 9;
const READV: u64 = 19;
const WRITEV: u64 = 20;
const ACCEPT: u64 = 43;
const SENDTO: u64 = 44;
const RECVFROM: u64 = 45;
const SENDMSG: u64 = 46;
const RECVMSG: u64 = 47;
const ACCEPT4: u64 = 288;
const RECVMMSG: u64 = 299;
const SENDMMSG: u64 = 307;
const PREADV2: u64 = 327;
const PWRITEV2: u64 = 328;

const SIGSTOP: u32 = 19;
const PROT_EXEC: u64 = 4;
const MAP_ANONYMOUS: u64 = 0x20;
const MSG_PEEK: u64 = 2;
pub const MSG_DONTWAIT: u64 = 0x40;
const MSG_TRUNC: u64 = 0x20;
/// A receive of notices about the socket: one of no bytes is not the end of the stream.
pub const MSG_ERRQUEUE: u64 = 0x2000;
/// Flags of a receive that moves no bytes out of the stream, or none into the buffer.
pub const MSG_NOT_DATA: u64 = MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE;

const TCP_SYN_SENT: i32 = 2;
const TCP_SYN_RECV: i32 = 3;
const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
const TCP_LAST_ACK: i32 = 9;

#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    call_ended::<Newer>(&ctx)
}

#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit_older(ctx: BtfTracePointContext) -> i32 {
    call_ended::<Older>(&ctx)
}

#[inline(always)]
fn call_ended<K: Helpers>(ctx: &BtfTracePointContext) -> i32 {
    let registers: *const Registers = ctx.arg(0);
    let returned: i64 = ctx.arg(1);
    if returned < 0 {
        return 0;
    }
    // SAFETY: the tracepoint's first argument is the task's saved registers.
    let registers = unsafe { &*registers };
    let direction = match registers.orig_ax {
        READ | READV | RECVFROM | RECVMSG | RECVMMSG | PREADV2 => IN,
        WRITE | WRITEV | SENDTO | SENDMSG | SENDMMSG | PWRITEV2 => OUT,
        MMAP => return mapped(registers),
        ACCEPT | ACCEPT4 => {
            python::accepted_as::<K>(returned as u64);
            return 0;
        }
        _ => return 0,
    };
    let Some(process) = process::current() else {
        return 0;
    };
    if registers.cs == USER32_CS {
        count(counter::COMPAT, 1);
        return 0;
    }
    let Some(sk) = kernel::socket_of::<K>(registers.di) else {
        return 0;
    };
    if returned == 0 {
        if direction == IN {
            let asked = match registers.orig_ax {
                RECVFROM if registers.r10 & MSG_ERRQUEUE != 0 => 0,
                RECVMSG if registers.dx & MSG_ERRQUEUE != 0 => 0,
                READ | RECVFROM => registers.dx,
                _ => 1,
            };
            end_of_stream(asked, sk, process);
        }
        return 0;
    }
    if let Some((n, segments)) = bytes_of(registers, returned as u64)
        && let Some(scratch) = SCRATCH.get_ptr_mut(0)
    {
        let what = Moved {
            sk,
            direction,
            n,
            segments,
            process,
            hasty: is_hasty(registers),
        };
        // SAFETY: no other program runs on this CPU before this one ends.
        moved::<K>(&what, unsafe { &mut *scratch });
    }
    0
}

/// Whether the call was told not to wait, whatever the socket's mode.
#[inline(always)]
fn is_hasty(registers: &Registers) -> bool {
    match registers.orig_ax {
        RECVFROM => registers.r10 & MSG_DONTWAIT != 0,
        RECVMSG => registers.dx & MSG_DONTWAIT != 0,
        _ => false,
    }
}

/// How many bytes of the stream a call moved, and where they are in the caller's memory.
#[inline(always)]
fn bytes_of(registers: &Registers, returned: u64) -> Option<(u64, Segments)> {
    let Registers { si, dx, r10, .. } = *registers;
    let vector = match registers.orig_ax {
        RECVFROM if r10 & MSG_NOT_DATA != 0 => return None,
        RECVMSG if dx & MSG_NOT_DATA != 0 => return None,
        RECVMMSG if r10 & MSG_NOT_DATA != 0 => return None,
        READ | WRITE | SENDTO | RECVFROM => return Some((returned, Segments::one(si, returned))),
        READV | WRITEV | PREADV2 | PWRITEV2 => (si, dx),
        // `struct user_msghdr`: the vector stands at 16, its length at 24.
        _ => (user::<u64>(si + 16)?, user::<u64>(si + 24)?),
    };
    let n = match registers.orig_ax {
        // Here the result counts messages, and the count of bytes stands in each (at 56 of
        // `struct mmsghdr`). Several at once, which on a stream make no sense, show as a hole at
        // the next call.
        SENDMMSG | RECVMMSG if returned > 1 => {
            count(counter::SEVERAL_MESSAGES, 1);
            return None;
        }
        SENDMMSG | RECVMMSG => u64::from(user::<u32>(si + 56)?),
        _ => returned,
    };
    Some((n, Segments::many(vector.0, vector.1)))
}

/// `n` bytes that moved over a socket.
pub struct Moved {
    pub sk: u64,
    pub direction: u8,
    pub n: u64,
    pub segments: Segments,
    pub process: Process,
    /// The caller asked not to wait.
    pub hasty: bool,
}

/// Bytes moved. `scratch` is this call's own.
#[inline(always)]
pub fn moved<K: Helpers>(what: &Moved, scratch: &'static mut Copying) {
    let Moved {
        sk,
        direction,
        n,
        segments,
        process,
        hasty,
    } = *what;
    let Some(c) = connection(sk, direction, n) else {
        return;
    };
    let end = if direction == IN {
        kernel::read_seq(sk)
    } else {
        kernel::write_seq(sk)
    };
    let side = c.side(direction);
    let since = end.wrapping_sub(side.seq);
    if since < n as u32 {
        // Of two threads the one whose bytes come later was here first, and with it these were
        // told as a hole. Where in it they belong nobody knows.
        side.offset = side.offset.wrapping_add(u64::from(since));
        side.seq = end;
        return;
    }
    // What others moved since, by calls that this hook does not see.
    let mut skipped = since - n as u32;
    if skipped == 1 && direction == IN && kernel::has_fin(sk) {
        // A FIN takes a sequence number, and is read together with the last bytes.
        skipped = 0;
    }
    let start = side.offset.wrapping_add(u64::from(skipped));
    side.seq = end;
    if c.class == TLS_SOCKET {
        bind(sk);
    }
    if is_done(c) {
        return;
    }
    scratch.operation = Operation {
        direction,
        n,
        segments,
        start,
        process,
        sk,
        pointer: sk,
        transport: 0,
        hasty,
    };
    operate::<K>(c, scratch);
    if c.flags & ENDED != 0 && direction == IN && !kernel::has_unread(sk) {
        forget(sk, c, IN);
    }
}

/// The state of `sk`, made now if it is new and TCP.
#[inline(always)]
fn connection(sk: u64, direction: u8, n: u64) -> Option<&'static mut Connection> {
    if let Some(known) = SOCKETS.get_ptr_mut(sk) {
        // SAFETY: the entry lives until the socket closes.
        return Some(unsafe { &mut *known });
    }
    if !kernel::is_tcp(sk) {
        return None;
    }
    // A reset comes before the process has read what came before it. Nobody would tell again of
    // the end of a connection that is taken up now.
    if kernel::is_shut(sk) {
        return None;
    }
    if create(sk, direction, n) != 0 {
        count(counter::CONNECTIONS_FULL, 1);
        return None;
    }
    // SAFETY: as above.
    SOCKETS.get_ptr_mut(sk).map(|known| unsafe { &mut *known })
}

/// Begins to follow `sk` at the operation that was just seen, at the socket's own offsets.
///
/// Not inlined: its frame is given back before bytes are copied.
#[inline(never)]
fn create(sk: u64, direction: u8, n: u64) -> i32 {
    let mut read = kernel::bytes_read(sk);
    let mut written = kernel::bytes_written(sk);
    if direction == IN {
        read = read.saturating_sub(n);
    } else {
        written = written.saturating_sub(n);
    }
    // The SYN of the side that connected counts as a byte.
    if written == 1 {
        written = 0;
    }
    let mut c = Connection::new(new_id(), read > 0 || written > 0);
    c.sides[0].offset = read;
    c.sides[1].offset = written;
    c.sides[0].seq = kernel::read_seq(sk);
    c.sides[1].seq = kernel::write_seq(sk);
    let side = c.side(direction);
    side.seq = side.seq.wrapping_sub(n as u32);
    match SOCKETS.insert(sk, c, 0) {
        Ok(()) => 0,
        Err(error) => error,
    }
}

/// A socket that carries TLS was used inside a call of the TLS library, which so learns whose it is
/// and, each time, whether the call waits on it.
#[inline(always)]
fn bind(sk: u64) {
    if let Some(call) = TLS_CALLS.get_ptr_mut(bpf_get_current_pid_tgid()) {
        // SAFETY: the entry belongs to this thread, which is here.
        unsafe {
            if (*call).now.ssl != 0 {
                (*call).now.sk = sk;
            }
        }
    }
}

/// A read of nothing, though `asked` bytes were: the peer sends no more.
#[inline(always)]
pub fn end_of_stream(asked: u64, sk: u64, process: Process) {
    if asked == 0 {
        return;
    }
    if let Some(c) = SOCKETS.get_ptr_mut(sk) {
        // SAFETY: the entry lives until the socket closes.
        let c = unsafe { &*c };
        if c.class == HTTP && c.flags & OPENED != 0 {
            send(&header(Kind::HalfClosed, IN, c.id, process.start));
        }
    }
}

/// A file was mapped executable: perhaps a TLS library.
#[inline(always)]
fn mapped(registers: &Registers) -> i32 {
    if is_code(registers.dx, registers.r10)
        && let Some(process) = process::current()
    {
        code_mapped(process);
    }
    0
}

/// Whether `mmap` was asked to map a file executable.
#[inline(always)]
pub const fn is_code(protection: u64, flags: u64) -> bool {
    protection & PROT_EXEC != 0 && flags & MAP_ANONYMOUS == 0
}

/// Tells of a file that was mapped executable, and stops the process if it is to be held.
#[inline(always)]
pub fn code_mapped(process: Process) {
    let header = header(Kind::Map, IN, 0, process.start);
    if process.flags & PROCESS_HELD == 0 {
        send(&header);
    } else {
        // Before the record: whoever lets it go on must find the stop pending at least. And
        // never without a record: nobody would let it go on.
        // SAFETY: the helper has no preconditions.
        send_with(&header, || unsafe {
            bpf_send_signal(SIGSTOP);
        });
    }
}

/// Sockets end here, whoever held them.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn socket_state(ctx: BtfTracePointContext) -> i32 {
    let sk: *const u8 = ctx.arg(0);
    let state: i32 = ctx.arg(2);
    let sk = sk as u64;
    if state == TCP_SYN_SENT || state == TCP_SYN_RECV {
        // A read of what was left after the close makes an entry that nothing ends. The next
        // socket at the same address must not inherit it, or it is taken for TLS or for late.
        let _ = SOCKETS.remove(sk);
        let _ = ACCEPTED.remove(sk);
        return 0;
    }
    if state != TCP_CLOSE && state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK {
        return 0;
    }
    let Some(c) = SOCKETS.get_ptr_mut(sk) else {
        return 0;
    };
    // SAFETY: the entry lives until the socket is gone.
    let c = unsafe { &mut *c };
    let told = c.class == HTTP && c.flags & OPENED != 0;
    let id = c.id;
    // `close` marks the socket before its state changes; a reset does so after it.
    let by_us = kernel::is_shut(sk);
    if state != TCP_CLOSE && !by_us {
        if told {
            send(&header(Kind::HalfClosed, OUT, id, 0));
        }
        return 0;
    }
    if told && !by_us && kernel::has_unread(sk) {
        c.flags |= ENDED;
        return 0;
    }
    forget(sk, c, if by_us { OUT } else { IN });
    0
}

/// A socket is given back: what it had left to read is lost.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn socket_destroyed(ctx: BtfTracePointContext) -> i32 {
    let sk: *const u8 = ctx.arg(0);
    let sk = sk as u64;
    if let Some(c) = SOCKETS.get_ptr_mut(sk) {
        // SAFETY: the entry is removed below and nowhere else.
        let c = unsafe { &*c };
        forget(sk, c, if c.flags & ENDED != 0 { IN } else { OUT });
    }
    0
}

/// Follows `sk` no more; says that it is gone if it was told of.
#[inline(always)]
fn forget(sk: u64, c: &Connection, by: u8) {
    let told = (c.class == HTTP || is_done(c)) && c.flags & OPENED != 0;
    let id = c.id;
    // Two ways lead here, and one of them tells.
    if SOCKETS.remove(sk).is_ok() {
        let _ = GRANTS.remove(id);
        if told {
            send(&header(Kind::Closed, by, id, 0));
        }
    }
}

#[inline(always)]
fn user<T>(at: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(at as *const T) }.ok()
}
