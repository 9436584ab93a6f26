//! Agent cards: who fetches or serves one is, or talks to, an agent.

use std::sync::LazyLock;

use super::super::body::{Body, Event, EventSink, Framing};
use super::super::reading::{Finished, Head, Reading, Verdict};
use super::super::{CallKind, Timing};
use crate::ids::Nanos;
use crate::json::{At, Schema, Take, Value};
use crate::message::{End, Piece, ResponseHead};

/// Of A2A from 0.3, before that, and of KAOS before 0.2.
const PATHS: [&str; 3] = [
    "/.well-known/agent-card.json",
    "/.well-known/agent.json",
    "/.well-known/agent",
];

static NAME: LazyLock<Schema<()>> = LazyLock::new(|| Schema::new(&[("name", (), Take::Value)]));

/// A GET of one of the paths.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    let known = PATHS.iter().any(|path| head.path.ends_with(path));
    (head.method == "GET" && known).then(|| {
        Box::new(CardReading {
            body: None,
            name: Name(None),
            timing: Timing::default(),
            finished: None,
            over: false,
        }) as Box<dyn Reading>
    })
}

/// Reads the name in a card.
struct CardReading {
    body: Option<Box<Body>>,
    name: Name,
    timing: Timing,
    finished: Option<Finished>,
    over: bool,
}

struct Name(Option<String>);

impl EventSink<()> for Name {
    fn value(&mut self, (): (), _at: At<'_>, value: Value<'_>) {
        self.0 = value.whole().map(str::to_owned);
    }

    fn event(&mut self, _event: Event) {}

    fn lost(&mut self) {}
}

impl Reading for CardReading {
    fn request_body(&mut self, _piece: Piece<'_>) {}

    fn request_end(&mut self) {}

    fn response_head(&mut self, head: &ResponseHead<'_>) {
        self.timing.head(head.at, Framing::Json);
        self.body = Some(Box::new(Body::new(Framing::Json, 0)));
    }

    fn response_body(&mut self, piece: Piece<'_>, at: Nanos) {
        let Some(body) = &mut self.body else {
            return;
        };
        match piece {
            Piece::Bytes(bytes) => body.feed(&NAME, bytes, &mut self.name),
            Piece::Gap(_) => body.gap(&mut self.name),
            Piece::Undecodable => {}
        }
        self.timing.plain_bytes(at);
    }

    fn end(&mut self, end: End, at: Nanos) {
        if let Some(mut body) = self.body.take() {
            body.finish(&NAME, &mut self.name);
        }
        self.over = true;
        self.finished = Some(Finished {
            part: 0,
            start: None,
            end: at,
            ended: end,
            reversed: false,
            trace: None,
            session_id: None,
            kind: CallKind::AgentCard {
                name: self.name.0.take(),
            },
            error: None,
            timing: self.timing,
            limited: false,
            content: None,
        });
    }

    /// At once, there or not: what an agent does to make its card belongs to who asked for it.
    fn verdict(&self) -> Verdict {
        Verdict::Call
    }

    fn is_over(&self) -> bool {
        self.over && self.finished.is_none()
    }

    fn finished(&mut self) -> Option<Finished> {
        self.finished.take()
    }
}
