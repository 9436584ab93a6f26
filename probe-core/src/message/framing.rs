//! Where a message's body ends (RFC 9112 §6.3), and how its content is coded.

use super::decode::Coding;
use super::{Headers, ResponseHead};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// So many bytes; 0 is no body.
    Bytes(u64),
    /// By its chunks.
    Chunked,
    /// By the end of the connection.
    UntilClose,
    /// It cannot be known: the fields contradict each other.
    Unknown,
}

/// The body of a request.
pub(super) fn request_length(headers: &Headers<'_>) -> Length {
    match (transfer_coding(headers), content_length(headers)) {
        (Transfer::Chunked, _) => Length::Chunked,
        (Transfer::Other, _) | (Transfer::None, ContentLength::Invalid) => Length::Unknown,
        (Transfer::None, ContentLength::Bytes(n)) => Length::Bytes(n),
        (Transfer::None, ContentLength::None) => Length::Bytes(0),
    }
}

/// The body of a final response that is no tunnel. `to_head`: it answers a HEAD request.
pub(super) fn response_length(head: &ResponseHead<'_>, to_head: bool) -> Length {
    if to_head || matches!(head.status, 100..=199 | 204 | 304) {
        return Length::Bytes(0);
    }
    match (
        transfer_coding(&head.headers),
        content_length(&head.headers),
    ) {
        (Transfer::Chunked, _) => Length::Chunked,
        (Transfer::None, ContentLength::Bytes(n)) => Length::Bytes(n),
        // An invalid length makes the response unusable for a client, which closes; so do we.
        (Transfer::Other | Transfer::None, _) => Length::UntilClose,
    }
}

/// The one content coding of the body; `Ok(None)` is identity, `Err` a coding, or a pile of
/// codings, that is not known here.
pub(super) fn coding(headers: &Headers<'_>) -> Result<Option<Coding>, UnknownCoding> {
    let mut found = None;
    let contents = headers.all("content-encoding");
    for name in contents
        .chain(headers.all("transfer-encoding"))
        .flat_map(members)
    {
        if is_any(name, &[b"identity", b"chunked", b""]) {
            continue;
        }
        let coding = Coding::from_name(name).ok_or(UnknownCoding)?;
        if found.replace(coding).is_some() {
            return Err(UnknownCoding);
        }
    }
    Ok(found)
}

/// The body's coding is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownCoding;

/// Whether the body is a stream of events by its type: SSE, or JSON line by line.
pub(super) fn is_event_stream(headers: &Headers<'_>) -> bool {
    let Some(kind) = headers.all("content-type").next() else {
        return false;
    };
    let essence = kind
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    is_any(
        essence,
        &[
            b"text/event-stream",
            b"application/x-ndjson",
            b"application/ndjson",
            b"application/jsonl",
            b"application/x-jsonlines",
            b"application/json-seq",
            b"application/stream+json",
        ],
    )
}

