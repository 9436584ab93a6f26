//! One direction of a connection: where in its messages it stands.

use std::borrow::Cow;

use super::Held;
use super::body::Body;
use super::head::{MAX_HEAD, Moment, Partial, Whole, find_end};
use super::start::{Start, judge};
use crate::ids::Nanos;

/// One direction.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) place: Place,
    /// The start of a head, or the bytes of a response that came before its request.
    pub(super) partial: Option<Box<Partial>>,
    /// When its last captured byte moved.
    pub(super) last: Nanos,
}

/// Where the next byte stands.
#[derive(Debug)]
pub(super) enum Place {
    /// At the start of a message, or in its head.
    Head,
    /// Anywhere: a head is believed at the start of a record only, and only a plain one.
    Search,
    /// In a body.
    Body(Body),
    /// Behind all that can be read.
    Ignored,
}

/// What the bytes so far are.
#[derive(Debug)]
pub(super) enum Collected<'a> {
    /// Nothing yet.
    More,
    /// A whole head.
    Whole(Whole<'a>),
    /// Not the head that was wanted. What was kept of it is still in `partial`.
    Not(Start),
    /// More than any head that is read.
    TooLong,
}

impl Half {
    pub(super) const fn new(late: bool) -> Self {
        let place = if late { Place::Search } else { Place::Head };
        Self {
            place,
            partial: None,
            last: 0,
        }
    }

    /// Goes to `place`; a head that was begun is forgotten.
    pub(super) fn go(&mut self, place: Place) {
        self.place = place;
        self.partial = None;
    }

    /// About how much memory the message under way takes.
    pub(super) fn held(&self) -> Held {
        Held {
            heads: self.partial.as_ref().map_or(0, |it| it.bytes.capacity()),
            decoders: match &self.place {
                Place::Body(body) => body.held(),
                Place::Head | Place::Search | Place::Ignored => 0,
            },
        }
    }

    /// Whether a response, or the start of one, is kept for a request that is still to come.
    pub(super) fn holds_response(&self) -> bool {
        let judged = self
            .partial
            .as_ref()
            .map(|partial| judge(&partial.bytes, false));
        judged == Some(Start::Response)
    }

    /// Takes bytes towards a head that begins like `wanted` and gives how many it took.
    /// `start`: they begin a record.
    pub(super) fn collect<'a>(
        &mut self,
        bytes: &'a [u8],
        start: bool,
        wanted: Start,
        now: Moment,
    ) -> (usize, Collected<'a>) {
        let searching = matches!(self.place, Place::Search);
        if let Some(partial) = self.partial.take() {
            let (used, collected) = self.go_on(partial, bytes, wanted, searching);
            match collected {
                Collected::Not(_) | Collected::TooLong if searching => {
                    self.partial = None;
                }
                collected => return (used, collected),
            }
        }
        if searching && !start {
            return (bytes.len(), Collected::More);
        }
        match self.begin(bytes, wanted, searching, now) {
            (_, Collected::Not(_)) if searching => (bytes.len(), Collected::More),
            begun => begun,
        }
    }

    /// Adds to a head that was begun.
    fn go_on<'a>(
        &mut self,
        mut partial: Box<Partial>,
        bytes: &[u8],
        wanted: Start,
        searching: bool,
    ) -> (usize, Collected<'a>) {
        let (added, is_whole) = partial.extend(bytes);
        let kind = judge(&partial.bytes, searching);
        let undecided = kind == Start::Undecided && !is_whole;
        if !undecided && (kind != wanted || !partial.is_plausible()) {
            self.partial = Some(partial);
            return (
                added,
                Collected::Not(if kind == wanted { Start::Neither } else { kind }),
            );
        }
        if is_whole {
            let Partial { bytes, moment, .. } = *partial;
            return (
                added,
                Collected::Whole(Whole {
                    bytes: Cow::Owned(bytes),
                    moment,
                }),
            );
        }
        if partial.is_full() {
            return (added, Collected::TooLong);
        }
        self.partial = Some(partial);
        (added, Collected::More)
    }

    /// Begins a head.
    fn begin<'a>(
        &mut self,
        bytes: &'a [u8],
        wanted: Start,
        searching: bool,
        now: Moment,
    ) -> (usize, Collected<'a>) {
        // Empty lines before a message are passed over (RFC 9112 §2.2).
        let skipped = bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let head = &bytes[skipped..];
        if head.is_empty() {
            return (bytes.len(), Collected::More);
        }
        let kind = judge(head, searching);
        if kind != wanted && kind != Start::Undecided {
            return (skipped, Collected::Not(kind));
        }
        if kind == wanted
            && let Some(end) = find_end(head, 0)
            && end <= MAX_HEAD
        {
            let whole = Whole {
                bytes: Cow::Borrowed(&head[..end]),
                moment: now,
            };
            return (skipped + end, Collected::Whole(whole));
        }
        let (added, collected) =
            self.go_on(Box::new(Partial::new(&[], now)), head, wanted, searching);
        (skipped + added, collected)
    }
}
