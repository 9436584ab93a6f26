//! Which `contextvars.Context` a thread of CPython is in, and where each comes from.
//!
//! A context is freed and its address used again at once, so each copy makes a new number. A
//! context that nobody entered is a thread's own, made without any hook: it says nothing.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_user};
use aya_ebpf::macros::uretprobe;
use aya_ebpf::programs::RetProbeContext;
use probe_common::maps::{ContextKey, Python, counter};
use probe_common::record::{ANCESTORS, FOUND};

use crate::connections::new_id;
use crate::kernel::{self, Helpers, Newer, Older};
use crate::maps::{ACCEPTED, CONTEXTS, GOS, ORIGIN, Origin, PYTHON_THREADS, PYTHONS, count};
use crate::records::send_line;

/// Threads of an interpreter that are looked at.
const THREADS: u32 = 512;
/// The same where there is no `bpf_loop`: the verifier walks through each of them.
const FEW_THREADS: u32 = 32;
/// Marks a thread whose state was not found; how often stands above it. States are aligned.
const UNFOUND: u64 = 1;
/// A thread without a state is looked for this often at once, then every so many times: it may be
/// one that runs no Python.
const SEARCHES: u64 = 4;
const SEARCH_EVERY: u64 = 16;

/// The number of the current thread's context, 0 where it has none that says anything. User
/// space learns first where it comes from. `start` is the process's.
#[inline(never)]
pub fn token<K: Helpers>(start: u64) -> u64 {
    let Some(key) = current::<K>() else {
        return 0;
    };
    if CONTEXTS.get_ptr_mut(key).is_none() {
        found(&key);
    }
    let Some(origin) = CONTEXTS.get_ptr_mut(key) else {
        return 0;
    };
    // SAFETY: entries of this map are replaced whole, and read as numbers only.
    let origin = unsafe { &mut *origin };
    if origin.told == 0 && send_line(origin.token, &origin.line, start) {
        origin.told = 1;
    }
    origin.token
}

/// A context whose birth was not seen.
#[inline(always)]
fn found(key: &ContextKey) {
    let Some(origin) = ORIGIN.get_ptr_mut(0) else {
        return;
    };
    let token = new_id() | FOUND;
    // SAFETY: the place is this CPU's own; who interrupts may write it, so it is checked below.
    unsafe {
        (*origin).token = token;
        (*origin).told = 0;
        (*origin).line = [0; ANCESTORS];
        #[expect(
            clippy::needless_borrows_for_generic_args,
            reason = "by value it would be copied to the stack"
        )]
        let _ = CONTEXTS.insert(key, &*origin, 0);
    }
    if !is_whole(key, token, None) {
        let _ = CONTEXTS.remove(key);
    }
}

/// Whether the entry is what was meant: a program on a hook can be interrupted by another one
/// that writes the same place before it was copied.
#[inline(always)]
fn is_whole(key: &ContextKey, token: u64, parent: Option<*mut Origin>) -> bool {
    let Some(entry) = CONTEXTS.get_ptr_mut(key) else {
        return false;
    };
    // SAFETY: entries of this map are replaced whole, and read as numbers only.
    let entry = unsafe { &*entry };
    let mut whole = entry.token == token;
    let mut i = 0;
    while i < ANCESTORS {
        let meant = match parent {
            None => 0,
            // SAFETY: as above.
            Some(parent) if i == 0 => unsafe { (*parent).token },
            // SAFETY: as above.
            Some(parent) => unsafe { (*parent).line[i - 1] },
        };
        whole &= entry.line[i] == meant;
        i += 1;
    }
    whole
}

/// `PyContext_CopyCurrent` returned: a new context, which descends from the current one.
#[uretprobe]
pub fn python_copied(ctx: RetProbeContext) -> u32 {
    copied::<Newer>(&ctx)
}

#[uretprobe]
pub fn python_copied_older(ctx: RetProbeContext) -> u32 {
    copied::<Older>(&ctx)
}

#[inline(always)]
fn copied<K: Helpers>(ctx: &RetProbeContext) -> u32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let address: u64 = ctx.ret();
    if address == 0 || PYTHONS.get_ptr(tgid).is_none() {
        return 0;
    }
    let copy = ContextKey {
        address,
        tgid,
        pad: 0,
    };
    let parent = current::<K>().and_then(|key| {
        if CONTEXTS.get_ptr_mut(key).is_none() {
            found(&key);
        }
        CONTEXTS.get_ptr_mut(key)
    });
    let Some(origin) = ORIGIN.get_ptr_mut(0) else {
        return 0;
    };
    let token = new_id() & !FOUND;
    // SAFETY: the place is this CPU's own, for programs on uprobes are not migrated; one that
    // interrupts this one may write it, so it is checked below.
    let origin = unsafe { &mut *origin };
    origin.token = token;
    origin.told = 0;
    origin.line = [0; ANCESTORS];
    if let Some(parent) = parent {
        // SAFETY: as in `token`.
        let parent = unsafe { &*parent };
        origin.line[0] = parent.token;
        let mut i = 1;
        while i < ANCESTORS {
            origin.line[i] = parent.line[i - 1];
            i += 1;
        }
    }
    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value it would be copied to the stack"
    )]
    let _ = CONTEXTS.insert(copy, &*origin, 0);
    if !is_whole(&copy, token, parent) {
        let _ = CONTEXTS.remove(copy);
    }
    0
}

