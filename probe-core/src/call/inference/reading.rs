//! One model call, from its request's head to its answer's last byte.

use super::Rules;
use super::finish::{self, Outcome};
use super::request::Request;
use super::response::Response;
use crate::call::body::{Body, Framing};
use crate::call::provider;
use crate::call::reading::{Finished, Head, Reading, Verdict};
use crate::call::{CallKind, Content, Timing};
use crate::ids::Nanos;
use crate::message::{End, Piece, ResponseHead};

/// Reads a model call by the rules of its format.
pub(in crate::call) struct InferenceReading {
    rules: &'static Rules,
    place: Box<Place>,
    verdict: Verdict,
    request: Request,
    request_body: Option<Box<Body>>,
    response: Response,
    response_body: Option<Box<Body>>,
    content_cap: usize,
    status: Option<u16>,
    timing: Timing,
    holes: bool,
    finished: Option<Finished>,
    over: bool,
}

/// Where the request goes: the provider depends on it.
struct Place {
    host: Option<String>,
    path: String,
}

impl InferenceReading {
    /// A reading of a request whose head tells that it is a call.
    pub(in crate::call) fn sure(rules: &'static Rules, head: &Head<'_>) -> Self {
        Self {
            verdict: Verdict::Call,
            ..Self::by_body(rules, head)
        }
    }

    /// A reading of a request whose body will tell.
    pub(in crate::call) fn by_body(rules: &'static Rules, head: &Head<'_>) -> Self {
        let cap = head.content_cap;
        Self {
            rules,
            place: Box::new(Place {
                host: head.host.map(str::to_owned),
                path: head.path.chars().take(512).collect(),
            }),
            verdict: Verdict::Open,
            request: Request::new(cap),
            request_body: Some(Box::new(Body::new(Framing::Json, cap))),
            response: Response::new(rules, cap),
            response_body: None,
            content_cap: cap,
            status: None,
            timing: Timing::default(),
            holes: false,
            finished: None,
            over: false,
        }
    }

    /// The request's model, where the path names it.
    pub(in crate::call) fn with_model(mut self, model: Option<&str>) -> Self {
        self.request.model = model.map(|model| model.chars().take(128).collect());
        self
    }

    /// The request asks for a stream unless it says otherwise.
    pub(in crate::call) fn streams_by_default(mut self) -> Self {
        self.request.params.stream = true;
        self
    }

    fn decide(&mut self) {
        let shapes = self.rules.shapes;
        if self.verdict == Verdict::Open && shapes.iter().any(|s| self.request.has_all(s)) {
            self.verdict = Verdict::Call;
        }
    }

    fn conclude(&mut self, ended: End, at: Nanos) {
        if self.over {
            return;
        }
        self.over = true;
        self.request_end();
        if let Some(body) = self.response_body.take() {
            self.response.limited |= body.limited();
        }
        let outcome = Outcome {
            status: self.status,
            ended,
            stream: self.timing.stream,
            holes: self.holes,
        };
        let format = self.response.format;
        let provider = provider::name(self.place.host.as_deref(), &self.place.path, format);
        let limited = self.request.limited | self.response.limited | self.response.tools.limited;
        let reasons = finish::reasons(&self.response, outcome);
        let content = self.content(&reasons);
        let error = finish::failure(&mut self.response, outcome);
        let session_id = self.request.session.take();
        let (request, response) = (&mut self.request, &mut self.response);
        let inference = finish::inference(self.rules, provider, request, response, reasons);
        self.finished = Some(Finished {
            part: 0,
            start: None,
            end: at,
            ended,
            reversed: false,
            trace: None,
            session_id,
            kind: CallKind::Inference(Box::new(inference)),
            error,
            timing: self.timing,
            limited,
            content,
        });
    }

    fn content(&mut self, reasons: &[String]) -> Option<Box<Content>> {
        let (input, output) = (self.request.content.take()?, self.response.content.take()?);
        let (input_messages, system_instructions) = input.render();
        Some(Box::new(Content {
            system_instructions,
            input_messages,
            output_messages: output.render(reasons, &self.response.tools),
            tool_arguments: None,
            tool_result: None,
            truncated: input.truncated || output.truncated || self.response.tools.truncated,
        }))
    }
}

impl Reading for InferenceReading {
    fn request_body(&mut self, piece: Piece<'_>) {
        let Some(body) = &mut self.request_body else {
            return;
        };
        match piece {
            Piece::Bytes(bytes) => body.feed(&self.rules.request, bytes, &mut self.request),
            Piece::Gap(_) => body.gap(&mut self.request),
            Piece::Undecodable => {}
        }
        self.decide();
    }

    fn request_end(&mut self) {
        if let Some(mut body) = self.request_body.take() {
            body.finish(&self.rules.request, &mut self.request);
            self.request.limited |= body.limited();
            self.decide();
        }
        if self.verdict == Verdict::Open {
            self.verdict = Verdict::NoCall;
        }
    }

    fn response_head(&mut self, head: &ResponseHead<'_>) {
        let framing = Framing::of(&head.headers);
        self.status = Some(head.status);
        self.timing.head(head.at, framing);
        self.response_body = Some(Box::new(Body::new(framing, self.content_cap)));
    }

    fn response_body(&mut self, piece: Piece<'_>, at: Nanos) {
        let Some(body) = &mut self.response_body else {
            return;
        };
        match piece {
            Piece::Bytes(bytes) => {
                body.feed(&self.rules.response, bytes, &mut self.response);
                if body.is_blank() {
                    return;
                }
            }
            Piece::Gap(_) => {
                self.holes = true;
                body.gap(&mut self.response);
            }
            Piece::Undecodable => self.holes = true,
        }
        self.timing.stream = body.framing().is_stream();
        self.note_events(at);
        if self.response.terminal && self.timing.stream && self.verdict == Verdict::Call {
            self.conclude(End::Complete, at);
        }
    }

    fn end(&mut self, end: End, at: Nanos) {
        if let Some(mut body) = self.response_body.take() {
            body.finish(&self.rules.response, &mut self.response);
            self.response.limited |= body.limited();
            self.response.finish();
            if self.timing.stream {
                self.note_events(self.timing.last_chunk.unwrap_or(at));
            }
        }
        self.conclude(end, at);
    }

    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn streams(&self) -> bool {
        self.timing.stream && !self.over
    }

    fn is_over(&self) -> bool {
        self.over && self.finished.is_none()
    }

    fn finished(&mut self) -> Option<Finished> {
        self.finished.take()
    }
}

impl InferenceReading {
    fn note_events(&mut self, at: Nanos) {
        let (events, output) = self.response.take_events();
        if !self.timing.stream {
            self.timing.plain_bytes(at);
            return;
        }
        for event in 0..events {
            self.timing.event(at, output && event == 0);
        }
    }
}
