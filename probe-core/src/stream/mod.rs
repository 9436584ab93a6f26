//! Records in, ordered bytes with explicit gaps out.

mod assembler;

pub use assembler::{Assembler, Parts};

use crate::ids::{ConnId, ConnInfo, Context, ContextInfo, Direction, Nanos};

/// One record of the kernel half, decoded.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// A connection was seen for the first time.
    Open(ConnInfo),
    /// Addresses of a TLS connection became known after its first record.
    Bound(ConnInfo),
    /// Where a context comes from; before the first bytes that move in it.
    Context(ContextInfo),
    /// Bytes moved.
    Data(Data<'a>),
    /// The peer (`In`) or the process (`Out`) will send no more.
    HalfClosed(ConnId, Direction, Nanos),
    /// The connection is gone: the process closed it (`Out`), or the peer or the network (`In`).
    Closed(ConnId, Direction, Nanos),
}

/// Bytes of one direction of one connection.
///
/// A record with fewer `bytes` than `len` is a mark: the rest moved, but was not captured.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The connection.
    pub conn: ConnId,
    /// Which way the bytes went.
    pub direction: Direction,
    /// The stream offset of the first byte, counted from the start of the connection where that
    /// is known, else from the first byte that was seen.
    pub offset: u64,
    /// How many bytes moved.
    pub len: u64,
    /// The captured bytes: the first `bytes.len()` of them.
    pub bytes: &'a [u8],
    /// When the operation that moved them returned.
    pub at: Nanos,
    /// What in the process moved them.
    pub context: Context,
}
