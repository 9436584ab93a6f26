//! Heads: found in the stream wherever they are cut, then read by httparse.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig};
use memchr::{memchr, memchr_iter};

use super::start::is_first_line;
use super::{Headers, RequestHead, ResponseHead};
use crate::ids::{Context, Nanos};

/// The longest head that is read.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// The most fields that a head may have.
const MAX_FIELDS: usize = 512;
/// The most fields that a head has as a rule; the tables for them are small.
const FEW_FIELDS: usize = 48;

/// When bytes moved, and by what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: Nanos,
    pub(super) context: Context,
}

/// The beginning of a head whose rest is still to come.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) bytes: Vec<u8>,
    pub(super) moment: Moment,
    /// No head ends before this place.
    scanned: usize,
    /// The first line is whole and was judged.
    line_judged: bool,
}

/// A whole head, with its blank line.
#[derive(Debug)]
pub(super) struct Whole<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) moment: Moment,
}

/// No head can look like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Partial {
    /// Keeps the first bytes of a head.
    pub(super) fn new(bytes: &[u8], moment: Moment) -> Self {
        Self {
            bytes: bytes.to_vec(),
            moment,
            scanned: 0,
            line_judged: false,
        }
    }

    /// Adds bytes up to the head's end; gives how many were added, and whether it is whole.
    pub(super) fn extend(&mut self, more: &[u8]) -> (usize, bool) {
        let before = self.bytes.len();
        let room = MAX_HEAD.saturating_sub(before);
        self.bytes.extend_from_slice(&more[..more.len().min(room)]);
        if let Some(end) = find_end(&self.bytes, self.scanned) {
            self.bytes.truncate(end);
            // The head cannot have been whole before.
            return (end.saturating_sub(before), true);
        }
        // The line end before a blank line that is cut may stand in the last two bytes.
        self.scanned = self.bytes.len().saturating_sub(2);
        (self.bytes.len() - before, false)
    }

    /// Whether there can be no more bytes.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= MAX_HEAD
    }

    /// Whether the first line, once it is whole, is one of HTTP/1.
    pub(super) fn is_plausible(&mut self) -> bool {
        if !self.line_judged
            && let Some(end) = memchr(b'\n', &self.bytes)
        {
            self.line_judged = true;
            return is_first_line(&self.bytes[..end]);
        }
        true
    }
}

/// The length of the head that `bytes` begin with, with its blank line; no line before `from`
/// ends it.
pub(super) fn find_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', &bytes[from..])
        .map(|at| from + at)
        .find_map(|at| match &bytes[at + 1..] {
            [b'\n', ..] => Some(at + 2),
            [b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        })
}

/// Reads a whole request head and hands it to `then`.
pub(super) fn read_request<R>(
    whole: &Whole<'_>,
    then: impl FnOnce(&RequestHead<'_>) -> R,
) -> Result<R, Malformed> {
    let bytes = unfold(&whole.bytes);
    if has_few_fields(&bytes) {
        request_with::<FEW_FIELDS, R>(&bytes, whole.moment, then)
    } else {
        request_with::<MAX_FIELDS, R>(&bytes, whole.moment, then)
    }
}

/// Reads a whole response head and hands it to `then`.
pub(super) fn read_response<R>(
    whole: &Whole<'_>,
    then: impl FnOnce(&ResponseHead<'_>) -> R,
) -> Result<R, Malformed> {
    let bytes = unfold(&whole.bytes);
    if has_few_fields(&bytes) {
        response_with::<FEW_FIELDS, R>(&bytes, whole.moment, then)
    } else {
        response_with::<MAX_FIELDS, R>(&bytes, whole.moment, then)
    }
}

fn request_with<const N: usize, R>(
    bytes: &[u8],
    moment: Moment,
    then: impl FnOnce(&RequestHead<'_>) -> R,
) -> Result<R, Malformed> {
    let mut table = [const { MaybeUninit::uninit() }; N];
    let mut request = httparse::Request::new(&mut []);
    config()
        .parse_request_with_uninit_headers(&mut request, bytes, &mut table)
        .map_err(|_broken| Malformed)?;
    let mut fields = [("", &[][..]); N];
    let (Some(method), Some(target), Some(minor_version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Malformed);
    };
    let headers = Headers::new(copy_fields(request.headers, &mut fields));
    let Moment { at, context } = moment;
    Ok(then(&RequestHead {
        method,
        target,
        minor_version,
        headers,
        at,
        context,
    }))
}

fn response_with<const N: usize, R>(
    bytes: &[u8],
    moment: Moment,
    then: impl FnOnce(&ResponseHead<'_>) -> R,
) -> Result<R, Malformed> {
    let mut table = [const { MaybeUninit::uninit() }; N];
    let mut response = httparse::Response::new(&mut []);
    config()
        .parse_response_with_uninit_headers(&mut response, bytes, &mut table)
        .map_err(|_broken| Malformed)?;
    let mut fields = [("", &[][..]); N];
    let status = response.code.ok_or(Malformed)?;
    let headers = Headers::new(copy_fields(response.headers, &mut fields));
    let Moment { at, context } = moment;
    Ok(then(&ResponseHead {
        status,
        headers,
        at,
        context,
    }))
}

fn copy_fields<'f, 'b>(
    headers: &[Header<'b>],
    fields: &'f mut [(&'b str, &'b [u8])],
) -> &'f [(&'b str, &'b [u8])] {
    for (field, header) in fields.iter_mut().zip(headers) {
        *field = (header.name, header.value.trim_ascii());
    }
    &fields[..headers.len().min(fields.len())]
}

/// An observer must not be stricter than the two ends: what they let pass is passed over here.
fn config() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_multiple_spaces_in_request_line_delimiters(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_requests(true)
        .ignore_invalid_headers_in_responses(true);
    config
}

fn has_few_fields(head: &[u8]) -> bool {
    memchr_iter(b'\n', head).nth(FEW_FIELDS + 1).is_none()
}

/// Field lines that go on behind a line end (RFC 9112 §5.2) are made one line each.
fn unfold(head: &[u8]) -> Cow<'_, [u8]> {
    let folds = |head: &[u8], at: usize| matches!(head.get(at + 1), Some(b' ' | b'\t'));
    if !memchr_iter(b'\n', head).any(|at| folds(head, at)) {
        return Cow::Borrowed(head);
    }
    let mut straight = head.to_vec();
    for at in memchr_iter(b'\n', head).filter(|&at| folds(head, at)) {
        straight[at] = b' ';
        if at > 0 && straight[at - 1] == b'\r' {
            straight[at - 1] = b' ';
        }
    }
    Cow::Owned(straight)
}

#[cfg(test)]
mod tests;
