//! The responses of a connection.

use super::body::Body;
use super::connection::{Connection, Side};
use super::exchange::{Method, RequestState};
use super::framing::{coding, is_event_stream, response_length};
use super::half::{Collected, Place};
use super::head::{Moment, read_response};
use super::start::{Start, judge};
use super::{End, Handler, Interest, ResponseHead};
use crate::ids::Nanos;

impl Connection {
    /// Takes bytes where a response's head is.
    pub(super) fn response_head<H: Handler>(
        &mut self,
        bytes: &[u8],
        start: bool,
        now: Moment,
        handler: &mut H,
    ) -> usize {
        if self.exchanges.unanswered().is_none() {
            self.unasked(bytes, now);
            return bytes.len();
        }
        let (used, collected) =
            self.half(Side::Response)
                .collect(bytes, start, Start::Response, now);
        match collected {
            Collected::More => used,
            Collected::Whole(whole) => {
                let opened =
                    read_response(&whole, |head| self.open_response(head, now.at, handler));
                if opened.is_err() {
                    self.losses.malformed_heads += 1;
                    self.lose_response(now.at, handler);
                }
                used
            }
            Collected::TooLong => {
                self.losses.long_heads += 1;
                self.give_up(now.at, handler);
                bytes.len()
            }
            Collected::Not(_) => {
                self.losses.malformed_heads += 1;
                self.lose_response(now.at, handler);
                used
            }
        }
    }

    /// Bytes of a response that nobody asked for: its request may have been captured on another
    /// thread and come later, or it was missed.
    fn unasked(&mut self, bytes: &[u8], now: Moment) {
        let direction = self.direction(Side::Response);
        let responses = self.half(Side::Response);
        let skipped = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let kind = judge(&bytes[skipped..], false);
        let plausible = matches!(kind, Start::Response | Start::Undecided);
        if responses.partial.is_none() && !plausible {
            responses.go(Place::Search);
        } else if responses.partial.is_some() || skipped < bytes.len() {
            self.keep_early(direction, bytes, now);
        }
    }

    fn open_response<H: Handler>(&mut self, head: &ResponseHead<'_>, at: Nanos, handler: &mut H) {
        let Some(exchange) = self.exchanges.unanswered() else {
            return;
        };
        // Interim responses (100, 102, 103) come before the one that counts.
        if matches!(head.status, 100 | 102..=199) {
            self.half(Side::Response).go(Place::Head);
            return;
        }
        exchange.answering = true;
        let (index, interest, method) = (exchange.index, exchange.interest, exchange.method);
        handler.response_head(index, head);
        if head.status == 101 || (method == Method::Connect && head.status / 100 == 2) {
            self.upgrade(at, handler);
            return;
        }
        let length = response_length(head, method == Method::Head);
        match Body::new(length, coding(&head.headers)) {
            Some(body) => {
                self.streaming = is_event_stream(&head.headers);
                let wanted = interest == Interest::Full;
                let body = if wanted { body } else { body.unwanted() };
                self.half(Side::Response).go(Place::Body(body));
            }
            None => self.finish_response(at, handler),
        }
    }

    /// Takes bytes of a response's body.
    pub(super) fn response_body<H: Handler>(
        &mut self,
        bytes: &[u8],
        start: bool,
        now: Moment,
        handler: &mut H,
    ) -> usize {
        let index = self.exchanges.front().map(|exchange| exchange.index);
        let Place::Body(body) = &mut self.half(Side::Response).place else {
            return bytes.len();
        };
        let was_lost = body.is_lost();
        let progress = body.bytes(bytes, start, &mut |piece| {
            if let Some(index) = index {
                handler.response_body(index, piece, now.at);
            }
        });
        let newly_lost = body.is_lost() && !was_lost;
        self.losses.chunks += u32::from(newly_lost);
        if progress.done {
            self.finish_response(now.at, handler);
        } else if let Some(index) = index.filter(|_| newly_lost) {
            handler.response_blurred(index, now.at);
        }
        progress.used as usize
    }

    /// The response's last byte was seen.
    pub(super) fn finish_response<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        self.streaming = false;
        self.half(Side::Response).go(Place::Head);
        let request_lost =
            matches!(&self.half(Side::Request).place, Place::Body(body) if body.is_lost());
        let sending = self.sending;
        let Some(exchange) = self.exchanges.front() else {
            return;
        };
        exchange.answered = true;
        let refused = exchange.request == RequestState::Waiting;
        if refused || (request_lost && sending == Some(exchange.index)) {
            exchange.request = RequestState::Over;
        }
        if refused {
            // The client may or may not send the body that was refused.
            self.half(Side::Request).go(Place::Search);
        }
        self.end_if_over(at, handler);
    }

    fn upgrade<H: Handler>(&mut self, at: Nanos, handler: &mut H) {
        self.end_front(End::Upgraded, at, handler);
        self.end_all(End::Lost, at, handler);
        self.ignore(self.protocol);
    }
}
