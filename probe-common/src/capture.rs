//! What of an operation is captured: the decision of the kernel half, as values.
//!
//! A *turn* is a run of operations in one direction. Each turn may send [`maps::CREDIT`] bytes
//! ([`maps::HEADS`] where only heads are wanted); beyond that only offsets go out, unless user
//! space grants more. The answer to a POST may be a stream of which nothing may be skipped, and
//! may outrun user space: until that has spoken, it goes on as long as the ring has room for
//! others. Since every record carries its stream offset, what was left out is seen as a hole.

#![expect(
    clippy::inline_always,
    reason = "the verifier follows values best inside one function"
)]

use crate::http::{self, Look, PEEK};
use crate::maps::{self, Grant, POLICY_FULL};
use crate::record::IN;

/// Nothing is known yet.
pub const UNKNOWN: u8 = 0;
/// It speaks HTTP/1.
pub const HTTP: u8 = 1;
/// It speaks something else; its bytes are not looked at again.
pub const IGNORED: u8 = 2;
/// A socket that carries TLS: the TLS tap sees its plaintext.
pub const TLS: u8 = 3;

/// No turn yet.
pub const NO_TURN: u8 = 2;

/// [`Connection::flags`]: bytes passed before the first operation that was seen.
pub const LATE: u8 = 1;
/// [`Connection::flags`]: `Open` was sent.
pub const OPENED: u8 = 2;

/// [`Connection::flags`]: the peer or the network ended it, with bytes that are still to be read.
pub const ENDED: u8 = 8;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Side {
    /// Stream offset of the next byte.
    pub offset: u64,
    /// Bytes before this offset are captured in this turn.
    pub limit: u64,
    /// The socket's sequence number of the next byte.
    pub seq: u32,
    /// On a late connection: the first bytes of what may be a head, that came alone, the first one
    /// lowest; at most three, else 0.
    pub prefix: u32,
}

/// What the kernel half keeps of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Connection {
    /// Its number.
    pub id: u64,
    /// By direction.
    pub sides: [Side; 2],
    /// For TLS: the number of the socket's connection, 0 where unknown.
    pub socket: u64,
    /// [`UNKNOWN`], [`HTTP`], [`IGNORED`] or [`TLS`].
    pub class: u8,
    /// Direction of the current turn, or [`NO_TURN`].
    pub turn: u8,
    /// [`LATE`], [`OPENED`].
    pub flags: u8,
    /// 1: bodies of the current exchange are wanted.
    pub full: u8,
    /// Direction in which requests go, or [`NO_TURN`].
    pub request: u8,
    /// 0.
    pub pad: u8,
    /// 0.
    pub padding: u16,
}

/// What an operation looks like, together with what came alone before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The look.
    pub look: Look,
    /// How many bytes of the head came before the operation.
    pub before: u32,
    /// Those bytes, the first one lowest.
    pub word: u32,
}

impl Connection {
    /// A connection that was never seen.
    #[must_use]
    pub const fn new(id: u64, late: bool) -> Self {
        const NONE: Side = Side {
            offset: 0,
            limit: 0,
            seq: 0,
            prefix: 0,
        };
        Self {
            id,
            sides: [NONE; 2],
            socket: 0,
            class: UNKNOWN,
            turn: NO_TURN,
            flags: late as u8,
            full: 0,
            request: NO_TURN,
            pad: 0,
            padding: 0,
        }
    }

    /// The side of `direction`.
    #[inline(always)]
    pub fn side(&mut self, direction: u8) -> &mut Side {
        if direction == IN {
            &mut self.sides[0]
        } else {
            &mut self.sides[1]
        }
    }

    /// Whether the first bytes of the next operation decide anything.
    #[must_use]
    #[inline(always)]
    pub fn wants_look(&self, direction: u8) -> bool {
        self.class == UNKNOWN || self.turn != direction
    }

    /// For a connection whose start cannot be known: its very first operation, of `n` bytes,
    /// being too short to tell means that somebody reads a head byte by byte, from its start.
    #[inline(always)]
    pub fn presume_fresh(&mut self, look: Look, n: u64) {
        let seen = self.sides[0].offset.wrapping_add(self.sides[1].offset);
        if self.class == UNKNOWN && matches!(look, Look::Short) && seen == n {
            self.flags &= !LATE;
        }
    }

