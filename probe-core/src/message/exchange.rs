//! The exchanges of a connection that are not over yet.

use std::collections::VecDeque;

use super::{ExchangeIndex, Interest, RequestHead};

/// How many requests may wait for their response on one connection.
pub(super) const MAX_WAITING: usize = 64;
/// With fewer slots than this, an empty queue keeps its memory.
const KEPT_SLOTS: usize = 4;

/// One exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) index: ExchangeIndex,
    pub(super) interest: Interest,
    pub(super) method: Method,
    pub(super) request: RequestState,
    /// The response's head was seen.
    pub(super) answering: bool,
    /// The response's last byte was seen.
    pub(super) answered: bool,
}

/// The methods whose responses are framed differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Connect,
    Other,
}

/// How far the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestState {
    /// Nothing of its body came yet, and the client may be waiting for a 100 to send it.
    Waiting,
    /// Its body is on the way.
    Open,
    /// Its last byte was seen, or will never be.
    Over,
}

impl Exchange {
    pub(super) fn new(index: ExchangeIndex, interest: Interest, head: &RequestHead<'_>) -> Self {
        let method = match head.method {
            "HEAD" => Method::Head,
            "CONNECT" => Method::Connect,
            _ => Method::Other,
        };
        let request = RequestState::Open;
        Self {
            index,
            interest,
            method,
            request,
            answering: false,
            answered: false,
        }
    }
}

/// Exchanges in the order of their requests.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    queue: VecDeque<Exchange>,
}

impl Exchanges {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn push(&mut self, exchange: Exchange) {
        self.queue.push_back(exchange);
    }

    /// The exchange that a response belongs to, whole or under way: the oldest.
    pub(super) fn front(&mut self) -> Option<&mut Exchange> {
        self.queue.front_mut()
    }

    /// The exchange of the latest request.
    pub(super) fn back(&mut self) -> Option<&mut Exchange> {
        self.queue.back_mut()
    }

    /// The oldest exchange, if its response is still to come or under way.
    pub(super) fn unanswered(&mut self) -> Option<&mut Exchange> {
        self.queue.front_mut().filter(|exchange| !exchange.answered)
    }

    pub(super) fn pop(&mut self) -> Option<Exchange> {
        let exchange = self.queue.pop_front();
        if self.queue.is_empty() && self.queue.capacity() > KEPT_SLOTS {
            self.queue = VecDeque::new();
        }
        exchange
    }
}
