//! One exchange: the dialects that may speak in it, then the one that does.

use std::fmt;

use super::reader::Conn;
use super::reading::{Finished, Head, Reading, Verdict};
use super::{Call, CallKey, Capture, HttpFacts, Options, Output, Started, dialect, target};
use crate::ids::{Context, Nanos, Role};
use crate::message::{End, ExchangeIndex, Piece, RequestHead, ResponseHead};
use crate::trace_context::TraceContext;

/// How much of a request's body is read while it is open whether it is a call: old clients of MCP
/// send nothing but the body, with `jsonrpc` behind their arguments.
const MAX_UNDECIDED: usize = 1 << 20;

/// An exchange that is, or may be, a call.
pub(super) struct Exchange {
    index: ExchangeIndex,
    role: Role,
    context: Context,
    response_context: Option<Context>,
    start: Nanos,
    http: HttpFacts,
    trace: Option<TraceContext>,
    capture: Capture,
    state: State,
    readings: Vec<Box<dyn Reading>>,
    /// How many parts were reported as started, and as finished.
    started: u32,
    finished: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Several dialects may still recognise it; so many bytes of the body were looked at.
    Undecided(usize),
    /// `readings` holds the one dialect.
    Call,
    /// All is reported that will be.
    Over,
    NoCall,
}

impl Exchange {
    /// Opens the exchange if its head may be that of a call.
    pub(super) fn open(
        index: ExchangeIndex,
        head: &RequestHead<'_>,
        role: Role,
        conn: &Conn,
        options: Options,
    ) -> Option<Self> {
        let (path, authority) = target::split(head.target);
        let host = authority
            .or_else(|| head.headers.get("host"))
            .and_then(target::host_port)
            .map(|(host, _)| host);
        let view = Head::new(head, path, host, options.content_cap);
        let readings = dialect::candidates(&view);
        if readings.is_empty() {
            return None;
        }
        Some(Self {
            index,
            role,
            context: head.context,
            response_context: None,
            start: head.at,
            http: HttpFacts::of(head, conn.tls),
            trace: TraceContext::from_headers(&head.headers),
            capture: Capture::default(),
            state: State::Undecided(0),
            readings,
            started: 0,
            finished: 0,
        })
    }

    pub(super) const fn index(&self) -> ExchangeIndex {
        self.index
    }

