//! HTTP/1.1 of one connection (RFC 9112), as an observer of either end sees it.
//!
//! - Which end the process is shows itself by who sends the request.
//! - A connection that was joined late, or has a hole where a message begins, is read again from
//!   the next request head that begins a record; nothing is invented for what came before.
//! - A response belongs to the oldest request that has none. One that is captured before its
//!   request (two threads, one for each direction) is kept for it, up to [`MAX_EARLY`].
//! - An exchange is over when both its request and its response are. A client that waits for a
//!   100 and gets a final response instead has sent all that it will.

use super::exchange::Exchanges;
use super::half::{Collected, Half, Place};
use super::head::{Moment, Partial};
use super::start::{Start, judge};
use super::{ExchangeIndex, Handler};
use crate::ids::{Context, Direction, Nanos, Role};

/// How much of a response is kept that comes before its request.
pub const MAX_EARLY: usize = 16 << 10;

/// How often the place may change before a byte is taken: more than it ever needs to.
const MAX_IDLE_STEPS: u32 = 8;

/// Reads the messages of one connection. Memory: this struct and, only while one is under way,
/// a head that is cut (at most 64 KiB) and the decoders of coded bodies.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Option<Role>,
    pub(super) protocol: Protocol,
    pub(super) halves: [Half; 2],
    pub(super) exchanges: Exchanges,
    /// The index of the next exchange.
    pub(super) next: ExchangeIndex,
    /// The exchange whose request body is under way and wanted by the handler.
    pub(super) sending: Option<ExchangeIndex>,
    /// A hole may have swallowed a whole request: its response has no exchange.
    pub(super) request_missed: bool,
    pub(super) streaming: bool,
    /// The direction that was closed first.
    pub(super) first_closed: Option<Direction>,
    pub(super) losses: Losses,
}

/// What a connection speaks, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Too little was seen.
    Unknown,
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge; its bytes are ignored.
    Http2,
    /// Anything else; its bytes are ignored.
    Other,
}

/// What could not be read on a connection, in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Heads that no parser would take, or bytes where a head should be.
    pub malformed_heads: u32,
    /// Heads beyond 64 KiB; the connection is given up.
    pub long_heads: u32,
    /// More than 64 requests waiting, or a hole among several; the connection is given up.
    pub pipelines: u32,
    /// Bodies whose chunks were lost sight of.
    pub chunks: u32,
    /// Connections that changed to another protocol, which is not read.
    pub upgrades: u32,
}

/// About how many bytes of memory messages under way take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Heads that are not whole, and responses that came before their requests.
    pub heads: usize,
    /// Decoders of coded bodies.
    pub decoders: usize,
}

impl Connection {
    /// `late`: bytes may have passed before the first ones that are handed in.
    #[must_use]
    pub fn new(late: bool) -> Self {
        Self {
            role: None,
            protocol: Protocol::Unknown,
            halves: [Half::new(late), Half::new(late)],
            exchanges: Exchanges::default(),
            next: 0,
            sending: None,
            request_missed: false,
            streaming: false,
            first_closed: None,
            losses: Losses::default(),
        }
    }

    /// Takes the bytes of one record.
    pub fn data<H: Handler>(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        at: Nanos,
        context: Context,
        handler: &mut H,
    ) {
        self.feed(direction, bytes, Moment { at, context }, handler);
        if !bytes.is_empty() {
            self.halves[direction.index()].last = at;
        }
    }

    pub(super) fn feed<H: Handler>(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        now: Moment,
        handler: &mut H,
    ) {
        let (mut rest, mut start) = (bytes, true);
        let mut idle = 0;
        while !rest.is_empty() && idle < MAX_IDLE_STEPS {
            let used = self.step(direction, rest, start, now, handler);
            rest = &rest[used..];
            start &= used == 0;
            idle = if used == 0 { idle + 1 } else { 0 };
        }
        debug_assert!(idle < MAX_IDLE_STEPS, "places change in a circle");
    }

