//! The maps, and the counters in one of them.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use probe_common::capture::{Connection, Looked};
use probe_common::http::Look;
use probe_common::maps::{
    CONNECTIONS as MAX_CONNECTIONS, CONTEXTS as MAX_CONTEXTS, ContextKey,
    GOROUTINES as MAX_GOROUTINES, GOS as MAX_GOS, Go, GoKey, Grant, PROCESSES as MAX_PROCESSES,
    PYTHONS as MAX_PYTHONS, Process, Python, RING as RING_BYTES, Settings,
    TLS_CALLS as MAX_TLS_CALLS, TlsKey, counter,
};
use probe_common::record::{Header, Line};

use crate::operation::Operation;

/// Where a copy stands.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Copying {
    /// What is copied.
    pub operation: Operation,
    /// What its first bytes look like.
    pub looked: Looked,
    /// Head of the next record.
    pub header: Header,
    /// Stream offset of the operation's first byte.
    pub start: u64,
    /// Bytes of the operation.
    pub n: u64,
    /// Bytes before this stream offset are wanted …
    pub limit: u64,
    /// … and those between these two.
    pub tail: (u64, u64),
    /// Address of the `iovec` array.
    pub vector: u64,
    /// Its entries.
    pub entries: u64,
    /// 1 if it stands in the kernel's memory.
    pub in_kernel: u64,
    /// The entry that `at` is in.
    pub index: u64,
    /// Address of the next byte.
    pub at: u64,
    /// Bytes left in this segment.
    pub left: u64,
    /// Bytes gone through.
    pub done: u64,
    /// Bytes up to the end of the last piece that was sent.
    pub sent: u64,
}

impl Copying {
    /// Nowhere.
    pub const NONE: Self = Self {
        operation: Operation::NONE,
        looked: Looked {
            look: Look::Other,
            before: 0,
            word: 0,
        },
        header: Header {
            kind: 0,
            direction: 0,
            flags: 0,
            captured: 0,
            at: 0,
            conn: 0,
            tgid: 0,
            tid: 0,
            start: 0,
            offset: 0,
            len: 0,
            token: 0,
        },
        start: 0,
        n: 0,
        limit: 0,
        tail: (0, 0),
        vector: 0,
        entries: 0,
        in_kernel: 0,
        index: 0,
        at: 0,
        left: 0,
        done: 0,
        sent: 0,
    };
}

/// A context of a runtime.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Origin {
    /// Its number.
    pub token: u64,
    /// Whether user space knows it.
    pub told: u64,
    /// The context that it was copied from, and so on.
    pub line: Line,
}

/// A goroutine that has to do with requests.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Goroutine {
    /// Its number, 0 if it serves none.
    pub token: u64,
    /// The number of the goroutine whose request it writes, 0 if none was handed to it.
    pub borrowed: u64,
    /// 1 once it has made a call while another one served, which had started it.
    pub helped: u64,
}

impl Goroutine {
    /// Of which nothing is known yet.
    pub const NEW: Self = Self {
        token: 0,
        borrowed: 0,
        helped: 0,
    };
}

/// What a goroutine reads with Go's TLS.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GoRead {
    /// The connection object; 0 outside of a call.
    pub connection: u64,
    /// The caller's buffer.
    pub buffer: u64,
}

/// A call of the TLS library: set at the entry, taken at the return.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Entered {
    /// The connection object; 0 outside of a call.
    pub ssl: u64,
    /// The caller's buffer.
    pub buffer: u64,
    /// Where the byte count is written, 0 when it is returned.
    pub count: u64,
    /// The socket that was used inside the call, 0 if none was.
    pub sk: u64,
    /// `IN` or `OUT`.
    pub direction: u64,
    /// The stack pointer at the entry.
    pub stack: u64,
    /// The process that makes the call, so that the return need not look it up again.
    pub process: Process,
}

/// What a thread does in the TLS library.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TlsCall {
    /// The call that was entered last.
    pub now: Entered,
    /// The one inside which it was entered: TLS through a proxy that speaks TLS itself.
    pub around: Entered,
    /// For the copy at the return: a uprobe may be preempted, so the place is the thread's own.
    pub copying: Copying,
}

