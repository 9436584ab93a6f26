//! What a message begins with: enough bytes to tell HTTP from anything else.

/// What the first bytes of a message, or of a record, look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A request line, as far as it goes.
    Request,
    /// A status line.
    Response,
    /// The preface of HTTP/2 (RFC 9113 §3.4).
    Http2,
    /// Too few bytes to tell.
    Undecided,
    /// None of these.
    Neither,
}

/// The methods that are believed where a head may or may not begin (RFC 9110 §9.3, RFC 5789, and
/// the QUERY of the HTTP working group).
const KNOWN: [&[u8]; 10] = [
    b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE",
    b"QUERY",
];
const MAX_METHOD: usize = 24;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
const STATUS_LINE: &[u8] = b"HTTP/1.";

/// Judges the first bytes. `strict` is for a place in the stream where anything may stand: only
/// known methods and targets that look like one count there.
pub(super) fn judge(bytes: &[u8], strict: bool) -> Start {
    if bytes.starts_with(STATUS_LINE) {
        return Start::Response;
    }
    if bytes.starts_with(PREFACE) {
        return Start::Http2;
    }
    if STATUS_LINE.starts_with(bytes) || PREFACE.starts_with(bytes) {
        return Start::Undecided;
    }
    judge_request(bytes, strict)
}

fn judge_request(bytes: &[u8], strict: bool) -> Start {
    let window = &bytes[..bytes.len().min(MAX_METHOD + 1)];
    let Some(length) = window.iter().position(|&byte| byte == b' ') else {
        let possible = window.len() <= MAX_METHOD
            && window.iter().copied().all(is_method_byte)
            && (!strict || KNOWN.iter().any(|known| known.starts_with(window)));
        return if possible {
            Start::Undecided
        } else {
            Start::Neither
        };
    };
    let method = &window[..length];
    if method.is_empty()
        || !method.iter().copied().all(is_method_byte)
        || (strict && !KNOWN.contains(&method))
    {
        return Start::Neither;
    }
    match bytes.get(length + 1) {
        None => Start::Undecided,
        Some(b'/' | b'*') => Start::Request,
        // The scheme of an absolute target, or the host of a CONNECT.
        Some(byte) if byte.is_ascii_alphanumeric() || *byte == b'[' => {
            judge_target(method, &bytes[length + 1..], strict)
        }
        Some(_) => Start::Neither,
    }
}

fn judge_target(method: &[u8], target: &[u8], strict: bool) -> Start {
    if !strict || method == b"CONNECT" {
        return Start::Request;
    }
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    let lower: Vec<u8> = target.iter().take(8).map(u8::to_ascii_lowercase).collect();
    if schemes.iter().any(|scheme| lower.starts_with(scheme)) {
        Start::Request
    } else if schemes.iter().any(|scheme| scheme.starts_with(&lower)) {
        Start::Undecided
    } else {
        Start::Neither
    }
}

/// Methods are case-sensitive tokens (RFC 9110 §9.1); all that exist are upper case.
const fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_')
}

/// Whether a whole first line (without its line end) is that of an HTTP/1 message.
pub(super) fn is_first_line(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    line.starts_with(STATUS_LINE) || line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_kinds_apart() {
        let cases: &[(&[u8], Start, Start)] = &[
            (
                b"POST /v1/chat/completions HTTP/1.1\r\n",
                Start::Request,
                Start::Request,
            ),
            (b"GET http://h/x", Start::Request, Start::Request),
            (b"GET HtTp", Start::Request, Start::Undecided),
            (b"GET key\r\n", Start::Request, Start::Neither),
            (b"CONNECT h:443 ", Start::Request, Start::Request),
            (b"OPTIONS * ", Start::Request, Start::Request),
            (b"PURGE /x", Start::Request, Start::Neither),
            (b"PO", Start::Undecided, Start::Undecided),
            (b"XY", Start::Undecided, Start::Neither),
            (b"POST ", Start::Undecided, Start::Undecided),
            (b"POST  /", Start::Neither, Start::Neither),
            (b" POST /", Start::Neither, Start::Neither),
            (b"H", Start::Undecided, Start::Undecided),
            (b"HTTP/1.1 200", Start::Response, Start::Response),
            (b"HTTP/2 200", Start::Neither, Start::Neither),
            (b"PRI * HTTP/2.0\r\n\r\nSM", Start::Http2, Start::Http2),
            (b"PRI * H", Start::Undecided, Start::Undecided),
            (b"SSH-2.0-OpenSSH", Start::Neither, Start::Neither),
            (b"\x16\x03\x01", Start::Neither, Start::Neither),
            (b"", Start::Undecided, Start::Undecided),
            (
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                Start::Neither,
                Start::Neither,
            ),
        ];
        for (bytes, lenient, strict) in cases {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(judge(bytes, false), *lenient, "{shown}");
            assert_eq!(judge(bytes, true), *strict, "{shown}, strictly");
        }
    }

    #[test]
    fn a_decision_stands_when_more_bytes_come() {
        let whole = b"POST http://host/path HTTP/1.1\r\n";
        for strict in [false, true] {
            for end in 0..whole.len() {
                let start = judge(&whole[..end], strict);
                assert!(matches!(start, Start::Undecided | Start::Request), "{end}");
            }
        }
    }

    #[test]
    fn knows_first_lines() {
        assert!(is_first_line(b"GET / HTTP/1.1\r"));
        assert!(is_first_line(b"HTTP/1.0 204"));
        assert!(!is_first_line(b"GET key"));
        assert!(!is_first_line(b"OPTIONS rtsp://x RTSP/1.0"));
    }
}
