//! A body as a row of JSON values: one in a plain answer, many in a stream.

use crate::json::{At, Scanner, Schema, Sink, Tail, Value};
use crate::message::{Headers, sse};

/// How the JSON values stand in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// One JSON value.
    Json,
    /// Server-sent events, each with a JSON value as its data.
    Sse,
    /// A JSON value on each line.
    Lines,
    /// The content type does not say; the first byte will.
    Unknown,
    /// No JSON at all.
    Other,
}

impl Framing {
    /// The framing that `content-type` tells.
    pub(super) fn of(headers: &Headers<'_>) -> Self {
        let Some(kind) = headers.get("content-type") else {
            return Self::Unknown;
        };
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        let ends = |name: &str| {
            let tail = kind.len().saturating_sub(name.len());
            kind.get(tail..)
                .is_some_and(|t| t.eq_ignore_ascii_case(name))
        };
        if is("text/event-stream") {
            Self::Sse
        } else if ends("ndjson") || ends("jsonl") || ends("json-lines") || ends("stream+json") {
            Self::Lines
        } else if ends("json") {
            Self::Json
        } else if is("text/html") {
            Self::Other
        } else {
            Self::Unknown
        }
    }

    fn by_first_byte(byte: u8) -> Self {
        match byte {
            b'{' | b'[' => Self::Json,
            b'd' | b'e' | b'i' | b'r' | b':' => Self::Sse,
            _ => Self::Other,
        }
    }

    /// Whether the body is a stream of events.
    pub(super) const fn is_stream(self) -> bool {
        matches!(self, Self::Sse | Self::Lines)
    }
}

/// Receives the values of a body.
pub(super) trait EventSink<F> {
    /// A wanted value of the event under way.
    fn value(&mut self, field: F, at: At<'_>, value: Value<'_>);

    /// The event is over.
    fn event(&mut self, event: Event);

    /// The event under way has a hole: what came of it is void.
    fn lost(&mut self);
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A whole JSON value, with `error` from a server-sent event of that name.
    Json {
        /// The event's name is `error`.
        error: bool,
    },
    /// `[DONE]`
    EndMark,
    /// Something else.
    Other,
}

const END_MARK: &[u8] = b"[DONE]";

/// Reads the JSON values of one body.
#[derive(Debug)]
pub(super) struct Body {
    framing: Framing,
    json: Scanner,
    sse: sse::Scanner,
    event: Data,
    tail: Option<Box<Tail>>,
}

/// The data of the server-sent event under way.
#[derive(Debug, Default)]
struct Data {
    len: u64,
    head: [u8; END_MARK.len()],
    complete: Option<bool>,
    error: bool,
}

impl Body {
    pub(super) fn new(framing: Framing, content_cap: usize) -> Self {
        let json = match framing {
            Framing::Lines => Scanner::lines(content_cap),
            _ => Scanner::new(content_cap),
        };
        Self {
            framing,
            json,
            sse: sse::Scanner::new(),
            event: Data::default(),
            tail: None,
        }
    }

    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether a value was too long to be kept.
    pub(super) const fn limited(&self) -> bool {
        self.json.limited()
    }

    /// Settles the framing by the first byte, where nothing else did.
    pub(super) fn look(&mut self, bytes: &[u8]) {
        if self.framing == Framing::Unknown
            && let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace())
        {
            self.framing = Framing::by_first_byte(*first);
        }
    }

    /// Whether only white space has come: what the body is, and whether it streams, is open.
    pub(super) const fn is_blank(&self) -> bool {
        matches!(self.framing, Framing::Unknown) && self.tail.is_none()
    }

    /// The next bytes.
    pub(super) fn feed<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        bytes: &[u8],
        sink: &mut impl EventSink<F>,
    ) {
        self.look(bytes);
        if let Some(tail) = &mut self.tail {
            tail.push(bytes);
            return;
        }
        match self.framing {
            Framing::Json | Framing::Lines => self.json.feed(schema, bytes, &mut Direct(sink)),
            Framing::Sse => self.feed_sse(schema, bytes, sink),
            Framing::Unknown | Framing::Other => {}
        }
    }

    fn feed_sse<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        bytes: &[u8],
        sink: &mut impl EventSink<F>,
    ) {
        let Self {
            json, sse, event, ..
        } = self;
        sse.push(bytes, &mut |token| match token {
            sse::Token::EventName(name) => event.error = name == "error",
            sse::Token::Data(part) => {
                event.note(part);
                let complete = &mut event.complete;
                json.feed(schema, part, &mut InEvent { sink, complete });
            }
            sse::Token::Dispatch => {
                sink.event(event.end());
                json.reset();
            }
        });
    }

    /// Bytes are missing here.
    pub(super) fn gap<F>(&mut self, sink: &mut impl EventSink<F>) {
        match self.framing {
            Framing::Json | Framing::Unknown => {
                self.json.lose();
                self.tail.get_or_insert_default().gap();
                return;
            }
            Framing::Lines => self.json.lose(),
            Framing::Sse => {
                self.sse.gap();
                self.json.reset();
                self.event = Data::default();
            }
            Framing::Other => {}
        }
        sink.lost();
    }

    /// No more bytes will come: what stands complete without its line end counts.
    pub(super) fn finish<F: Copy>(&mut self, schema: &Schema<F>, sink: &mut impl EventSink<F>) {
        if let Some(tail) = self.tail.take() {
            self.json.reset();
            self.json.feed(schema, b"{", &mut Direct(sink));
            self.json.feed(schema, tail.members(), &mut Direct(sink));
        } else if self.framing == Framing::Sse && self.event.len > 0 {
            // An event without its blank line is none by the book, but servers that end on
            // `data: [DONE]` exist, and clients take it.
            let event = self.event.end();
            if event != Event::Other {
                sink.event(event);
            }
        } else if self.framing != Framing::Sse {
            self.json.feed(schema, b"\n", &mut Direct(sink));
        }
    }
}

impl Data {
    fn note(&mut self, part: &[u8]) {
        if let Ok(len) = usize::try_from(self.len)
            && len < END_MARK.len()
        {
            let kept = part.len().min(END_MARK.len() - len);
            self.head[len..len + kept].copy_from_slice(&part[..kept]);
        }
        self.len += part.len() as u64;
    }

    fn end(&mut self) -> Event {
        let data = std::mem::take(self);
        if data.len == END_MARK.len() as u64 && data.head == END_MARK {
            Event::EndMark
        } else if data.complete == Some(true) {
            Event::Json { error: data.error }
        } else {
            Event::Other
        }
    }
}

/// The JSON value is the event.
struct Direct<'a, S>(&'a mut S);

impl<F, S: EventSink<F>> Sink<F> for Direct<'_, S> {
    fn value(&mut self, field: F, at: At<'_>, value: Value<'_>) {
        self.0.value(field, at, value);
    }

    fn end(&mut self, complete: bool) {
        self.0.event(if complete {
            Event::Json { error: false }
        } else {
            Event::Other
        });
    }
}

/// The JSON value is the data of an event that ends later.
struct InEvent<'a, S> {
    sink: &'a mut S,
    complete: &'a mut Option<bool>,
}

impl<F, S: EventSink<F>> Sink<F> for InEvent<'_, S> {
    fn value(&mut self, field: F, at: At<'_>, value: Value<'_>) {
        self.sink.value(field, at, value);
    }

    fn end(&mut self, complete: bool) {
        *self.complete = Some(complete);
    }
}
