//! Keys and values of the maps, and their sizes.

/// Nothing of the process is captured.
pub const POLICY_OFF: u32 = 0;
/// Heads of HTTP messages; bodies of exchanges that look like calls.
pub const POLICY_HEADS: u32 = 1;
/// Everything that is HTTP.
pub const POLICY_FULL: u32 = 2;

/// [`Process::flags`]: stop the process at each file that it maps executable; user space lets it
/// go on.
pub const PROCESS_HELD: u32 = 1;

/// Value of `PROCESSES`, by tgid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Process {
    /// One of the `POLICY_*`.
    pub policy: u32,
    /// [`PROCESS_HELD`] or 0.
    pub flags: u32,
    /// Start time, nanoseconds since boot.
    pub start: u64,
}

/// Value of `PYTHONS`, by tgid: where a CPython keeps the context of each thread. Offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Python {
    /// Address of `_PyRuntime.interpreters.head`; `main` follows it.
    pub interpreters: u64,
    /// Address of `PyContext_Type`, which every context names at [`Python::TYPE`].
    pub context_type: u64,
    /// `PyInterpreterState` to its newest thread.
    pub threads: u16,
    /// `PyThreadState.next`
    pub next: u16,
    /// `PyThreadState.interp`
    pub interp: u16,
    /// `PyThreadState.thread_id`: what `pthread_self` gives, which is the thread pointer.
    pub thread_id: u16,
    /// `PyThreadState.context`
    pub context: u16,
    /// `PyContext.ctx_entered`
    pub entered: u16,
    /// 0.
    pub pad: u32,
}

impl Python {
    /// `PyObject.ob_type`
    pub const TYPE: u64 = 8;
}

/// Value of `GOS`, by tgid: where a Go program keeps what a goroutine is. Offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Go {
    /// Another one for each program that a process runs.
    pub generation: u32,
    /// `g.goid`
    pub goid: u16,
    /// `g.parentGoid`, 0 before Go 1.21.
    pub parent: u16,
}

/// Key of the maps by goroutine, and by what goroutines share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct GoKey {
    /// The goroutine's id, which never comes back, or an address.
    pub id: u64,
    /// The process.
    pub tgid: u32,
    /// [`Go::generation`]
    pub generation: u32,
}

/// Key of `CONTEXTS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ContextKey {
    /// Address of the context.
    pub address: u64,
    /// The process.
    pub tgid: u32,
    /// 0.
    pub pad: u32,
}

/// Key of `TLS_CONNECTIONS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TlsKey {
    /// Address of the `SSL` object.
    pub ssl: u64,
    /// The process.
    pub tgid: u32,
    /// 0.
    pub pad: u32,
}

/// Value of `GRANTS`, by connection number: what user space allows beyond the credit of a turn.
/// Offsets are absolute stream offsets, so a grant never means another turn than it was given in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Grant {
    /// By direction: bytes before this offset are captured.
    pub until: [u64; 2],
    /// By direction: bytes from here …
    pub tail_from: [u64; 2],
    /// … to here are captured too. While the tail is ahead, an answer beyond its credit does not
    /// run on by itself.
    pub tail_to: [u64; 2],
    /// 1: nothing of the connection is wanted any more. It has changed to another protocol.
    pub ignore: u64,
}

/// Value of `SETTINGS[0]`: what user space may change while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Policy of processes that nobody decided about.
    pub default_policy: u32,
    /// 0.
    pub pad: u32,
}

/// Per-CPU counters, by index into `COUNTERS`.
pub mod counter {
    /// The ring refused a record.
    pub const RING_FULL: u32 = 0;
    /// The connection table was full.
    pub const CONNECTIONS_FULL: u32 = 1;
    /// The process table was full.
    pub const PROCESSES_FULL: u32 = 2;
    /// User memory could not be read.
    pub const UNREADABLE: u32 = 3;
    /// An HTTP/2 connection.
    pub const HTTP2: u32 = 4;
    /// A socket call of a 32-bit program: not followed.
    pub const COMPAT: u32 = 5;
    /// A TLS call whose entry was not seen.
    pub const UNPAIRED: u32 = 6;
    /// Bytes over the credit of a turn.
    pub const OVER_CREDIT: u32 = 7;
    /// A call that moved several messages at once: a hole.
    pub const SEVERAL_MESSAGES: u32 = 8;
    /// A thread whose Python context could not be found.
    pub const NO_CONTEXT: u32 = 9;
    /// Bytes that moved without passing through the memory of the process, as `sendfile` moves
    /// them: a hole.
    pub const NOT_IN_MEMORY: u32 = 10;
    /// How many there are.
    pub const COUNT: u32 = 11;
    /// Their names, for `/metrics`.
    pub const NAMES: [&str; COUNT as usize] = [
        "ring_full",
        "connections_full",
        "processes_full",
        "unreadable",
        "http2_connections",
        "compat_calls",
        "unpaired_tls_calls",
        "over_credit_bytes",
        "several_messages",
        "python_threads_unknown",
        "bytes_not_in_memory",
    ];
}

/// Bytes of a turn that are captured without a grant.
pub const CREDIT: u64 = 1 << 20;
/// Bytes of a turn that are captured where only heads are wanted.
pub const HEADS: u64 = 16 << 10;
/// Connections followed at a time, each of plain and TLS.
pub const CONNECTIONS: u32 = 16384;
/// Processes with a policy of their own.
pub const PROCESSES: u32 = 16384;
/// Threads inside a TLS call at a time.
pub const TLS_CALLS: u32 = 8192;
/// CPython processes that are opted in.
pub const PYTHONS: u32 = 4096;
/// Contexts of theirs that are alive, about; the ones that were used longest ago make room.
pub const CONTEXTS: u32 = 16384;
/// Go programs that are opted in.
pub const GOS: u32 = 4096;
/// Goroutines that wait for or speak on connections, about; the ones that were used longest ago
/// make room.
pub const GOROUTINES: u32 = 16384;
/// Bytes of the ring. They count twice as memory of the probe, which maps them twice in a row.
pub const RING: u32 = 4 << 20;
