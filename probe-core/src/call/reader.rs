//! The calls of one connection.

use super::exchange::Exchange;
use super::{Answered, Asked, Call, ExchangeKey, HttpFacts, Started};
use crate::ids::{ConnId, ConnInfo, Nanos, ProcessId, Role, Transport};
use crate::message::{End, ExchangeIndex, Handler, Interest, Piece, RequestHead, ResponseHead};
use crate::trace_context::TraceContext;

/// How many exchanges of a connection are followed at once; more are pipelined by nobody.
const MAX_EXCHANGES: usize = 64;

/// What a reader is asked to do beyond its duty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many bytes of each part of the content (prompts, answers, arguments, results) are
    /// kept; 0, the default, for none.
    pub content_cap: usize,
}

/// What a reader gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A call was recognised. Exactly one `Finished` with the same key follows.
    Started(Started),
    /// A call is over.
    Finished(Box<Call>),
    /// A request came to the process. One `Over` with the same key follows.
    Asked(Box<Asked>),
    /// The request is complete. The trace context inside its body, where there is one.
    Read(ExchangeKey, Option<Box<TraceContext>>),
    /// Its answer began.
    Answered(Answered),
    /// From this time on the end of its answer may go by unseen.
    Blurred(ExchangeKey, Nanos),
    /// The request's exchange is over; if it was a call, that has been reported.
    Over(ExchangeKey, End, Nanos),
}

/// What the kernel half should do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The last exchange was no call: bodies need not be sent until a request looks promising
    /// to the kernel again.
    Demote,
    /// Bodies are wanted, within the usual credit.
    Full,
    /// The answer is a stream of which nothing may be skipped.
    Unlimited,
}

/// Reads the calls out of the messages of one connection.
///
/// It is the [`Handler`] of the message stage; what it finds waits in [`Reader::outputs`].
#[derive(Debug)]
pub struct Reader {
    conn: Conn,
    options: Options,
    exchanges: Vec<Exchange>,
    outputs: Vec<Output>,
    /// What was asked of the kernel last.
    wish: Option<Wish>,
    /// The exchange that ended last was no call.
    idle: bool,
    /// The process serves requests on this connection.
    serves: bool,
}

/// What all calls of a connection have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) process: ProcessId,
    pub(super) tls: bool,
    pub(super) late: bool,
}

impl Reader {
    /// A reader of the connection.
    #[must_use]
    pub fn new(info: &ConnInfo, options: Options) -> Self {
        Self {
            conn: Conn {
                id: info.id,
                process: info.process,
                tls: info.transport == Transport::Tls,
                late: info.late,
            },
            options,
            exchanges: Vec::new(),
            outputs: Vec::new(),
            wish: None,
            idle: false,
            serves: false,
        }
    }

    /// Takes what was found since the last time, in order.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.outputs.drain(..)
    }

    /// Whether anything waits in [`Reader::outputs`].
    #[must_use]
    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// What the kernel half should do from now on, if that changed since the last time.
    pub fn take_wish(&mut self) -> Option<Wish> {
        let open = || self.exchanges.iter().filter(|exchange| exchange.is_open());
        let wish = if open().any(Exchange::streams) {
            Wish::Unlimited
        } else if self.idle && open().next().is_none() {
            Wish::Demote
        } else if self.exchanges.is_empty() && self.wish.is_none() {
            return None;
        } else {
            Wish::Full
        };
        (self.wish.replace(wish) != Some(wish)).then_some(wish)
    }

    fn key(&self, x: ExchangeIndex) -> ExchangeKey {
        ExchangeKey {
            conn: self.conn.id,
            exchange: x,
        }
    }

    fn asked(&mut self, x: ExchangeIndex, head: &RequestHead<'_>) {
        self.outputs.push(Output::Asked(Box::new(Asked {
            key: self.key(x),
            process: self.conn.process,
            context: head.context,
            at: head.at,
            http: HttpFacts::of(head, self.conn.tls),
            trace: TraceContext::from_headers(&head.headers),
        })));
    }

    /// Lets the exchange `x` do something, and takes what comes of it.
    fn with(&mut self, x: ExchangeIndex, act: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.exchanges.iter_mut().rev().find(|e| e.index() == x) {
            act(exchange);
            exchange.settle(&self.conn, &mut self.outputs);
            self.idle = exchange.is_no_call();
        }
    }
}

impl Handler for Reader {
    fn request_head(&mut self, x: ExchangeIndex, head: &RequestHead<'_>, role: Role) -> Interest {
        self.serves = role == Role::Server;
        if self.serves {
            self.asked(x, head);
        }
        let mut exchange = match Exchange::open(x, head, role, &self.conn, self.options) {
            Some(exchange) if self.exchanges.len() < MAX_EXCHANGES => exchange,
            _ => {
                self.idle = true;
                return Interest::Heads;
            }
        };
        exchange.settle(&self.conn, &mut self.outputs);
        self.exchanges.push(exchange);
        self.idle = false;
        Interest::Full
    }

    fn request_body(&mut self, x: ExchangeIndex, piece: Piece<'_>, _at: Nanos) {
        self.with(x, |exchange| exchange.request_body(piece));
    }

    fn request_end(&mut self, x: ExchangeIndex, _at: Nanos) {
        self.with(x, Exchange::request_end);
        if self.serves {
            let exchange = self.exchanges.iter().rev().find(|e| e.index() == x);
            let inner = exchange.and_then(Exchange::inner_trace).map(Box::new);
            self.outputs.push(Output::Read(self.key(x), inner));
        }
    }

    fn response_head(&mut self, x: ExchangeIndex, head: &ResponseHead<'_>) {
        if self.serves {
            self.outputs.push(Output::Answered(Answered {
                key: self.key(x),
                context: head.context,
                at: head.at,
                status: head.status,
            }));
        }
        self.with(x, |exchange| exchange.response_head(head));
    }

    fn response_body(&mut self, x: ExchangeIndex, piece: Piece<'_>, at: Nanos) {
        self.with(x, |exchange| exchange.response_body(piece, at));
    }

    fn response_blurred(&mut self, x: ExchangeIndex, at: Nanos) {
        if self.serves {
            self.outputs.push(Output::Blurred(self.key(x), at));
        }
    }

    fn end(&mut self, x: ExchangeIndex, end: End, at: Nanos) {
        self.with(x, |exchange| exchange.end(end, at));
        self.exchanges.retain(|exchange| exchange.index() != x);
        if self.serves {
            self.outputs.push(Output::Over(self.key(x), end, at));
        }
    }
}
