//! The small values that every stage speaks of.

use std::net::SocketAddr;

/// Nanoseconds of the kernel's monotonic clock (`bpf_ktime_get_ns`, `CLOCK_MONOTONIC`).
pub type Nanos = u64;

/// A connection as the kernel half numbers it: unique for the life of the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// A process, safe against reuse of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// The thread group id in the initial pid namespace.
    pub tgid: u32,
    /// Start time of the process in nanoseconds since boot.
    pub start: u64,
}

/// Where bytes go, as seen by the process that moves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The process reads them.
    In,
    /// The process writes them.
    Out,
}

impl Direction {
    /// The other direction.
    #[must_use]
    pub const fn flip(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }

    /// 0 for [`Direction::In`], 1 for [`Direction::Out`]: for arrays with one slot a direction.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

/// Which side of a connection, or of a call, the process stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It sends the request.
    Client,
    /// It receives the request.
    Server,
}

impl Role {
    /// The other side.
    #[must_use]
    pub const fn flip(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What in the process did it: evidence of parents inside a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    /// The thread id.
    pub tid: u32,
    /// The runtime's own context, 0 where none is known: see [`crate::stitch`].
    pub token: u64,
    /// The operation waits until it is done, on a socket of that mode: the thread serves this
    /// connection alone meanwhile, so it is no event loop.
    pub blocking: bool,
}

/// Which tap saw the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Plain bytes on a socket.
    Plain,
    /// Plaintext inside a TLS library.
    Tls,
}

/// The two ends of a socket, and the network namespace that its addresses belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// The address of the process that the record is about.
    pub local: SocketAddr,
    /// The address of its peer.
    pub peer: SocketAddr,
    /// The inode number of the network namespace.
    pub netns: u32,
}

/// What is known of a connection when its first record comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnInfo {
    /// The connection.
    pub id: ConnId,
    /// The process on whose behalf the bytes move.
    pub process: ProcessId,
    /// Which tap saw it.
    pub transport: Transport,
    /// The socket's addresses; `None` for TLS whose socket is not known for certain.
    pub endpoints: Option<Endpoints>,
    /// True when bytes may have passed before the first record (the probe came later).
    pub late: bool,
    /// When the process accepted it, where that was seen.
    pub accepted: Option<Nanos>,
}

/// Where a context of a runtime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextInfo {
    /// The context, as in [`Context::token`].
    pub token: u64,
    /// The context that it was copied from, that one's origin, and so on; 0 where none is known.
    pub ancestors: [u64; ANCESTORS],
}

/// How many ancestors of a context are known.
pub const ANCESTORS: usize = 8;