impl Entered {
    /// No call.
    pub const NONE: Self = Self {
        ssl: 0,
        buffer: 0,
        count: 0,
        sk: 0,
        direction: 0,
        stack: 0,
        process: Process {
            policy: 0,
            flags: 0,
            start: 0,
        },
    };
}

impl TlsCall {
    /// No call.
    pub const NONE: Self = Self {
        now: Entered::NONE,
        around: Entered::NONE,
        copying: Copying::NONE,
    };
}

/// What a thread does in a function of the kernel: set at the entry, taken at the return.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KernelCall {
    /// What of it is of interest, `functions::NOTHING` outside of a call.
    pub what: u64,
    /// The socket.
    pub sk: u64,
    /// Bytes asked for.
    pub asked: u64,
    /// 1 if the caller asked not to wait.
    pub hasty: u64,
    /// Address of the `iovec` array in the kernel's memory, 0 for one buffer.
    pub vector: u64,
    /// Entries of the array; 0 when the bytes are not in the process's memory.
    pub entries: u64,
    /// Address of the first buffer.
    pub buffer: u64,
    /// Bytes of the first buffer.
    pub length: u64,
    /// The process that makes the call.
    pub process: Process,
    /// For the copy at the return, which may be preempted.
    pub copying: Copying,
}

#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);
/// For the copy at the end of a system call, where a CPU does one thing at a time.
#[map]
pub static SCRATCH: PerCpuArray<Copying> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(MAX_PROCESSES, 0);
#[map]
pub static SOCKETS: HashMap<u64, Connection> = HashMap::with_max_entries(MAX_CONNECTIONS, 0);
/// Most programs end without freeing their TLS objects, and nobody tells of those that never
/// spoke HTTP/1: the ones that were used longest ago make room.
#[map]
pub static TLS_CONNECTIONS: LruHashMap<TlsKey, Connection> =
    LruHashMap::with_max_entries(MAX_CONNECTIONS, 0);
#[map]
pub static TLS_CALLS: LruHashMap<u64, TlsCall> = LruHashMap::with_max_entries(MAX_TLS_CALLS, 0);
#[map]
pub static KERNEL_CALLS: LruHashMap<u64, KernelCall> =
    LruHashMap::with_max_entries(MAX_TLS_CALLS, 0);
/// A grant may come when its connection has closed already, and then nobody takes it away: the
/// ones that were used longest ago make room.
#[map]
pub static GRANTS: LruHashMap<u64, Grant> = LruHashMap::with_max_entries(MAX_CONNECTIONS, 0);
#[map]
pub static PYTHONS: HashMap<u32, Python> = HashMap::with_max_entries(MAX_PYTHONS, 0);
/// Where CPython keeps the state of a thread: found by a walk, checked at each use.
#[map]
pub static PYTHON_THREADS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(MAX_TLS_CALLS, 0);
#[map]
pub static CONTEXTS: LruHashMap<ContextKey, Origin> = LruHashMap::with_max_entries(MAX_CONTEXTS, 0);
/// For a new origin, which is too large for the stack.
#[map]
pub static ORIGIN: PerCpuArray<Origin> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static GOS: HashMap<u32, Go> = HashMap::with_max_entries(MAX_GOS, 0);
#[map]
pub static GOROUTINES: LruHashMap<GoKey, Goroutine> =
    LruHashMap::with_max_entries(MAX_GOROUTINES, 0);
/// By goroutine; its key has the address for an id.
#[map]
pub static GO_READS: LruHashMap<GoKey, GoRead> = LruHashMap::with_max_entries(MAX_GOROUTINES, 0);
/// The goroutine that made a request last, by pooled connection; its key has the address for an
/// id.
#[map]
pub static GO_HANDOVERS: LruHashMap<GoKey, u64> = LruHashMap::with_max_entries(MAX_TLS_CALLS, 0);
/// When sockets were accepted by processes that have contexts.
#[map]
pub static ACCEPTED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(MAX_CONNECTIONS, 0);
#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

/// Adds to a counter of `probe_common::maps::counter`.
#[inline(always)]
pub fn count(index: u32, by: u64) {
    if let Some(slot) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the slot is this CPU's own and lives as long as the map.
        unsafe { *slot = (*slot).wrapping_add(by) };
    }
}
