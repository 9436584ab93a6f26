//! Reads of kernel structures, at offsets that user space found in BTF.

use core::ptr::{addr_of, read_volatile};

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use aya_ebpf::helpers::{bpf_get_current_task, bpf_probe_read_kernel};
use probe_common::offsets::{ABSENT, Offsets};
use probe_common::record::Open;

use crate::operation::Segments;

#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::NONE;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
const O_NONBLOCK: u32 = 0o4000;
const SHUTDOWN_BOTH: u8 = 3;
const SHUTDOWN_RECEIVE: u8 = 1;

/// What a kernel has beside the rest. A program that calls a helper which is not there is refused
/// whole, so there is one of each kind, and user space loads the one that the kernel takes.
pub trait Helpers {
    /// `bpf_loop`, since 5.17.
    const LOOP: bool;
    /// `bpf_get_current_task_btf`, since 5.11.
    const TYPED_TASK: bool;
    /// `bpf_task_pt_regs`, since 5.15.
    const REGISTERS: bool;
}

/// Linux 5.17 and newer.
pub struct Newer;

impl Helpers for Newer {
    const LOOP: bool = true;
    const TYPED_TASK: bool = true;
    const REGISTERS: bool = true;
}

/// Linux 5.10 to 5.16.
pub struct Older;

impl Helpers for Older {
    const LOOP: bool = false;
    const TYPED_TASK: bool = false;
    const REGISTERS: bool = false;
}

/// The offset of a field; volatile, or the compiler would fold the value that it has here.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: the static lives for ever and is only written before the program is loaded.
        u64::from(unsafe { read_volatile(addr_of!(OFFSETS.$field)) })
    };
}

#[inline(always)]
fn read<T>(base: u64, offset: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails where it cannot be read.
    unsafe { bpf_probe_read_kernel((base + offset) as *const T) }.ok()
}

/// The pointer at `offset` of a structure whose type the verifier knows: a load, where [`read`]
/// is a call. It allows this from the current task onwards for as long as each field is a pointer
/// to a structure, in programs on BTF tracepoints. A bad address reads as 0.
#[inline(always)]
fn follow(base: *const u8, offset: u64) -> *const u8 {
    // SAFETY: the verifier has checked that a pointer stands there.
    unsafe { base.add(offset as usize).cast::<*const u8>().read() }
}

/// Start time of the current process, nanoseconds since boot.
#[inline(always)]
pub fn process_start() -> u64 {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    start_of(task)
}

/// Start time of the process that `task` belongs to.
#[inline(always)]
pub fn start_of(task: u64) -> u64 {
    let Some(leader) = read::<u64>(task, offset!(task_group_leader)) else {
        return 0;
    };
    read::<u64>(leader, offset!(task_start)).unwrap_or(0)
}

/// Whether threads of the current process go on, the ones that are ending counted out.
#[inline(always)]
pub fn has_threads() -> bool {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    read::<u64>(task, offset!(task_signal))
        .and_then(|signal| read::<i32>(signal, offset!(signal_live)))
        .is_some_and(|live| live > 0)
}

/// Thread group id and thread id of `task`.
#[inline(always)]
pub fn ids_of(task: u64) -> Option<(u32, u32)> {
    Some((
        read(task, offset!(task_tgid))?,
        read(task, offset!(task_pid))?,
    ))
}

/// The `struct sock` behind a descriptor of the current process.
#[inline(always)]
pub fn socket_of<K: Helpers>(fd: u64) -> Option<u64> {
    let array = if K::TYPED_TASK {
        // SAFETY: the helper has no preconditions.
        let task: *const u8 = unsafe { bpf_get_current_task_btf() }.cast();
        let files = follow(task, offset!(task_files));
        let fdt = follow(files, offset!(files_fdt));
        follow(fdt, offset!(fdt_fd)) as u64
    } else {
        // SAFETY: as above.
        let task = unsafe { bpf_get_current_task() };
        let files: u64 = read(task, offset!(task_files))?;
        let fdt: u64 = read(files, offset!(files_fdt))?;
        read(fdt, offset!(fdt_fd))?
    };
    let file: u64 = read(array, (fd & 0x00ff_ffff) * 8)?;
    let socket: u64 = read(file, offset!(file_private))?;
    // Of all files only a socket's private data points back at the file.
    let back: u64 = read(socket, offset!(socket_file))?;
    if file == 0 || back != file {
        return None;
    }
    read(socket, offset!(socket_sk)).filter(|sk| *sk != 0)
}

/// How many arguments `tcp_recvmsg` has.
#[inline(always)]
pub fn receive_arguments() -> u16 {
    offset!(receive_arguments) as u16
}

/// Where the bytes of a `struct msghdr` are, from where its iterator stands; `None` when they are
/// not in the memory of the process.
#[inline(always)]
pub fn segments(message: u64) -> Option<Segments> {
    let iterator = message.wrapping_add(offset!(msghdr_iter));
    let kind: u8 = read(iterator, offset!(iter_type))?;
    let kind = u64::from(kind) & offset!(iter_type_mask);
    let skip: u64 = read(iterator, offset!(iter_offset))?;
    if kind == offset!(kind_ubuf) {
        let buffer: u64 = read(iterator, offset!(iter_ubuf))?;
        let count: u64 = read(iterator, offset!(iter_count))?;
        return Some(Segments::one(buffer.wrapping_add(skip), count));
    }
    if kind != offset!(kind_iovec) {
        return None;
    }
    let vector: u64 = read(iterator, offset!(iter_iov))?;
    let entries: u64 = read(iterator, offset!(iter_segments))?;
    Some(Segments::many_in_kernel(vector, entries, skip))
}

