//! The tap of OpenSSL and what has its functions. Where each program is attached is chosen by
//! `probe-elf`; here the entry keeps the arguments and the return has the count.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use probe_common::capture::Connection;
use probe_common::maps::{Process, TlsKey, counter};
use probe_common::record::{IN, Kind, OUT, TLS};

use crate::connections::{announce_as, new_id, operate};
use crate::kernel::{Helpers, Newer, Older};
use crate::maps::{Copying, Entered, GRANTS, SOCKETS, TLS_CALLS, TLS_CONNECTIONS, TlsCall, count};
use crate::operation::{Operation, Segments};
use crate::process;
use crate::records::{header, send};

/// Entry of a function that returns the byte count: `SSL_read`, `SSL_write`.
macro_rules! entry {
    ($name:ident, $direction:expr, $count:expr) => {
        #[uprobe]
        pub fn $name(ctx: ProbeContext) -> u32 {
            enter(&ctx, $direction, $count);
            0
        }
    };
}

// The count is returned.
entry!(tls_read, IN, None);
entry!(tls_write, OUT, None);
// The count is written where the fourth argument points: the `_ex` forms, and their callees.
entry!(tls_read_ex, IN, Some(3));
entry!(tls_write_ex, OUT, Some(3));
// The count is written where the fifth argument points: `SSL_write_ex2`, and the callee of 3.3.
entry!(tls_write_ex2, OUT, Some(4));

#[inline(always)]
fn enter(ctx: &ProbeContext, direction: u8, count_argument: Option<usize>) {
    let Some(process) = process::current() else {
        return;
    };
    let Some(call) = own_place() else {
        return;
    };
    let stack = stack_of(ctx.regs);
    if call.now.ssl != 0 && call.now.stack > stack {
        call.around = call.now;
    } else {
        call.around.ssl = 0;
    }
    let now = &mut call.now;
    now.ssl = ctx.arg::<u64>(0).unwrap_or(0);
    now.buffer = ctx.arg::<u64>(1).unwrap_or(0);
    now.count = count_argument.and_then(|n| ctx.arg::<u64>(n)).unwrap_or(0);
    now.sk = 0;
    now.stack = stack;
    now.direction = u64::from(direction);
    now.process = process;
}

/// The place of this thread, made now if it has none.
#[inline(always)]
fn own_place() -> Option<&'static mut TlsCall> {
    let thread = bpf_get_current_pid_tgid();
    let place = match TLS_CALLS.get_ptr_mut(thread) {
        Some(place) => place,
        None => {
            if first_call(thread) != 0 {
                count(counter::UNPAIRED, 1);
                return None;
            }
            TLS_CALLS.get_ptr_mut(thread)?
        }
    };
    // SAFETY: the entry belongs to this thread, which is here.
    Some(unsafe { &mut *place })
}

/// The stack pointer.
#[inline(always)]
fn stack_of(registers: *const pt_regs) -> u64 {
    // SAFETY: the context of a uprobe is the task's registers.
    unsafe { (*registers).rsp }
}

/// What a thread's place holds at first. It is too large for the stack.
const NO_CALL: &TlsCall = &TlsCall::NONE;

/// The place of a thread is made once; the oldest ones are thrown out by the map.
#[inline(always)]
fn first_call(thread: u64) -> i32 {
    match TLS_CALLS.insert(thread, NO_CALL, 0) {
        Ok(()) => 0,
        Err(error) => error,
    }
}

#[uretprobe]
pub fn tls_return(ctx: RetProbeContext) -> u32 {
    returned::<Newer>(&ctx)
}

#[uretprobe]
pub fn tls_return_older(ctx: RetProbeContext) -> u32 {
    returned::<Older>(&ctx)
}

#[inline(always)]
fn returned<K: Helpers>(ctx: &RetProbeContext) -> u32 {
    let thread = bpf_get_current_pid_tgid();
    let Some(call) = TLS_CALLS.get_ptr_mut(thread) else {
        // Of a process that is not opted in nobody expects an entry.
        if process::current().is_some() {
            count(counter::UNPAIRED, 1);
        }
        return 0;
    };
    // SAFETY: the entry belongs to this thread, which is here.
    let call = unsafe { &mut *call };
    let Entered {
        ssl,
        buffer,
        count: counted,
        sk,
        direction,
        stack,
        process,
    } = call.now;
    call.now.ssl = 0;
    if call.around.ssl != 0 {
        call.now = call.around;
        call.around.ssl = 0;
    }
    // A callee has other callers too: ours is the one whose frame this return leaves. A hook at
    // the `call` sees the stack as it is after the return, one at the entry sees it 8 lower.
    let frame = stack_of(ctx.regs).wrapping_sub(stack);
    if ssl == 0 || (frame != 0 && frame != 8) {
        count(counter::UNPAIRED, 1);
        return 0;
    }
    let returned: i32 = ctx.ret();
    if returned <= 0 {
        return 0;
    }
    let n = if counted == 0 {
        returned as u64
    } else {
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_user(counted as *const u64) }.unwrap_or(0)
    };
    if n == 0 || n > i32::MAX as u64 {
        return 0;
    }
    let transfer = Transfer {
        pointer: ssl,
        direction: if direction == u64::from(IN) { IN } else { OUT },
        bytes: Segments::one(buffer, n),
        process,
        sk,
    };
    follow::<K>(&transfer, &mut call.copying);
    0
}