    /// Whether operations in `direction` answer a request whose exchange is wanted whole.
    #[must_use]
    #[inline(always)]
    pub fn answers(&self, direction: u8) -> bool {
        self.full == 1 && self.request != NO_TURN && self.request != direction
    }

    /// Takes the first bytes of an operation of `n` bytes, `seen` of them, on a connection where
    /// nobody knows whether a head begins with them. `follows`: they follow what was seen last in
    /// this direction.
    ///
    /// A Go server waits for the next request with a read of one byte. That byte tells nothing,
    /// so it is kept until the next operation does.
    #[inline(always)]
    pub fn look(
        &mut self,
        direction: u8,
        first: &[u8; PEEK],
        seen: usize,
        n: u64,
        follows: bool,
    ) -> Looked {
        let look = http::look(first, seen);
        let alone = Looked {
            look,
            before: 0,
            word: 0,
        };
        if self.class != UNKNOWN || self.flags & LATE == 0 {
            return alone;
        }
        let word = self.side(direction).prefix;
        let [one, two, three, _] = word.to_le_bytes();
        let before = u32::from(one != 0) + u32::from(two != 0) + u32::from(three != 0);
        let here = u32::from_le_bytes([first[0], first[1], first[2], first[3]]);
        let undecided = matches!(look, Look::Short | Look::Other);
        self.side(direction).prefix = 0;
        if !undecided {
            self.sides[0].prefix = 0;
            self.sides[1].prefix = 0;
            return alone;
        }
        if before != 0 && follows {
            let whole = word | (here << (8 * (before & 3)));
            let look = http::look_at_word(whole, seen + before as usize);
            if matches!(look, Look::Short) && seen as u64 == n {
                self.keep(direction, whole);
                return alone;
            }
            if matches!(look, Look::Request | Look::Post | Look::Response) {
                return Looked { look, before, word };
            }
        }
        if matches!(look, Look::Short) && seen as u64 == n {
            self.keep(direction, here);
        }
        alone
    }

    #[inline(always)]
    fn keep(&mut self, direction: u8, word: u32) {
        self.side(direction).prefix = word & 0x00ff_ffff;
    }

    /// Takes the look of an operation that starts at stream offset `start`: classifies the
    /// connection and opens a turn. Returns whether the operation's bytes are wanted at all.
    #[inline(always)]
    pub fn begin(&mut self, direction: u8, start: u64, look: Look, policy: u32) -> bool {
        if self.class == UNKNOWN {
            self.class = match look {
                Look::Request | Look::Post | Look::Response => HTTP,
                Look::Tls => TLS,
                Look::Short if self.flags & LATE == 0 => HTTP,
                Look::Http2 => IGNORED,
                Look::Other if self.flags & LATE == 0 => IGNORED,
                Look::Other | Look::Short => UNKNOWN,
            };
        }
        if self.class != HTTP {
            return false;
        }
        match look {
            Look::Post => {
                self.full = 1;
                self.request = direction;
            }
            Look::Request => {
                self.full = u8::from(policy == POLICY_FULL);
                self.request = direction;
            }
            // A head in small pieces: the method is not known yet.
            Look::Short if self.request == NO_TURN || self.request == direction => self.full = 1,
            _ => {}
        }
        self.turn = direction;
        let credit = if self.full == 1 {
            maps::CREDIT
        } else {
            maps::HEADS
        };
        self.side(direction).limit = start.wrapping_add(credit);
        true
    }
}

/// The bytes at `offset`, `left` of them to the end of the operation's segment: how many to
/// capture now (`Some`), or how many to leave out (`None` with the count beside it).
#[must_use]
#[inline(always)]
pub fn piece(offset: u64, left: u64, limit: u64, tail_from: u64, tail_to: u64) -> (bool, u64) {
    if offset < limit {
        return (true, min(left, limit - offset));
    }
    if offset >= tail_from && offset < tail_to {
        return (true, min(left, tail_to - offset));
    }
    if offset < tail_from {
        return (false, min(left, tail_from - offset));
    }
    (false, left)
}

