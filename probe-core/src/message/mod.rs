//! Ordered bytes in, HTTP messages out.

mod body;
mod chunked;
mod connection;
mod decode;
mod ending;
mod exchange;
mod framing;
mod half;
mod head;
mod request;
mod response;
pub mod sse;
mod start;

pub use connection::{Connection, Losses, MAX_EARLY, Protocol};
pub use ending::Closed;

use crate::ids::{Context, Nanos, Role};

/// The number of an exchange on its connection, from 0, in the order of the requests.
pub type ExchangeIndex = u64;

/// What the handler wants of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Heads, decoded bodies and ends.
    Full,
    /// Heads and ends; bodies are only counted.
    Heads,
}

/// Receives the messages of one connection in order.
///
/// Each exchange gives `request_head` first; then `request_body` and `response_*` as they come,
/// interleaved as on the wire, and exactly one `end` at last. A response whose record was
/// captured before its request's keeps its own times, which are then a little earlier.
pub trait Handler {
    /// A request's head is complete. `role` is that of the observed process.
    fn request_head(&mut self, x: ExchangeIndex, head: &RequestHead<'_>, role: Role) -> Interest;
    /// A piece of the request's body, decoded.
    fn request_body(&mut self, x: ExchangeIndex, piece: Piece<'_>, at: Nanos);
    /// The request's last byte was seen.
    fn request_end(&mut self, x: ExchangeIndex, at: Nanos);
    /// The final response's head is complete (interim 1xx responses are passed over).
    fn response_head(&mut self, x: ExchangeIndex, head: &ResponseHead<'_>);
    /// A piece of the response's body, decoded.
    fn response_body(&mut self, x: ExchangeIndex, piece: Piece<'_>, at: Nanos);
    /// A hole hid where the response's body ends: its last byte may go by unseen.
    fn response_blurred(&mut self, _x: ExchangeIndex, _at: Nanos) {}
    /// The exchange is over.
    fn end(&mut self, x: ExchangeIndex, end: End, at: Nanos);
}

/// A piece of a body after content decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Decoded bytes.
    Bytes(&'a [u8]),
    /// This many bytes of the encoded body were not captured; what follows, if anything, is
    /// later in the same body. A decoder that cannot go on reports the rest as a gap too.
    Gap(u64),
    /// The body's content encoding is unknown or broken from here on: nothing follows.
    Undecodable,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The response's last byte was seen.
    Complete,
    /// The client went away before the response was complete.
    ClientGone,
    /// The server went away before the response was complete.
    ServerGone,
    /// The connection changed to another protocol (101, CONNECT).
    Upgraded,
    /// The process ended in the middle of it.
    ProcessGone,
    /// A hole in the capture hid where the message ends.
    Lost,
}

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The request target, as sent (origin form, absolute form, authority form or `*`).
    pub target: &'a str,
    /// The minor version of HTTP/1: 0 or 1.
    pub minor_version: u8,
    /// All fields, in order.
    pub headers: Headers<'a>,
    /// When the operation that moved the head's first byte returned.
    pub at: Nanos,
    /// What in the process moved it.
    pub context: Context,
}

/// A response's head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// All fields, in order.
    pub headers: Headers<'a>,
    /// When the operation that moved the head's first byte returned.
    pub at: Nanos,
    /// What in the process moved it.
    pub context: Context,
}

/// The fields of a head, in order, values as sent (without the white space around them).
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    fields: &'a [(&'a str, &'a [u8])],
}

impl<'a> Headers<'a> {
    /// Fields by name and value.
    #[must_use]
    pub const fn new(fields: &'a [(&'a str, &'a [u8])]) -> Self {
        Self { fields }
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.fields.iter().copied()
    }

    /// Every value of the field `name`, which is matched without regard to case.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The first value of the field `name`, if it is valid UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name)
            .next()
            .and_then(|v| std::str::from_utf8(v).ok())
    }
}

#[cfg(test)]
mod tests;