/// Plaintext that moved.
pub struct Transfer {
    /// The library's connection object.
    pub pointer: u64,
    /// `IN` or `OUT`.
    pub direction: u8,
    /// One buffer, moved whole.
    pub bytes: Segments,
    /// The process that moved it.
    pub process: Process,
    /// The socket, 0 where it is not known.
    pub sk: u64,
}

/// Follows what moved without a call that was kept.
#[inline(always)]
pub fn transfer<K: Helpers>(transfer: &Transfer) {
    if let Some(place) = own_place() {
        follow::<K>(transfer, &mut place.copying);
    }
}

#[inline(always)]
fn follow<K: Helpers>(transfer: &Transfer, copying: &'static mut Copying) {
    let Transfer {
        pointer,
        direction,
        bytes,
        process,
        sk,
    } = *transfer;
    let key = TlsKey {
        ssl: pointer,
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        pad: 0,
    };
    let Some(c) = connection(&key, sk) else {
        return;
    };
    copying.operation = Operation {
        direction,
        n: bytes.length,
        segments: bytes,
        start: c.side(direction).offset,
        process,
        sk,
        pointer,
        transport: TLS,
        hasty: false,
    };
    if sk != 0 && c.socket == 0 {
        bind(c, &copying.operation);
    }
    operate::<K>(c, copying);
}

/// The socket is known from now on.
#[inline(always)]
fn bind(c: &mut Connection, operation: &Operation) {
    if let Some(socket) = SOCKETS.get_ptr_mut(operation.sk) {
        // SAFETY: the entry lives until the socket closes.
        c.socket = unsafe { (*socket).id };
        if c.flags & probe_common::capture::OPENED != 0 {
            announce_as(Kind::Bound, c, operation, 0);
        }
    }
}

/// The state of a TLS connection, made now if it is new. It is known from its start if its
/// socket is; else it counts as joined late until a head is seen.
#[inline(always)]
fn connection(key: &TlsKey, sk: u64) -> Option<&'static mut Connection> {
    if let Some(known) = TLS_CONNECTIONS.get_ptr_mut(key) {
        // SAFETY: the entry lives until the object is freed.
        return Some(unsafe { &mut *known });
    }
    if create(key, sk) != 0 {
        count(counter::CONNECTIONS_FULL, 1);
        return None;
    }
    // SAFETY: as above.
    TLS_CONNECTIONS
        .get_ptr_mut(key)
        .map(|known| unsafe { &mut *known })
}

/// Not inlined: its frame is given back before bytes are copied.
#[inline(never)]
fn create(key: &TlsKey, sk: u64) -> i32 {
    let late = match SOCKETS.get_ptr_mut(sk) {
        // SAFETY: the entry lives until the socket closes.
        Some(socket) => unsafe { (*socket).flags & probe_common::capture::LATE != 0 },
        None => true,
    };
    match TLS_CONNECTIONS.insert(key, Connection::new(new_id(), late), 0) {
        Ok(()) => 0,
        Err(error) => error,
    }
}

/// `SSL_free`: the object is gone, and its address may come back at once.
#[uprobe]
pub fn tls_free(ctx: ProbeContext) -> u32 {
    ended(ctx.arg::<u64>(0).unwrap_or(0), Kind::Closed);
    0
}

/// `SSL_shutdown`: the process sends no more.
#[uprobe]
pub fn tls_shutdown(ctx: ProbeContext) -> u32 {
    ended(ctx.arg::<u64>(0).unwrap_or(0), Kind::HalfClosed);
    0
}

/// The connection of this object is at its end.
#[inline(always)]
pub fn ended(ssl: u64, kind: Kind) {
    let Some(process) = process::current() else {
        return;
    };
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let key = TlsKey { ssl, tgid, pad: 0 };
    let Some(c) = TLS_CONNECTIONS.get_ptr_mut(key) else {
        return;
    };
    // SAFETY: the entry is removed below and nowhere else.
    let (id, opened) = unsafe { ((*c).id, (*c).flags & probe_common::capture::OPENED) };
    if kind == Kind::Closed {
        let _ = TLS_CONNECTIONS.remove(key);
        let _ = GRANTS.remove(id);
    }
    if opened != 0 {
        send(&header(kind, OUT, id, process.start));
    }
}