/// What the register r14 of the current thread's program holds, which system calls leave alone;
/// `None` on a kernel that does not tell.
#[inline(always)]
pub fn user_r14<K: Helpers>() -> Option<u64> {
    if !K::REGISTERS {
        return None;
    }
    // SAFETY: the helpers have no preconditions.
    let registers = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) };
    // `struct pt_regs` of x86-64, stable since 2.6.24 (arch/x86/include/asm/ptrace.h).
    read(registers as u64, 8)
}

/// Whether calls on `sk` wait until they are done; false where that is not known.
#[inline(always)]
pub fn is_blocking(sk: u64) -> bool {
    let Some(socket) = read::<u64>(sk, offset!(sk_socket)) else {
        return false;
    };
    let Some(file) = read::<u64>(socket, offset!(socket_file)) else {
        return false;
    };
    read::<u32>(file, offset!(file_flags)).is_some_and(|flags| flags & O_NONBLOCK == 0)
}

/// The thread pointer of the current thread (`fs` on x86-64); 0 where it cannot be read.
#[inline(always)]
pub fn thread_pointer() -> u64 {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    read(task, offset!(task_fsbase)).unwrap_or(0)
}

/// Whether `sk` is TCP over IPv4 or IPv6.
#[inline(always)]
pub fn is_tcp(sk: u64) -> bool {
    let Some(family) = read::<u16>(sk, offset!(skc_family)) else {
        return false;
    };
    (family == AF_INET || family == AF_INET6)
        && read::<u16>(sk, offset!(sk_protocol)) == Some(IPPROTO_TCP)
}

/// Whether both directions of `sk` were shut down, as `close` does.
#[inline(always)]
pub fn is_shut(sk: u64) -> bool {
    read::<u8>(sk, offset!(sk_shutdown)) == Some(SHUTDOWN_BOTH)
}

/// Whether the peer's FIN has come.
#[inline(always)]
pub fn has_fin(sk: u64) -> bool {
    read::<u8>(sk, offset!(sk_shutdown)).unwrap_or(0) & SHUTDOWN_RECEIVE != 0
}

/// The sequence number after the last byte that was read from `sk`.
#[inline(always)]
pub fn read_seq(sk: u64) -> u32 {
    read(sk, offset!(tcp_copied_seq)).unwrap_or(0)
}

/// Whether bytes wait in `sk` to be read. They do after a reset, too.
#[inline(always)]
pub fn has_unread(sk: u64) -> bool {
    read::<u32>(sk, offset!(tcp_rcv_nxt)).is_some_and(|next| next != read_seq(sk))
}

/// The sequence number after the last byte that was written to `sk`.
#[inline(always)]
pub fn write_seq(sk: u64) -> u32 {
    read(sk, offset!(tcp_write_seq)).unwrap_or(0)
}

/// Bytes read from `sk` since it was connected.
///
/// `bytes_received` and `rcv_nxt` move together while segments arrive on another CPU; a change
/// between the two reads of `rcv_nxt` means that they do not belong together. Both count the
/// peer's FIN, which is read together with the last bytes.
#[inline(always)]
pub fn bytes_read(sk: u64) -> u64 {
    let mut total: u64 = 0;
    for _ in 0..3 {
        let next: u32 = read(sk, offset!(tcp_rcv_nxt)).unwrap_or(0);
        let received: u64 = read(sk, offset!(tcp_bytes_received)).unwrap_or(0);
        let unread = next.wrapping_sub(read_seq(sk));
        let fin = u64::from(unread == 0 && has_fin(sk));
        total = received.saturating_sub(u64::from(unread) + fin);
        if read::<u32>(sk, offset!(tcp_rcv_nxt)) == Some(next) {
            break;
        }
    }
    total
}

/// Bytes written to `sk` since it was connected; one more on the side that connected, whose SYN
/// counts as acknowledged.
#[inline(always)]
pub fn bytes_written(sk: u64) -> u64 {
    let mut total = 0;
    for _ in 0..3 {
        let una: u32 = read(sk, offset!(tcp_snd_una)).unwrap_or(0);
        let acked: u64 = read(sk, offset!(tcp_bytes_acked)).unwrap_or(0);
        total = acked.wrapping_add(u64::from(write_seq(sk).wrapping_sub(una)));
        if read::<u32>(sk, offset!(tcp_snd_una)) == Some(una) {
            break;
        }
    }
    total
}

/// Fills in the addresses of `sk`.
#[inline(always)]
pub fn addresses(sk: u64, open: &mut Open) {
    open.family = read(sk, offset!(skc_family)).unwrap_or(0);
    open.local_port = read(sk, offset!(skc_num)).unwrap_or(0);
    open.peer_port = u16::from_be(read(sk, offset!(skc_dport)).unwrap_or(0));
    let net: u64 = read(sk, offset!(skc_net)).unwrap_or(0);
    open.netns = read(net, offset!(net_inum)).unwrap_or(0);
    if open.family == AF_INET {
        open.local[..4]
            .copy_from_slice(&read::<[u8; 4]>(sk, offset!(skc_rcv_saddr)).unwrap_or([0; 4]));
        open.peer[..4].copy_from_slice(&read::<[u8; 4]>(sk, offset!(skc_daddr)).unwrap_or([0; 4]));
    } else if offset!(skc_v6_daddr) == u64::from(ABSENT) {
        return;
    } else {
        open.local = read(sk, offset!(skc_v6_rcv_saddr)).unwrap_or([0; 16]);
        open.peer = read(sk, offset!(skc_v6_daddr)).unwrap_or([0; 16]);
    }
    open.flags |= probe_common::record::ADDRESSED;
}
