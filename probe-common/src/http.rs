//! "Could this be HTTP?": the little that the kernel half must know of it.
//!
//! Plain functions over a few bytes, so that they pass the verifier and are tested on the host.

#![expect(
    clippy::inline_always,
    reason = "the verifier follows values best inside one function"
)]

/// How many bytes of an operation are looked at.
pub const PEEK: usize = 16;

/// What the first bytes of an operation look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A request with a method other than POST.
    Request,
    /// A POST.
    Post,
    /// A status line.
    Response,
    /// The HTTP/2 preface.
    Http2,
    /// A TLS record.
    Tls,
    /// Too few bytes to tell, and all of them fit a request or a response.
    Short,
    /// None of these.
    Other,
}

/// Looks at the first `n` of `b` (bytes after `n` are zero).
#[must_use]
#[inline(always)]
pub fn look(b: &[u8; PEEK], n: usize) -> Look {
    look_at_word(u32::from_le_bytes([b[0], b[1], b[2], b[3]]), n)
}

/// Looks at the first `n` bytes, of which `word` has four, the first one lowest (bytes after `n`
/// are zero).
#[must_use]
#[inline(always)]
pub fn look_at_word(word: u32, n: usize) -> Look {
    if n < 4 {
        return short(word, n);
    }
    if word == word_of(*b"POST") {
        return Look::Post;
    }
    if word == word_of(*b"HTTP") {
        return Look::Response;
    }
    if word == word_of(*b"PRI ") {
        return Look::Http2;
    }
    if word == word_of(*b"GET ")
        || word == word_of(*b"PUT ")
        || word == word_of(*b"HEAD")
        || word == word_of(*b"DELE")
        || word == word_of(*b"OPTI")
        || word == word_of(*b"PATC")
        || word == word_of(*b"CONN")
        || word == word_of(*b"TRAC")
    {
        return Look::Request;
    }
    let [kind, version, ..] = word.to_le_bytes();
    if matches!(kind, 0x14..=0x17) && version == 3 {
        return Look::Tls;
    }
    Look::Other
}

#[inline(always)]
fn short(word: u32, n: usize) -> Look {
    let mask = match n {
        1 => 0xff,
        2 => 0xffff,
        3 => 0x00ff_ffff,
        _ => return Look::Short,
    };
    let mut i = 0;
    while i < STARTS.len() {
        if word & mask == STARTS[i] & mask {
            return Look::Short;
        }
        i += 1;
    }
    Look::Other
}

const fn word_of(s: [u8; 4]) -> u32 {
    u32::from_le_bytes(s)
}

const STARTS: [u32; 10] = [
    u32::from_le_bytes(*b"POST"),
    u32::from_le_bytes(*b"HTTP"),
    u32::from_le_bytes(*b"GET "),
    u32::from_le_bytes(*b"PUT "),
    u32::from_le_bytes(*b"HEAD"),
    u32::from_le_bytes(*b"DELE"),
    u32::from_le_bytes(*b"OPTI"),
    u32::from_le_bytes(*b"PATC"),
    u32::from_le_bytes(*b"CONN"),
    u32::from_le_bytes(*b"TRAC"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &[u8]) -> Look {
        let mut b = [0u8; PEEK];
        let n = s.len().min(PEEK);
        b[..n].copy_from_slice(&s[..n]);
        look(&b, n)
    }

    #[test]
    fn heads_are_told_apart() {
        for (bytes, want) in [
            (&b"POST /v1/messages HTTP/1.1"[..], Look::Post),
            (b"GET / HTTP/1.1", Look::Request),
            (b"DELETE /mcp", Look::Request),
            (b"HTTP/1.1 200 OK", Look::Response),
            (b"PRI * HTTP/2.0\r\n", Look::Http2),
            (&[0x16, 3, 1, 2, 0, 1], Look::Tls),
            (b"P", Look::Short),
            (b"HTT", Look::Short),
            (b"", Look::Short),
            (b"xy", Look::Other),
            (b"*3\r\n$3\r\nSET", Look::Other),
            (b"{\"a\":1}", Look::Other),
        ] {
            assert_eq!(at(bytes), want, "{bytes:?}");
        }
    }
}
