//! What a dialect makes of one exchange.

use super::{CallError, CallKind, Content, Timing};
use crate::ids::Nanos;
use crate::message::{End, Headers, Piece, RequestHead, ResponseHead};
use crate::trace_context::TraceContext;

/// A request's head, as dialects look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// The method.
    pub(super) method: &'a str,
    /// The path without the query and without slashes at its end.
    pub(super) path: &'a str,
    /// The host that is asked, without its port.
    pub(super) host: Option<&'a str>,
    /// The fields.
    pub(super) headers: Headers<'a>,
    /// How many bytes of each part of the content are kept; 0 for none.
    pub(super) content_cap: usize,
}

impl<'a> Head<'a> {
    /// The view of `head`, whose target names `path` and `host`.
    pub(super) fn new(
        head: &RequestHead<'a>,
        path: &'a str,
        host: Option<&'a str>,
        content_cap: usize,
    ) -> Self {
        Self {
            method: head.method,
            path: path.trim_end_matches('/'),
            host,
            headers: head.headers,
            content_cap,
        }
    }

    /// A POST whose path ends in `suffix`, which begins with a slash.
    pub(super) fn posts_to(&self, suffix: &str) -> bool {
        self.method == "POST" && self.path.ends_with(suffix)
    }

    /// Whether the field `name` is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.all(name).next().is_some()
    }

    /// Whether the request's body is JSON, as far as its content type tells.
    pub(super) fn has_json_body(&self) -> bool {
        self.headers.get("content-type").is_none_or(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.len() >= 4 && kind.as_bytes()[kind.len() - 4..].eq_ignore_ascii_case(b"json")
        })
    }
}

/// Whether an exchange is a call of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The bytes so far do not tell.
    Open,
    /// It is.
    Call,
    /// It is not.
    NoCall,
}

/// Reads one exchange in one dialect.
pub(super) trait Reading: Send {
    /// A piece of the request's body.
    fn request_body(&mut self, piece: Piece<'_>);

    /// The request is complete.
    fn request_end(&mut self);

    /// The response's head.
    fn response_head(&mut self, head: &ResponseHead<'_>);

    /// A piece of the response's body.
    fn response_body(&mut self, piece: Piece<'_>, at: Nanos);

    /// The exchange is over: every open part finishes now.
    fn end(&mut self, end: End, at: Nanos);

    /// Whether it is a call. Once `Call` or `NoCall` it stays so.
    fn verdict(&self) -> Verdict;

    /// How many parts the exchange has so far; they are numbered from 0.
    fn parts(&self) -> u32 {
        1
    }

    /// The trace context inside the request's body, once that is complete.
    fn inner_trace(&self) -> Option<TraceContext> {
        None
    }

    /// Whether the answer is a stream.
    fn streams(&self) -> bool {
        false
    }

    /// Whether all parts are finished and no other can come.
    fn is_over(&self) -> bool;

    /// The next part that is finished.
    fn finished(&mut self) -> Option<Finished>;
}

/// A part of an exchange that is over.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its number.
    pub(super) part: u32,
    /// When it began, if that is not the begin of the request.
    pub(super) start: Option<Nanos>,
    /// When its last byte moved.
    pub(super) end: Nanos,
    /// How it ended.
    pub(super) ended: End,
    /// The message went from the HTTP server to the HTTP client.
    pub(super) reversed: bool,
    /// The trace context inside the message.
    pub(super) trace: Option<TraceContext>,
    /// The session that the body names.
    pub(super) session_id: Option<String>,
    /// What it was.
    pub(super) kind: CallKind,
    /// What went wrong.
    pub(super) error: Option<CallError>,
    /// Streaming facts.
    pub(super) timing: Timing,
    /// A value was too long to be kept.
    pub(super) limited: bool,
    /// Opted-in content.
    pub(super) content: Option<Box<Content>>,
}
