//! Holes, closes, and how exchanges end by them.

use super::connection::{Connection, Side};
use super::half::Place;
use super::{End, Handler};
use crate::ids::{Direction, Nanos, Role};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The observed process closed it.
    Local,
    /// The peer did, or the network: a reset.
    Peer,
    /// The observed process ended.
    Exit,
}

impl Connection {
    /// `n` bytes of `direction` moved and were not captured.
    ///
    /// In a body of known length, in one that the close ends, or inside one chunk (with
    /// its line end) they are counted off. Elsewhere in a chunked body the chunks are lost sight of: from there on all
    /// is handed on as a gap, until a record begins with a plausible chunk or ends with the last
    /// one. If neither comes, the exchange ends as [`End::Lost`] with the next request, at its
    /// last byte that was seen. In a head the message is given up.
    pub fn gap<H: Handler>(&mut self, direction: Direction, n: u64, at: Nanos, handler: &mut H) {
        if n == 0 {
            return;
        }
        match self.side(direction) {
            None => self.gap_in_heads(direction),
            Some(Side::Request) => self.gap_in_requests(n, at, handler),
            Some(Side::Response) => self.gap_in_responses(n, at, handler),
        }
    }

    /// The sender of `direction` will send no more.
    pub fn half_closed<H: Handler>(&mut self, direction: Direction, at: Nanos, handler: &mut H) {
        self.first_closed.get_or_insert(direction);
        match self.side(direction) {
            None => self.halves[direction.index()].go(Place::Ignored),
            Some(Side::Request) => {
                self.requests_ended(at, handler);
                self.half(Side::Request).go(Place::Ignored);
            }
            Some(Side::Response) => {
                self.responses_ended(End::ServerGone, at, handler);
                self.ignore(self.protocol);
            }
        }
    }

    /// The connection is gone.
    pub fn closed<H: Handler>(&mut self, at: Nanos, why: Closed, handler: &mut H) {
        let end = match (why, self.first_closed.and_then(|first| self.side(first))) {
            (Closed::Exit, _) => End::ProcessGone,
            (_, Some(Side::Request)) => End::ClientGone,
            (_, Some(Side::Response)) => End::ServerGone,
            (Closed::Local, None) => gone(self.role),
            (Closed::Peer, None) => gone(self.role.map(|role| match role {
                Role::Client => Role::Server,
                Role::Server => Role::Client,
            })),
        };
        self.responses_ended(end, at, handler);
        self.ignore(self.protocol);
    }

    fn gap_in_heads(&mut self, direction: Direction) {
        self.request_missed = true;
        let half = &mut self.halves[direction.index()];
        if !matches!(half.place, Place::Ignored) {
            half.go(Place::Search);
        }
    }

    fn gap_in_requests<H: Handler>(&mut self, n: u64, at: Nanos, handler: &mut H) {
        let sending = self.sending;
        let mut left = n;
        if let Place::Body(body) = &mut self.half(Side::Request).place {
            let was_lost = body.is_lost();
            let progress = body.gap(n, &mut |piece| {
                if let Some(index) = sending {
                    handler.request_body(index, piece, at);
                }
            });
            left -= progress.used;
            let newly_lost = body.is_lost() && !was_lost;
            self.begin_sending();
            if progress.done {
                self.finish_request(at, handler);
            } else if newly_lost {
                self.lose_request_end(at, handler);
            }
        }
        let requests = self.half(Side::Request);
        if left > 0 && !matches!(requests.place, Place::Ignored | Place::Body(_)) {
            requests.go(Place::Search);
            self.request_missed = true;
        }
    }

    fn gap_in_responses<H: Handler>(&mut self, n: u64, at: Nanos, handler: &mut H) {
        let index = self.exchanges.front().map(|exchange| exchange.index);
        let mut left = n;
        if let Place::Body(body) = &mut self.half(Side::Response).place {
            let was_lost = body.is_lost();
            let progress = body.gap(n, &mut |piece| {
                if let Some(index) = index {
                    handler.response_body(index, piece, at);
                }
            });
            left -= progress.used;
            let newly_lost = body.is_lost() && !was_lost;
            self.losses.chunks += u32::from(newly_lost);
            if progress.done {
                self.finish_response(at, handler);
            } else if let Some(index) = index.filter(|_| newly_lost) {
                handler.response_blurred(index, at);
            }
        }
        if left > 0 && matches!(self.half(Side::Response).place, Place::Head | Place::Search) {
            self.lose_response(at, handler);
        }
    }

    /// The client sends no more; it may still be waiting for the response.
    fn requests_ended<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        let Place::Body(body) = &self.half(Side::Request).place else {
            return;
        };
        if body.ends_with_connection() {
            self.finish_request(at, handler);
        } else if self
            .exchanges
            .front()
            .is_some_and(|exchange| exchange.answered)
        {
            self.end_front(End::Complete, at, handler);
        }
    }

    /// No more of any response will come.
    fn responses_ended<H: Handler>(&mut self, end: End, at: Nanos, handler: &mut H) {
        // A client that goes before the server does has not waited for the end.
        let by_server = end == End::ServerGone || self.first_closed.is_none();
        let responses = self.half(Side::Response);
        let last = responses.last;
        match &responses.place {
            Place::Body(_) if end == End::ProcessGone => {}
            Place::Body(body) if body.ends_with_connection() && by_server => {
                self.finish_response(at, handler);
            }
            Place::Body(body) if body.is_lost() => self.end_front(End::Lost, last, handler),
            _ => {}
        }
        self.end_all(end, at, handler);
    }

    /// The response that is due cannot be read, nor can it be told where it ends. Of several
    /// that are due none can be told from the others.
    pub(super) fn lose_response<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        self.streaming = false;
        if self.exchanges.len() > 1 {
            self.losses.pipelines += 1;
            self.give_up(at, handler);
            return;
        }
        self.half(Side::Response).go(Place::Search);
        self.end_all(End::Lost, at, handler);
    }

    /// Reads nothing more.
    pub(super) fn give_up<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        self.end_all(End::Lost, at, handler);
        self.ignore(self.protocol);
    }

    /// Ends every exchange: those that have their response as complete, the others as `end`.
    pub(super) fn end_all<H: Handler>(&mut self, end: End, at: Nanos, handler: &mut H) {
        while let Some(answered) = self.exchanges.front().map(|exchange| exchange.answered) {
            self.end_front(if answered { End::Complete } else { end }, at, handler);
        }
    }

    /// Ends the oldest exchange. Of a request that is still on its way nothing more is told.
    pub(super) fn end_front<H: Handler>(&mut self, end: End, at: Nanos, handler: &mut H) {
        let Some(exchange) = self.exchanges.pop() else {
            return;
        };
        if self.sending == Some(exchange.index) {
            self.sending = None;
            if let Place::Body(body) = &mut self.half(Side::Request).place {
                body.forget();
            }
        }
        handler.end(exchange.index, end, at);
    }
}

/// How an exchange ends when `who` closes the connection in the middle of it.
const fn gone(who: Option<Role>) -> End {
    match who {
        Some(Role::Server) => End::ServerGone,
        Some(Role::Client) | None => End::ClientGone,
    }
}