/// Whether the client waits for a 100 before it sends the body (RFC 9110 §10.1.1).
pub(super) fn expects_continue(headers: &Headers<'_>) -> bool {
    headers
        .all("expect")
        .any(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

enum Transfer {
    None,
    Chunked,
    Other,
}

fn transfer_coding(headers: &Headers<'_>) -> Transfer {
    let codings = headers.all("transfer-encoding").flat_map(members);
    match codings.filter(|name| !name.is_empty()).last() {
        None => Transfer::None,
        // Servers and clients in the wild send `identity`, which older RFCs had.
        Some(name) if name.eq_ignore_ascii_case(b"identity") => Transfer::None,
        Some(name) if name.eq_ignore_ascii_case(b"chunked") => Transfer::Chunked,
        Some(_) => Transfer::Other,
    }
}

enum ContentLength {
    None,
    Bytes(u64),
    Invalid,
}

/// All values, also those of one list, must be the same number (RFC 9112 §6.3, rule 5).
fn content_length(headers: &Headers<'_>) -> ContentLength {
    let mut length = ContentLength::None;
    for value in headers.all("content-length").flat_map(members) {
        length = match (length, decimal(value)) {
            (ContentLength::None, Some(n)) => ContentLength::Bytes(n),
            (ContentLength::Bytes(before), Some(n)) if before == n => ContentLength::Bytes(n),
            _ => return ContentLength::Invalid,
        };
    }
    length
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn is_any(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Context;

    fn response(status: u16, fields: &[(&str, &[u8])]) -> Length {
        let headers = Headers::new(fields);
        response_length(
            &ResponseHead {
                status,
                headers,
                at: 0,
                context: Context::default(),
            },
            false,
        )
    }

    #[test]
    fn requests() {
        let length = |fields: &[(&str, &[u8])]| request_length(&Headers::new(fields));
        assert_eq!(length(&[]), Length::Bytes(0));
        assert_eq!(length(&[("content-length", b"12")]), Length::Bytes(12));
        assert_eq!(
            length(&[("Content-Length", b"5, 5"), ("content-length", b"5")]),
            Length::Bytes(5)
        );
        assert_eq!(length(&[("content-length", b"5,6")]), Length::Unknown);
        assert_eq!(length(&[("content-length", b"+5")]), Length::Unknown);
        assert_eq!(length(&[("content-length", b"")]), Length::Unknown);
        assert_eq!(
            length(&[("content-length", b"99999999999999999999")]),
            Length::Unknown
        );
        assert_eq!(
            length(&[("content-length", b"5"), ("transfer-encoding", b"Chunked")]),
            Length::Chunked
        );
        assert_eq!(
            length(&[
                ("transfer-encoding", b"gzip"),
                ("Transfer-Encoding", b"chunked")
            ]),
            Length::Chunked
        );
        assert_eq!(
            length(&[("transfer-encoding", b"chunked, gzip")]),
            Length::Unknown
        );
    }

    #[test]
    fn responses() {
        assert_eq!(response(200, &[]), Length::UntilClose);
        assert_eq!(response(200, &[("content-length", b"7")]), Length::Bytes(7));
        assert_eq!(
            response(200, &[("content-length", b"x")]),
            Length::UntilClose
        );
        assert_eq!(response(204, &[("content-length", b"7")]), Length::Bytes(0));
        assert_eq!(
            response(304, &[("transfer-encoding", b"chunked")]),
            Length::Bytes(0)
        );
        assert_eq!(
            response(
                200,
                &[("transfer-encoding", b"gzip"), ("content-length", b"7")]
            ),
            Length::UntilClose
        );
        assert_eq!(
            response(
                200,
                &[("transfer-encoding", b"identity"), ("content-length", b"7")]
            ),
            Length::Bytes(7)
        );
    }

    #[test]
    fn codings() {
        let coding = |fields: &[(&str, &[u8])]| coding(&Headers::new(fields));
        assert_eq!(coding(&[("transfer-encoding", b"chunked")]), Ok(None));
        assert_eq!(
            coding(&[("content-encoding", b"identity, X-GZIP")]),
            Ok(Some(Coding::Gzip))
        );
        assert_eq!(
            coding(&[("transfer-encoding", b"deflate, chunked")]),
            Ok(Some(Coding::Deflate))
        );
        assert_eq!(
            coding(&[("content-encoding", b"gzip, br")]),
            Err(UnknownCoding)
        );
        assert_eq!(
            coding(&[("content-encoding", b"aws-chunked")]),
            Err(UnknownCoding)
        );
    }

    #[test]
    fn event_streams() {
        let stream = |value: &[u8]| is_event_stream(&Headers::new(&[("content-type", value)]));
        assert!(stream(b"Text/Event-Stream; charset=utf-8"));
        assert!(stream(b"application/x-ndjson"));
        assert!(!stream(b"application/json"));
    }
}
