//! One HTTP exchange with JSON-RPC messages.

use std::collections::VecDeque;

use super::{Evidence, Field, Message, Part, Protocol};
use crate::call::body::{Body, Event, EventSink, Framing};
use crate::call::failure;
use crate::call::reading::{Finished, Head, Reading, Verdict};
use crate::call::{CallError, Timing};
use crate::ids::Nanos;
use crate::json::{At, Value};
use crate::message::{End, Piece, ResponseHead};
use crate::trace_context::TraceContext;

/// The most parts of an exchange.
const MAX_PARTS: usize = 64;

/// Reads the messages of one exchange.
pub(in crate::call) struct RpcReading {
    verdict: Verdict,
    request_body: Option<Box<Body>>,
    response_body: Option<Box<Body>>,
    messages: Box<Messages>,
    status: Option<u16>,
    over: bool,
}

/// What was read so far.
struct Messages {
    protocol: &'static Protocol,
    evidence: Evidence,
    content_cap: usize,
    /// The message under way.
    message: Message,
    /// It is inside the answer.
    answering: bool,
    answer_streams: bool,
    parts: Vec<Part>,
    /// Parts that are over.
    finished: VecDeque<Finished>,
    timing: Timing,
    now: Nanos,
    limited: bool,
}

impl RpcReading {
    /// A reading of a request whose body will tell whether it is the protocol's.
    pub(in crate::call) fn new(
        protocol: &'static Protocol,
        evidence: Evidence,
        head: &Head<'_>,
    ) -> Self {
        Self {
            verdict: Verdict::Open,
            request_body: Some(Box::new(Body::new(Framing::Json, head.content_cap))),
            response_body: None,
            messages: Box::new(Messages {
                protocol,
                evidence,
                content_cap: head.content_cap,
                message: Message::default(),
                answering: false,
                answer_streams: false,
                parts: Vec::new(),
                finished: VecDeque::new(),
                timing: Timing::default(),
                now: 0,
                limited: false,
            }),
            status: None,
            over: false,
        }
    }

    /// A reading of a request whose head tells all.
    pub(in crate::call) fn sure(
        protocol: &'static Protocol,
        evidence: Evidence,
        head: &Head<'_>,
    ) -> Self {
        let mut reading = Self::new(protocol, evidence, head);
        reading.messages.parts.push(Part::new(Message {
            method: reading.messages.evidence.method.clone(),
            ..Message::default()
        }));
        reading.verdict = Verdict::Call;
        reading
    }

    fn decide(&mut self) {
        if self.verdict == Verdict::Open && self.messages.known_parts() > 0 {
            self.verdict = Verdict::Call;
        }
    }
}

impl Reading for RpcReading {
    fn request_body(&mut self, piece: Piece<'_>) {
        let Some(body) = &mut self.request_body else {
            return;
        };
        let messages = &mut *self.messages;
        match piece {
            Piece::Bytes(bytes) => body.feed(&messages.protocol.schema, bytes, messages),
            Piece::Gap(_) => body.gap(messages),
            Piece::Undecodable => {}
        }
        self.decide();
    }

    fn request_end(&mut self) {
        if let Some(mut body) = self.request_body.take() {
            let messages = &mut *self.messages;
            body.finish(&messages.protocol.schema, messages);
            messages.limited |= body.limited();
            // Of a message that is cut short, what it is may yet be known.
            messages.close();
            self.decide();
            if self.verdict == Verdict::Open {
                self.verdict = Verdict::NoCall;
            }
        }
    }

    fn response_head(&mut self, head: &ResponseHead<'_>) {
        self.request_end();
        let messages = &mut *self.messages;
        let framing = Framing::of(&head.headers);
        self.status = Some(head.status);
        messages.timing.head(head.at, framing);
        messages.answering = true;
        if let Some(session) = head.headers.get("mcp-session-id")
            && session.len() <= 256
        {
            messages.evidence.session_id = Some(session.to_owned());
        }
        self.response_body = Some(Box::new(Body::new(framing, messages.content_cap)));
    }

    fn response_body(&mut self, piece: Piece<'_>, at: Nanos) {
        let Some(body) = &mut self.response_body else {
            return;
        };
        let messages = &mut *self.messages;
        messages.now = at;
        if let Piece::Bytes(bytes) = piece {
            body.look(bytes);
            if body.is_blank() {
                return;
            }
        }
        messages.answer_streams = body.framing().is_stream();
        messages.timing.stream = messages.answer_streams;
        if !messages.answer_streams {
            messages.timing.plain_bytes(at);
        }
        match piece {
            Piece::Bytes(bytes) => body.feed(&messages.protocol.schema, bytes, messages),
            Piece::Gap(_) => body.gap(messages),
            Piece::Undecodable => {}
        }
    }