    /// What the connection speaks.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether nothing more of it will be read.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        let ignored = |half: &Half| matches!(half.place, Place::Ignored);
        self.halves.iter().all(ignored)
    }

    /// Which end of the connection the observed process is, once a request was seen.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        self.role
    }

    /// How many more bytes of `direction` belong to the body that is under way, where its
    /// length was announced.
    #[must_use]
    pub const fn body_end(&self, direction: Direction) -> Option<u64> {
        match &self.halves[direction.index()].place {
            Place::Body(body) => body.left(),
            Place::Head | Place::Search | Place::Ignored => None,
        }
    }

    /// Whether the body of a response that is a stream of events by its type is under way.
    #[must_use]
    pub const fn is_streaming_response(&self) -> bool {
        self.streaming
    }

    /// How many exchanges were begun and are not over.
    #[must_use]
    pub fn open_exchanges(&self) -> usize {
        self.exchanges.len()
    }

    /// About how much memory the messages under way take.
    #[must_use]
    pub fn held(&self) -> Held {
        let [a, b] = self.halves.each_ref().map(Half::held);
        Held {
            heads: a.heads + b.heads,
            decoders: a.decoders + b.decoders,
        }
    }

    /// Forgets what was kept of heads, as if it had not been captured.
    pub fn shed_heads<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        for direction in [Direction::In, Direction::Out] {
            if self.halves[direction.index()].partial.is_some() {
                self.gap(direction, 1, at, handler);
            }
        }
    }

    /// Gives decoders up: what follows of their bodies is told as undecodable.
    pub fn shed_decoders(&mut self) {
        for half in &mut self.halves {
            if let Place::Body(body) = &mut half.place {
                body.shed();
            }
        }
    }

    /// What could not be read since the last time.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Takes some of a record's bytes: how many. 0 only when the place has changed.
    fn step<H: Handler>(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        start: bool,
        now: Moment,
        handler: &mut H,
    ) -> usize {
        let place = &self.halves[direction.index()].place;
        let in_body = matches!(place, Place::Body(_));
        if matches!(place, Place::Ignored) {
            return bytes.len();
        }
        match (self.side(direction), in_body) {
            (None, _) => self.discover(direction, bytes, start, now, handler),
            (Some(Side::Request), true) => self.request_body(bytes, start, now, handler),
            (Some(Side::Request), false) => self.request_head(bytes, start, now, handler),
            (Some(Side::Response), true) => self.response_body(bytes, start, now, handler),
            (Some(Side::Response), false) => self.response_head(bytes, start, now, handler),
        }
    }

    /// Before any request was seen.
    fn discover<H: Handler>(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        start: bool,
        now: Moment,
        handler: &mut H,
    ) -> usize {
        let half = &mut self.halves[direction.index()];
        if half.holds_response() {
            self.keep_early(direction, bytes, now);
            return bytes.len();
        }
        // The preface is plain enough to be believed on a connection that was joined late, too.
        if start && judge(bytes, true) == Start::Http2 {
            self.ignore(Protocol::Http2);
            return bytes.len();
        }
        let (used, collected) = half.collect(bytes, start, Start::Request, now);
        match collected {
            Collected::More => used,
            Collected::Whole(whole) => {
                if self.begin_request(direction, &whole, now, handler).is_err() {
                    self.not_http(direction);
                }
                used
            }
            Collected::Not(Start::Http2) => {
                self.ignore(Protocol::Http2);
                bytes.len()
            }
            Collected::Not(Start::Response) => {
                self.keep_early(direction, &bytes[used..], now);
                bytes.len()
            }
            Collected::TooLong => {
                self.losses.long_heads += 1;
                self.ignore(Protocol::Other);
                bytes.len()
            }
            Collected::Not(_) => {
                self.not_http(direction);
                bytes.len()
            }
        }
    }

    /// What looked like a request is none. In sync that settles what the connection is.
    fn not_http(&mut self, direction: Direction) {
        if matches!(self.halves[direction.index()].place, Place::Head) {
            self.ignore(Protocol::Other);
        }
    }

    /// Keeps bytes of a response that came before its request, if there are not too many.
    pub(super) fn keep_early(&mut self, direction: Direction, bytes: &[u8], now: Moment) {
        let missed = self.request_missed;
        let half = &mut self.halves[direction.index()];
        if missed || !matches!(half.place, Place::Head) {
            half.go(Place::Search);
            return;
        }
        let partial = half
            .partial
            .get_or_insert_with(|| Box::new(Partial::new(&[], now)));
        if partial.bytes.len() + bytes.len() > MAX_EARLY {
            half.go(Place::Search);
        } else {
            partial.bytes.extend_from_slice(bytes);
        }
    }

    /// Reads nothing more.
    pub(super) fn ignore(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.streaming = false;
        for half in &mut self.halves {
            half.go(Place::Ignored);
        }
    }

    pub(super) fn side(&self, direction: Direction) -> Option<Side> {
        match (self.role?, direction) {
            (Role::Client, Direction::Out) | (Role::Server, Direction::In) => Some(Side::Request),
            (Role::Client, Direction::In) | (Role::Server, Direction::Out) => Some(Side::Response),
        }
    }

    /// The direction of `side`. Before the role is known it is that of a client.
    pub(super) const fn direction(&self, side: Side) -> Direction {
        let requests = match self.role {
            Some(Role::Server) => Direction::In,
            Some(Role::Client) | None => Direction::Out,
        };
        match side {
            Side::Request => requests,
            Side::Response => requests.flip(),
        }
    }

    /// The half that `side` goes through.
    pub(super) const fn half(&mut self, side: Side) -> &mut Half {
        &mut self.halves[self.direction(side).index()]
    }
}

/// What goes in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}