/// A context was made in another way: what was known of its address is over.
#[uretprobe]
pub fn python_made(ctx: RetProbeContext) -> u32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let key = ContextKey {
        address: ctx.ret(),
        tgid,
        pad: 0,
    };
    if PYTHONS.get_ptr(tgid).is_some() {
        let _ = CONTEXTS.remove(key);
    }
    0
}

/// A connection was accepted and has this descriptor.
#[inline(always)]
pub fn accepted_as<K: Helpers>(fd: u64) {
    if has_contexts()
        && let Some(sk) = kernel::socket_of::<K>(fd)
    {
        accept(sk);
    }
}

/// A connection was accepted, unless `sk` is 0.
#[inline(always)]
pub fn accepted(sk: u64) {
    if sk != 0 && has_contexts() {
        accept(sk);
    }
}

#[inline(always)]
fn has_contexts() -> bool {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    PYTHONS.get_ptr(tgid).is_some() || GOS.get_ptr(tgid).is_some()
}

#[inline(always)]
fn accept(sk: u64) {
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let _ = ACCEPTED.insert(sk, now, 0);
}

/// The context that the current thread has entered.
#[inline(never)]
fn current<K: Helpers>() -> Option<ContextKey> {
    let ids = bpf_get_current_pid_tgid();
    let tgid = (ids >> 32) as u32;
    // SAFETY: the value is read as numbers only, and replaced whole.
    let python = unsafe { &*PYTHONS.get_ptr(tgid)? };
    let interpreter = interpreter(python)?;
    let state = state::<K>(python, ids, interpreter)?;
    let address: u64 = user(state + u64::from(python.context)).filter(|a| *a != 0)?;
    if user::<u64>(address + Python::TYPE)? != python.context_type {
        return None;
    }
    let entered: i32 = user(address + u64::from(python.entered))?;
    (entered == 1).then_some(ContextKey {
        address,
        tgid,
        pad: 0,
    })
}

/// The one interpreter; a process with several has threads that are in more than one.
#[inline(always)]
fn interpreter(python: &Python) -> Option<u64> {
    let newest: u64 = user(python.interpreters)?;
    let main: u64 = user(python.interpreters + 8)?;
    (newest == main && main != 0).then_some(main)
}

/// The state of the current thread.
#[inline(always)]
fn state<K: Helpers>(python: &Python, ids: u64, interpreter: u64) -> Option<u64> {
    let thread = kernel::thread_pointer();
    if thread == 0 {
        return None;
    }
    let mut walk = Walk {
        state: 0,
        thread,
        interpreter,
        thread_id: u64::from(python.thread_id),
        interp: u64::from(python.interp),
        next: u64::from(python.next),
        found: 0,
    };
    let mut missed = 0;
    if let Some(known) = PYTHON_THREADS.get_ptr(ids) {
        // SAFETY: the value is a number.
        let known = unsafe { *known };
        if known & UNFOUND != 0 {
            missed = known >> 1;
            if missed >= SEARCHES && missed % SEARCH_EVERY != 0 {
                let _ = PYTHON_THREADS.insert(ids, (missed + 1) << 1 | UNFOUND, 0);
                return None;
            }
        } else {
            walk.state = known;
            if walk.is_ours() {
                return Some(known);
            }
        }
    }
    walk.state = user(interpreter + u64::from(python.threads))?;
    let context: *mut Walk = &raw mut walk;
    if K::LOOP {
        // SAFETY: the callback has the shape that the helper calls; the walk outlives the call.
        unsafe { bpf_loop(THREADS, step as *mut c_void, context.cast(), 0) };
    } else {
        for _ in 0..FEW_THREADS {
            if step(0, context) == STOP {
                break;
            }
        }
    }
    if walk.found == 0 {
        count(counter::NO_CONTEXT, 1);
        let _ = PYTHON_THREADS.insert(ids, (missed + 1) << 1 | UNFOUND, 0);
        return None;
    }
    let found = walk.found;
    let _ = PYTHON_THREADS.insert(ids, found, 0);
    Some(found)
}

/// Where the search for a thread's state stands.
#[repr(C)]
struct Walk {
    state: u64,
    thread: u64,
    interpreter: u64,
    thread_id: u64,
    interp: u64,
    next: u64,
    found: u64,
}

impl Walk {
    #[inline(always)]
    fn is_ours(&self) -> bool {
        user::<u64>(self.state + self.thread_id) == Some(self.thread)
            && user::<u64>(self.state + self.interp) == Some(self.interpreter)
    }
}

const GO_ON: i64 = 0;
const STOP: i64 = 1;

/// One thread of the interpreter.
extern "C" fn step(_: u64, walk: *mut Walk) -> i64 {
    // SAFETY: the helper hands over what `state` gave it.
    let walk = unsafe { &mut *walk };
    if walk.state == 0 {
        return STOP;
    }
    if walk.is_ours() {
        walk.found = walk.state;
        return STOP;
    }
    walk.state = user(walk.state + walk.next).unwrap_or(0);
    GO_ON
}

#[inline(always)]
fn user<T>(at: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(at as *const T) }.ok()
}
