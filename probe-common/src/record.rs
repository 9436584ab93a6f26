//! Records: a fixed header, then up to [`PIECE`] bytes.
//!
//! The kernel half reserves the smallest of [`CLASSES`] that holds the bytes, so a token of 200
//! bytes does not take a slot of 16 KiB.

/// The most bytes in one record.
pub const PIECE: usize = 16384;

/// Capacities of the size classes, in bytes after the header.
pub const CLASSES: [usize; 4] = [256, 1024, 4096, PIECE];

/// Size of [`Header`] in bytes.
pub const HEADER: usize = 64;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A connection was seen for the first time; an [`Open`] follows the header.
    Open = 1,
    /// A TLS connection's socket became known; an [`Open`] follows the header.
    Bound = 2,
    /// Bytes moved; the captured ones follow the header.
    Data = 3,
    /// One side will send no more (`direction`).
    HalfClosed = 4,
    /// The connection is gone: by the process ([`OUT`]), or by its peer or the network ([`IN`]).
    Closed = 5,
    /// A process started a program.
    Exec = 6,
    /// A process that is opted in made a child; `conn` is the child's tgid.
    Fork = 7,
    /// A process ended.
    Exit = 8,
    /// A process that is opted in mapped a file executable.
    Map = 9,
    /// A context (`token`) of a runtime, before the first bytes that move in it; a [`Line`]
    /// follows the header.
    Context = 10,
}

impl Kind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            1 => Self::Open,
            2 => Self::Bound,
            3 => Self::Data,
            4 => Self::HalfClosed,
            5 => Self::Closed,
            6 => Self::Exec,
            7 => Self::Fork,
            8 => Self::Exit,
            9 => Self::Map,
            10 => Self::Context,
            _ => return None,
        })
    }
}

/// `direction`: the process reads.
pub const IN: u8 = 0;
/// `direction`: the process writes.
pub const OUT: u8 = 1;

/// [`Header::flags`]: the operation waits until it is done, on a socket of that mode.
pub const BLOCKING: u16 = 1;

/// How many ancestors of a context are kept.
pub const ANCESTORS: usize = 8;
/// What follows the header of [`Kind::Context`]: the context that it was copied from, that one's
/// origin, and so on; 0 where none is known.
pub type Line = [u64; ANCESTORS];
/// A context's number: its birth was not seen; where the rest is another context's number, that
/// one started it. Bits 56 to 62 are the CPU, the ones below the time in nanoseconds.
pub const FOUND: u64 = 1 << 63;

/// The head of every record. All numbers are native-endian: both halves run on one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// A [`Kind`].
    pub kind: u8,
    /// [`IN`] or [`OUT`].
    pub direction: u8,
    /// [`BLOCKING`] or 0.
    pub flags: u16,
    /// Captured bytes after the header.
    pub captured: u32,
    /// `bpf_ktime_get_ns` when the operation returned.
    pub at: u64,
    /// The connection's number.
    pub conn: u64,
    /// Thread group id of the process.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Start time of the process, nanoseconds since boot.
    pub start: u64,
    /// Stream offset of the first byte; of [`Kind::Open`]: when the connection was accepted, 0
    /// where that was not seen.
    pub offset: u64,
    /// Bytes that moved; the ones after `captured` were not captured.
    pub len: u64,
    /// The runtime's own execution context; 0 where none is known.
    pub token: u64,
}

const _: () = assert!(size_of::<Header>() == HEADER);

/// [`Open::flags`]: bytes may have passed before the first record.
pub const LATE: u32 = 1;
/// [`Open::flags`]: plaintext of a TLS library.
pub const TLS: u32 = 2;
/// [`Open::flags`]: the addresses are valid.
pub const ADDRESSED: u32 = 4;
/// [`Open::flags`]: the connection speaks HTTP/2: counted and named, not followed.
pub const HTTP2: u32 = 8;

