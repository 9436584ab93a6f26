//! The requests of a connection.

use super::body::Body;
use super::connection::{Connection, Protocol, Side};
use super::exchange::{Exchange, MAX_WAITING, RequestState};
use super::framing::{Length, coding, expects_continue, request_length};
use super::half::{Collected, Place};
use super::head::{Malformed, Moment, Whole, read_request};
use super::start::{Start, judge};
use super::{End, Handler, Interest, RequestHead};
use crate::ids::{Direction, Nanos, Role};

impl Connection {
    /// Takes bytes where a request's head is.
    pub(super) fn request_head<H: Handler>(
        &mut self,
        bytes: &[u8],
        start: bool,
        now: Moment,
        handler: &mut H,
    ) -> usize {
        let (used, collected) = self
            .half(Side::Request)
            .collect(bytes, start, Start::Request, now);
        let direction = self.direction(Side::Request);
        match collected {
            Collected::More => used,
            Collected::Whole(whole) => {
                if self.begin_request(direction, &whole, now, handler).is_err() {
                    self.lose_requests();
                }
                used
            }
            Collected::TooLong => {
                self.losses.long_heads += 1;
                self.give_up(now.at, handler);
                bytes.len()
            }
            Collected::Not(_) => {
                self.lose_requests();
                // Nothing of the record was kept if all of it may be looked at again.
                used
            }
        }
    }

    /// A whole head that begins like a request's. `direction` is the one that it came in.
    pub(super) fn begin_request<H: Handler>(
        &mut self,
        direction: Direction,
        whole: &Whole<'_>,
        now: Moment,
        handler: &mut H,
    ) -> Result<(), Malformed> {
        let role = match direction {
            Direction::In => Role::Server,
            Direction::Out => Role::Client,
        };
        read_request(whole, |head| {
            self.open_exchange(role, head, now.at, handler);
        })?;
        let responses = self.half(Side::Response);
        if matches!(responses.place, Place::Head)
            && let Some(early) = responses.partial.take()
        {
            self.feed(direction.flip(), &early.bytes, early.moment, handler);
        }
        Ok(())
    }

    fn open_exchange<H: Handler>(
        &mut self,
        role: Role,
        head: &RequestHead<'_>,
        at: Nanos,
        handler: &mut H,
    ) {
        self.role = Some(role);
        self.protocol = Protocol::Http1;
        self.settle_responses(handler);
        if self.exchanges.len() >= MAX_WAITING {
            self.losses.pipelines += 1;
            self.give_up(at, handler);
        }
        if matches!(self.half(Side::Request).place, Place::Ignored) {
            return;
        }
        let index = self.next;
        self.next += 1;
        let interest = handler.request_head(index, head, role);
        let mut exchange = Exchange::new(index, interest, head);
        let length = request_length(&head.headers);
        let body = match length {
            Length::Unknown => None,
            length => Body::new(length, coding(&head.headers)),
        };
        let requests = self.half(Side::Request);
        let Some(body) = body else {
            exchange.request = RequestState::Over;
            requests.go(if length == Length::Unknown {
                Place::Search
            } else {
                Place::Head
            });
            self.exchanges.push(exchange);
            handler.request_end(index, at);
            return;
        };
        if expects_continue(&head.headers) {
            exchange.request = RequestState::Waiting;
        }
        let wanted = interest == Interest::Full;
        requests.go(Place::Body(if wanted { body } else { body.unwanted() }));
        self.exchanges.push(exchange);
        self.sending = Some(index);
    }

    /// A client that asks again has its earlier answer: one whose end a hole hid is over, and
    /// one to a request that a hole swallowed has passed.
    fn settle_responses<H: Handler>(&mut self, handler: &mut H) {
        let missed = self.request_missed && self.exchanges.len() == 0;
        let responses = self.half(Side::Response);
        match &responses.place {
            Place::Body(body) if body.is_lost() => {
                let last = responses.last;
                self.lose_response(last, handler);
            }
            Place::Head if missed => responses.go(Place::Search),
            _ => {}
        }
        self.request_missed = false;
    }

    /// Takes bytes of a request's body.
    pub(super) fn request_body<H: Handler>(
        &mut self,
        bytes: &[u8],
        start: bool,
        now: Moment,
        handler: &mut H,
    ) -> usize {
        let sending = self.sending;
        let requests = self.half(Side::Request);
        let Place::Body(body) = &mut requests.place else {
            return bytes.len();
        };
        if body.is_lost() && start && judge(bytes, true) == Start::Request {
            requests.go(Place::Head);
            self.sending = None;
            self.request_is_over();
            return 0;
        }
        let was_lost = body.is_lost();
        let progress = body.bytes(bytes, start, &mut |piece| {
            if let Some(index) = sending {
                handler.request_body(index, piece, now.at);
            }
        });
        let is_lost = body.is_lost();
        self.begin_sending();
        if progress.done {
            self.finish_request(now.at, handler);
        } else if is_lost && !was_lost {
            self.lose_request_end(now.at, handler);
        }
        progress.used as usize
    }

    /// The request's last byte was seen.
    pub(super) fn finish_request<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        self.half(Side::Request).go(Place::Head);
        if let Some(index) = self.sending.take() {
            handler.request_end(index, at);
            self.request_is_over();
            self.end_if_over(at, handler);
        }
    }

    /// The request's end will not be seen, or not be known for what it is.
    pub(super) fn lose_request_end<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        self.losses.chunks += 1;
        let answered = self
            .exchanges
            .back()
            .is_some_and(|exchange| exchange.answered);
        if self.sending.is_some() && answered {
            self.request_is_over();
            self.end_if_over(at, handler);
        }
    }

    /// The client sends its body: it does not wait for a 100, or it has got it.
    pub(super) fn begin_sending(&mut self) {
        if self.sending.is_some()
            && let Some(exchange) = self.exchanges.back()
            && exchange.request == RequestState::Waiting
        {
            exchange.request = RequestState::Open;
        }
    }

    fn request_is_over(&mut self) {
        if let Some(exchange) = self.exchanges.back() {
            exchange.request = RequestState::Over;
        }
    }

    /// Ends the oldest exchange if nothing more of it is to come.
    pub(super) fn end_if_over<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        let over =
            |exchange: &mut Exchange| exchange.answered && exchange.request == RequestState::Over;
        if self.exchanges.front().is_some_and(over) {
            self.end_front(End::Complete, at, handler);
        }
    }

    /// Where a request should begin stands something else.
    fn lose_requests(&mut self) {
        self.losses.malformed_heads += 1;
        self.request_missed = true;
        self.half(Side::Request).go(Place::Search);
    }
}