    fn end(&mut self, end: End, at: Nanos) {
        self.request_end();
        let messages = &mut *self.messages;
        if let Some(mut body) = self.response_body.take() {
            messages.now = messages.timing.last_chunk.unwrap_or(at);
            body.finish(&messages.protocol.schema, messages);
            messages.limited |= body.limited();
        }
        let by_end = failure::of_status(self.status).or_else(|| failure::of_end(end));
        for part in 0..messages.parts.len() {
            messages.finish(part, end, at, by_end.clone());
        }
        self.over = true;
    }

    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn parts(&self) -> u32 {
        self.messages.known_parts()
    }

    fn inner_trace(&self) -> Option<TraceContext> {
        self.messages.parts.first()?.trace()
    }

    fn streams(&self) -> bool {
        self.messages.timing.stream && !self.over
    }

    fn is_over(&self) -> bool {
        self.over && self.messages.finished.is_empty()
    }

    fn finished(&mut self) -> Option<Finished> {
        self.messages.finished.pop_front()
    }
}

impl Messages {
    /// The parts of the request, with the one under way if it is known to be one.
    fn known_parts(&self) -> u32 {
        let open = !self.answering && self.parts.len() < MAX_PARTS && self.is_request();
        let known = self.parts.iter().filter(|part| !part.reversed).count();
        known as u32 + u32::from(open)
    }

    fn is_request(&self) -> bool {
        (self.protocol.recognises)(&self.message, &self.evidence)
    }

    /// The message under way is complete.
    fn close(&mut self) {
        if self.answering {
            self.close_answer();
            return;
        }
        if self.is_request() {
            let mut message = std::mem::take(&mut self.message);
            message.method = message.method.or(self.evidence.method.clone());
            message.name = message.name.or(self.evidence.name.clone());
            self.limited |= message.limited;
            if self.parts.len() < MAX_PARTS {
                self.parts.push(Part::new(message));
            } else {
                self.limited = true;
            }
        }
        self.message = Message::default();
    }

    fn close_answer(&mut self) {
        let message = std::mem::take(&mut self.message);
        if message.is_answer() || (self.evidence.rest && message.method.is_none()) {
            self.answer(message);
        } else if message.id.is_some()
            && self.protocol.reverses
            && self.parts.len() < MAX_PARTS
            && (self.protocol.recognises)(&message, &self.evidence)
        {
            // The peer's answer goes its own way, in a request of its own: what is known of this
            // call is that it was asked.
            let mut part = Part::new(message);
            part.reversed = true;
            self.parts.push(part);
            self.finish(self.parts.len() - 1, End::Complete, self.now, None);
        }
    }

    fn answer(&mut self, message: Message) {
        let mut open = (self.parts.iter())
            .enumerate()
            .filter(|(_, p)| !p.finished && !p.reversed);
        let by_id = open.clone().find(|(_, part)| part.request.id == message.id);
        // An error about a message that was not understood names no id.
        let only = || {
            open.next()
                .filter(|_| message.id.is_none() && open.next().is_none())
        };
        let Some((part, _)) = by_id.or_else(only) else {
            return;
        };
        let method = self.parts[part]
            .request
            .method
            .as_deref()
            .unwrap_or_default();
        let last = !(self.answer_streams && (self.protocol.streams)(method));
        let last = last || message.is_final || message.has_error;
        self.parts[part].answered(message);
        if last {
            self.finish(part, End::Complete, self.now, None);
        }
    }

    /// Reports a part that is not reported yet. `by_end` is the error that the exchange's end
    /// is, if nothing better is known.
    fn finish(&mut self, number: usize, ended: End, at: Nanos, by_end: Option<CallError>) {
        let part = &mut self.parts[number];
        if std::mem::replace(&mut part.finished, true) {
            return;
        }
        let content = (self.content_cap > 0).then(|| Box::new((self.protocol.content)(part)));
        let error = part
            .rpc_error()
            .or_else(|| (self.protocol.fails)(part))
            .or(by_end);
        let limited = self.limited | part.request.limited | part.answer.limited;
        let start = part.reversed.then_some(self.now);
        let trace = part.trace();
        let kind = (self.protocol.kind)(part, &self.evidence);
        self.finished.push_back(Finished {
            part: number as u32,
            start,
            end: at,
            ended,
            reversed: part.reversed,
            trace,
            session_id: None,
            kind,
            error,
            timing: if part.reversed {
                Timing::default()
            } else {
                self.timing
            },
            limited,
            content,
        });
        // Only that it was is of interest from here on.
        *part = Part {
            reversed: part.reversed,
            finished: true,
            ..Part::default()
        };
    }
}

impl EventSink<Field> for Messages {
    fn value(&mut self, field: Field, _at: At<'_>, value: Value<'_>) {
        if field != Field::Message {
            self.message.value(field, &value, self.content_cap);
        } else if value == Value::Close {
            // In a stream an event is over at its blank line, not at its last bracket.
            if !self.answer_streams {
                self.close();
            }
        }
    }

    fn event(&mut self, event: Event) {
        if self.answer_streams {
            if let Event::Json { .. } = event {
                let output = self.message.has_result;
                self.timing.event(self.now, output);
            }
            self.close();
        } else if event == Event::Other {
            self.message = Message::default();
        }
    }

    fn lost(&mut self) {
        self.message = Message::default();
    }
}