    /// Whether the bodies are still of use.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Undecided(_) | State::Call)
    }

    pub(super) fn is_no_call(&self) -> bool {
        self.state == State::NoCall
    }

    /// Whether the answer is a call's stream.
    pub(super) fn streams(&self) -> bool {
        self.state == State::Call && self.readings.iter().any(|reading| reading.streams())
    }

    pub(super) fn request_body(&mut self, piece: Piece<'_>) {
        self.note(piece);
        for reading in &mut self.readings {
            reading.request_body(piece);
        }
        if let (State::Undecided(seen), Piece::Bytes(bytes)) = (&mut self.state, piece) {
            *seen += bytes.len();
        }
    }

    pub(super) fn request_end(&mut self) {
        for reading in &mut self.readings {
            reading.request_end();
        }
    }

    /// The trace context inside the request's body, once that is complete.
    pub(super) fn inner_trace(&self) -> Option<TraceContext> {
        let reading = self
            .readings
            .first()
            .filter(|_| self.state == State::Call)?;
        reading.inner_trace()
    }

    pub(super) fn response_head(&mut self, head: &ResponseHead<'_>) {
        self.response_context = Some(head.context);
        self.http.answer(head);
        for reading in &mut self.readings {
            reading.response_head(head);
        }
    }

    pub(super) fn response_body(&mut self, piece: Piece<'_>, at: Nanos) {
        self.note(piece);
        for reading in &mut self.readings {
            reading.response_body(piece, at);
        }
    }

    pub(super) fn end(&mut self, end: End, at: Nanos) {
        for reading in &mut self.readings {
            reading.end(end, at);
        }
        if let State::Undecided(_) = self.state
            && !self.readings.iter().any(|r| r.verdict() == Verdict::Call)
        {
            self.close(State::NoCall);
        }
    }

    /// Counts what the capture missed, as long as it hurts a call.
    fn note(&mut self, piece: Piece<'_>) {
        if !self.is_open() {
            return;
        }
        match piece {
            Piece::Bytes(_) => {}
            Piece::Gap(bytes) => {
                self.capture.missed_bytes = self.capture.missed_bytes.saturating_add(bytes);
            }
            Piece::Undecodable => self.capture.undecodable = true,
        }
    }

    /// Decides if it can be decided, and reports what began and what is over.
    pub(super) fn settle(&mut self, conn: &Conn, outputs: &mut Vec<Output>) {
        if let State::Undecided(seen) = self.state {
            self.decide(seen);
        }
        if self.state != State::Call {
            return;
        }
        let Some(reading) = self.readings.first_mut() else {
            return;
        };
        let parts = reading.parts();
        while self.started < parts {
            let started = self.begin(conn, self.started, None);
            outputs.push(Output::Started(started));
            self.started += 1;
        }
        while let Some(finished) = self.readings.first_mut().and_then(|r| r.finished()) {
            self.conclude(conn, finished, outputs);
        }
        if self.finished > 0 && self.readings.first().is_some_and(|r| r.is_over()) {
            self.close(State::Over);
        }
    }

    fn decide(&mut self, seen: usize) {
        let verdict = |reading: &dyn Reading| reading.verdict();
        if let Some(at) = (self.readings.iter()).position(|r| verdict(r.as_ref()) == Verdict::Call)
        {
            self.readings.swap(0, at);
            self.readings.truncate(1);
            self.state = State::Call;
            return;
        }
        self.readings
            .retain(|reading| verdict(reading.as_ref()) == Verdict::Open);
        if self.readings.is_empty() || seen > MAX_UNDECIDED {
            self.close(State::NoCall);
        }
    }

    fn close(&mut self, state: State) {
        self.readings = Vec::new();
        self.state = state;
    }

    fn begin(&self, conn: &Conn, part: u32, finished: Option<&Finished>) -> Started {
        let reversed = finished.is_some_and(|finished| finished.reversed);
        Started {
            key: self.key(conn, part),
            role: if reversed {
                self.role.flip()
            } else {
                self.role
            },
            process: conn.process,
            context: self.context,
            at: finished.and_then(|f| f.start).unwrap_or(self.start),
            header_trace: self.trace.clone(),
        }
    }

    fn conclude(&mut self, conn: &Conn, finished: Finished, outputs: &mut Vec<Output>) {
        let started = self.begin(conn, finished.part, Some(&finished));
        if finished.part >= self.started {
            self.started = finished.part + 1;
            outputs.push(Output::Started(started.clone()));
        }
        self.finished += 1;
        let mut http = self.http.clone();
        http.session_id = http.session_id.or(finished.session_id);
        let (trace, header_trace) = match finished.trace {
            Some(own) => (Some(own), self.trace.clone()),
            None => (self.trace.clone(), None),
        };
        let limited = finished.limited;
        outputs.push(Output::Finished(Box::new(Call {
            key: started.key,
            process: conn.process,
            role: started.role,
            context: self.context,
            response_context: self.response_context,
            start: started.at,
            end: finished.end,
            ended: finished.ended,
            http,
            trace,
            header_trace,
            timing: finished.timing,
            kind: finished.kind,
            error: finished.error,
            capture: Capture {
                limited,
                ..self.capture
            },
            content: finished.content,
        })));
    }

    const fn key(&self, conn: &Conn, part: u32) -> CallKey {
        CallKey {
            conn: conn.id,
            exchange: self.index,
            part,
        }
    }
}

impl fmt::Debug for Exchange {
    /// Without the readings, which may hold content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("index", &self.index)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
