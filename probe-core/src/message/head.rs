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
mod tests {
    use super::*;

    const NOW: Moment = Moment {
        at: 7,
        context: Context { tid: 1, token: 2 },
    };

    fn whole(bytes: &[u8]) -> Whole<'_> {
        Whole {
            bytes: Cow::Borrowed(bytes),
            moment: NOW,
        }
    }

    fn fields(headers: &Headers<'_>) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        headers
            .iter()
            .map(|(name, value)| (name.to_owned(), text(value)))
            .collect()
    }

    fn request_fields(head: &str) -> Result<Vec<(String, String)>, Malformed> {
        read_request(&whole(head.as_bytes()), |head| fields(&head.headers))
    }

    fn field(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn reads_a_request() {
        let head = b"POST http://h:1/v1?a=b HTTP/1.0\r\nHost: h\r\nX-A:\t v \t\r\n\r\n";
        let seen = read_request(&whole(head), |head| {
            assert_eq!((head.at, head.context), (7, NOW.context));
            let fields = fields(&head.headers);
            (
                head.method.to_owned(),
                head.target.to_owned(),
                head.minor_version,
                fields,
            )
        });
        let fields = vec![field("Host", "h"), field("X-A", "v")];
        assert_eq!(
            seen,
            Ok(("POST".into(), "http://h:1/v1?a=b".into(), 0, fields))
        );
    }

    #[test]
    fn reads_odd_fields() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("GET / HTTP/1.1\nA: 1\nb:2\n\n", &[("A", "1"), ("b", "2")]),
            (
                "GET / HTTP/1.1\r\nA: 1\r\n  2\r\n\t3\r\nB: x\r\n\r\n",
                &[("A", "1    2  \t3"), ("B", "x")],
            ),
            (
                "GET / HTTP/1.1\r\nno colon\r\nA b: 1\r\nC: \r\n\r\n",
                &[("C", "")],
            ),
            ("GET  /  HTTP/1.1\r\n\r\n", &[]),
        ];
        for (head, wanted) in cases {
            let wanted = wanted
                .iter()
                .map(|(name, value)| field(name, value))
                .collect();
            assert_eq!(request_fields(head), Ok(wanted), "{head:?}");
        }
    }

    #[test]
    fn reads_status_lines() {
        let status = |head: &[u8]| read_response(&whole(head), |head| head.status);
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), Ok(200));
        assert_eq!(status(b"HTTP/1.0 404\r\n\r\n"), Ok(404));
        assert_eq!(status(b"HTTP/1.1 200 \xc3\xa4\r\n\r\n"), Ok(200));
        assert_eq!(status(b"HTTP/1.1 2x0 OK\r\n\r\n"), Err(Malformed));
        assert_eq!(status(b"HTTP/2.0 200 OK\r\n\r\n"), Err(Malformed));
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        for (number, sound) in [
            (47, true),
            (48, true),
            (49, true),
            (512, true),
            (513, false),
        ] {
            let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(number));
            let count = request_fields(&head).map(|fields| fields.len());
            assert_eq!(count, if sound { Ok(number) } else { Err(Malformed) });
        }
    }

    #[test]
    fn finds_the_end_at_any_cut() {
        for head in [
            "GET / HTTP/1.1\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\nA: b\n\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            let longer = format!("{head}body\r\n\r\n");
            assert_eq!(find_end(longer.as_bytes(), 0), Some(head.len()));
            for cut in 1..head.len() {
                let mut partial = Partial::new(&[], NOW);
                assert_eq!(
                    partial.extend(&longer.as_bytes()[..cut]),
                    (cut, false),
                    "{cut}"
                );
                let added = partial.extend(&longer.as_bytes()[cut..]);
                assert_eq!(added, (head.len() - cut, true), "{cut}");
            }
        }
    }

    #[test]
    fn a_head_is_no_longer_than_64_kib() {
        let mut partial = Partial::new(b"GET / HTTP/1.1\r\nA: ", NOW);
        while !partial.is_full() {
            assert!(!partial.extend(&[b'a'; 1000]).1);
        }
        assert_eq!(partial.bytes.len(), MAX_HEAD);
    }
}