/// What is known of a connection when it is first seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Open {
    /// [`LATE`], [`TLS`], [`ADDRESSED`], [`HTTP2`].
    pub flags: u32,
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u16,
    /// Local port, host order.
    pub local_port: u16,
    /// Peer's port, host order.
    pub peer_port: u16,
    /// 0.
    pub pad: u16,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Local address; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// Peer's address.
    pub peer: [u8; 16],
    /// For TLS: number of the socket's own connection, 0 where unknown.
    pub socket: u64,
    /// Address of the kernel's socket or of the library's connection object.
    pub pointer: u64,
}

/// Size of [`Open`] in bytes.
pub const OPEN: usize = 64;
const _: () = assert!(size_of::<Open>() == OPEN);

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(b.get(at..at + 8)?.try_into().ok()?))
}

impl Header {
    /// Reads a header and the captured bytes behind it; `None` when `b` is too short for what it
    /// says.
    #[must_use]
    pub fn parse(b: &[u8]) -> Option<(Self, &[u8])> {
        let header = Self {
            kind: *b.first()?,
            direction: *b.get(1)?,
            flags: u16_at(b, 2)?,
            captured: u32_at(b, 4)?,
            at: u64_at(b, 8)?,
            conn: u64_at(b, 16)?,
            tgid: u32_at(b, 24)?,
            tid: u32_at(b, 28)?,
            start: u64_at(b, 32)?,
            offset: u64_at(b, 40)?,
            len: u64_at(b, 48)?,
            token: u64_at(b, 56)?,
        };
        let bytes = b.get(HEADER..HEADER.checked_add(header.captured as usize)?)?;
        Some((header, bytes))
    }
}

/// Reads what follows the header of [`Kind::Context`].
#[must_use]
pub fn line(b: &[u8]) -> Option<Line> {
    let mut line = Line::default();
    for (i, ancestor) in line.iter_mut().enumerate() {
        *ancestor = u64_at(b, 8 * i)?;
    }
    Some(line)
}

impl Open {
    /// Reads what follows the header of [`Kind::Open`] and [`Kind::Bound`].
    #[must_use]
    pub fn parse(b: &[u8]) -> Option<Self> {
        Some(Self {
            flags: u32_at(b, 0)?,
            family: u16_at(b, 4)?,
            local_port: u16_at(b, 6)?,
            peer_port: u16_at(b, 8)?,
            pad: 0,
            netns: u32_at(b, 12)?,
            local: b.get(16..32)?.try_into().ok()?,
            peer: b.get(32..48)?.try_into().ok()?,
            socket: u64_at(b, 48)?,
            pointer: u64_at(b, 56)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_header_says_how_many_bytes_follow() {
        let mut b = vec![0u8; HEADER + 5];
        b[0] = Kind::Data as u8;
        b[1] = OUT;
        b[4..8].copy_from_slice(&5u32.to_ne_bytes());
        b[16..24].copy_from_slice(&7u64.to_ne_bytes());
        b[HEADER..].copy_from_slice(b"hello");
        let (header, bytes) = Header::parse(&b).unwrap();
        assert_eq!((header.direction, header.conn), (OUT, 7));
        assert_eq!(bytes, b"hello");
        assert!(Header::parse(&b[..HEADER + 4]).is_none());
        b[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(Header::parse(&b).is_none());
    }

    #[test]
    fn an_open_body_is_read_by_its_fields() {
        let mut b = [0u8; OPEN];
        b[0..4].copy_from_slice(&(TLS | ADDRESSED).to_ne_bytes());
        b[4..6].copy_from_slice(&2u16.to_ne_bytes());
        b[6..8].copy_from_slice(&80u16.to_ne_bytes());
        b[16..20].copy_from_slice(&[127, 0, 0, 1]);
        b[48..56].copy_from_slice(&9u64.to_ne_bytes());
        let open = Open::parse(&b).unwrap();
        assert_eq!((open.flags, open.family, open.local_port), (6, 2, 80));
        assert_eq!(open.local[..4], [127, 0, 0, 1]);
        assert_eq!(open.socket, 9);
        assert!(Open::parse(&b[..OPEN - 1]).is_none());
    }
}