/// The tail of an operation of `n` bytes from `start` that is kept without a grant: what stands
/// at the end of a large request body is worth its few bytes.
#[must_use]
#[inline(always)]
pub fn default_tail(start: u64, n: u64) -> (u64, u64) {
    const LARGE: u64 = 64 << 10;
    const KEPT: u64 = 4 << 10;
    let end = start.wrapping_add(n);
    if n >= LARGE {
        (end - KEPT, end)
    } else {
        (u64::MAX, u64::MAX)
    }
}

impl Grant {
    /// `limit` or the grant, whichever is more.
    #[must_use]
    #[inline(always)]
    pub fn until(&self, direction: u8, limit: u64) -> u64 {
        let granted = if direction == IN {
            self.until[0]
        } else {
            self.until[1]
        };
        if granted > limit { granted } else { limit }
    }

    /// The granted tail.
    #[must_use]
    #[inline(always)]
    pub fn tail(&self, direction: u8) -> (u64, u64) {
        if direction == IN {
            (self.tail_from[0], self.tail_to[0])
        } else {
            (self.tail_from[1], self.tail_to[1])
        }
    }
}

const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::{CREDIT, HEADS, POLICY_HEADS};
    use crate::record::OUT;

    #[test]
    fn a_post_opens_the_exchange_and_its_answer() {
        let mut c = Connection::new(1, false);
        assert!(c.begin(OUT, 0, Look::Post, POLICY_HEADS));
        assert_eq!((c.full, c.sides[1].limit), (1, CREDIT));
        assert!(!c.wants_look(OUT));
        assert!(c.wants_look(IN));
        assert!(c.begin(IN, 0, Look::Response, POLICY_HEADS));
        assert_eq!((c.full, c.sides[0].limit), (1, CREDIT));
    }

    #[test]
    fn a_get_gives_heads_only_unless_the_policy_is_full() {
        let mut c = Connection::new(1, false);
        assert!(c.begin(OUT, 0, Look::Request, POLICY_HEADS));
        assert_eq!(c.sides[1].limit, HEADS);
        assert!(c.begin(IN, 0, Look::Response, POLICY_HEADS));
        assert_eq!(c.sides[0].limit, HEADS);
        assert!(c.begin(OUT, 90, Look::Request, POLICY_FULL));
        assert_eq!(c.sides[1].limit, 90 + CREDIT);
    }

    #[test]
    fn only_the_answer_to_a_post_may_run_on() {
        let mut c = Connection::new(1, false);
        assert!(!c.answers(IN), "nothing was asked");
        c.begin(OUT, 0, Look::Post, POLICY_HEADS);
        assert!(c.answers(IN));
        assert!(!c.answers(OUT), "a request has its credit and no more");
        c.begin(IN, 0, Look::Response, POLICY_HEADS);
        c.begin(OUT, 90, Look::Request, POLICY_HEADS);
        assert!(!c.answers(IN));
    }

    #[test]
    fn what_is_not_http_is_left_alone_for_good() {
        let mut c = Connection::new(1, false);
        assert!(!c.begin(OUT, 0, Look::Other, POLICY_FULL));
        assert_eq!(c.class, IGNORED);
        assert!(!c.begin(OUT, 9, Look::Post, POLICY_FULL));
        let mut c = Connection::new(1, false);
        assert!(!c.begin(OUT, 0, Look::Tls, POLICY_FULL));
        assert_eq!(c.class, TLS);
    }

    #[test]
    fn a_late_connection_waits_for_a_head() {
        let mut c = Connection::new(1, true);
        assert!(!c.begin(IN, 500, Look::Other, POLICY_HEADS));
        assert!(!c.begin(IN, 900, Look::Short, POLICY_HEADS));
        assert_eq!(c.class, UNKNOWN);
        assert!(c.begin(OUT, 80, Look::Post, POLICY_HEADS));
    }

    #[test]
    fn a_first_operation_of_one_byte_begins_a_head() {
        let mut c = Connection::new(1, true);
        c.sides[0].offset = 1;
        c.presume_fresh(Look::Short, 1);
        assert!(c.begin(IN, 0, Look::Short, POLICY_HEADS));
        // Later ones say nothing.
        let mut c = Connection::new(1, true);
        c.sides[0].offset = 500;
        c.presume_fresh(Look::Short, 1);
        assert!(!c.begin(IN, 499, Look::Short, POLICY_HEADS));
    }

    /// The looks of operations on a late connection.
    fn looks(operations: &[(u8, &[u8], bool)]) -> std::vec::Vec<(Look, u32, u32)> {
        let mut c = Connection::new(1, true);
        let look = |&(direction, bytes, follows): &(u8, &[u8], bool)| {
            let mut first = [0; PEEK];
            let seen = bytes.len().min(PEEK);
            first[..seen].copy_from_slice(&bytes[..seen]);
            let looked = c.look(direction, &first, seen, bytes.len() as u64, follows);
            (looked.look, looked.before, looked.word)
        };
        operations.iter().map(look).collect()
    }

    #[test]
    fn the_first_byte_of_a_head_may_come_alone() {
        let p = u32::from(b'P');
        let seen = looks(&[(IN, b"P", true), (IN, b"OST / HTTP/1.1", true)]);
        assert_eq!(seen[1], (Look::Post, 1, p));
        // What goes the other way meanwhile is no matter.
        let seen = looks(&[(IN, b"P", true), (OUT, b"data", true), (IN, b"OST /", true)]);
        assert_eq!(seen[2], (Look::Post, 1, p));
        let seen = looks(&[(IN, b"G", true), (IN, b"E", true), (IN, b"T /", true)]);
        assert_eq!(seen[2], (Look::Request, 2, u32::from_le_bytes(*b"GE\0\0")));
        let seen = looks(&[(OUT, b"HTT", true), (OUT, b"P/1.1 200 OK", true)]);
        assert_eq!((seen[1].0, seen[1].1), (Look::Response, 3));
    }

    #[test]
    fn a_byte_that_begins_no_head_is_forgotten() {
        for operations in [
            // Not a head; bytes between were not seen; another direction; a longer operation.
            [(IN, &b"P"[..], true), (IN, b"xyz123", true)],
            [(IN, b"P", true), (IN, b"OST /", false)],
            [(IN, b"P", true), (OUT, b"OST /", true)],
            [(IN, b"xP", true), (IN, b"OST /", true)],
        ] {
            assert_eq!(looks(&operations)[1], (Look::Other, 0, 0), "{operations:?}");
        }
        let seen = looks(&[(IN, b"P", true), (IN, b"data", false), (IN, b"OST /", true)]);
        assert_eq!(seen[2], (Look::Other, 0, 0));
        // A whole head needs no prefix, and a second byte may begin one.
        let seen = looks(&[(IN, b"P", true), (IN, b"POST /", true)]);
        assert_eq!(seen[1], (Look::Post, 0, 0));
        let seen = looks(&[(IN, b"P", true), (IN, b"P", true), (IN, b"OST /", true)]);
        assert_eq!(seen[2], (Look::Post, 1, u32::from(b'P')));
    }

    #[test]
    fn a_vector_whose_first_buffer_is_short_is_no_lone_byte() {
        let mut c = Connection::new(1, true);
        let mut first = [0; PEEK];
        first[0] = b'P';
        c.look(IN, &first, 1, 300, true);
        assert_eq!(c.sides.map(|side| side.prefix), [0; 2]);
    }

    #[test]
    fn beyond_the_credit_only_the_tail_is_kept() {
        let (from, to) = default_tail(0, 1 << 20);
        assert_eq!((from, to), ((1 << 20) - 4096, 1 << 20));
        assert_eq!(piece(0, 300, 200, from, to), (true, 200));
        assert_eq!(piece(200, 1 << 20, 200, from, to), (false, from - 200));
        assert_eq!(piece(from, 9000, 200, from, to), (true, 4096));
        assert_eq!(piece(to, 10, 200, from, to), (false, 10));
        assert_eq!(default_tail(0, 100), (u64::MAX, u64::MAX));
    }
}
