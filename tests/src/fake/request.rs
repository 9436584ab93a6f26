//! Requests as the fake reads them.

use std::io::{self, Read, Write};

use crate::clock::monotonic;

/// Heads beyond this are refused.
const MAX_HEAD: usize = 256 << 10;
/// Bodies beyond this are refused.
const MAX_BODY: usize = 64 << 20;

/// A request, read to its end.
#[derive(Debug, Default)]
pub struct Request {
    /// When the read returned that brought its first byte.
    pub start: u64,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded of its transfer coding.
    pub body: Vec<u8>,
}

impl Request {
    /// The first value of a header; the name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The client wants the connection closed after the answer.
    #[must_use]
    pub fn wants_close(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Reads requests from one connection, keeping what was read too far.
#[derive(Debug, Default)]
pub struct Reader {
    ahead: Vec<u8>,
    /// When the oldest byte of `ahead` came.
    arrived: u64,
}

impl Reader {
    /// The next request; `None` when the client is done.
    pub fn next(&mut self, conn: &mut (impl Read + Write)) -> io::Result<Option<Request>> {
        let (mut request, head_len) = loop {
            if let Some(found) = parse_head(&self.ahead)? {
                break found;
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(invalid("the head is too large"));
            }
            if !self.fill(conn)? {
                return Ok(None);
            }
        };
        request.start = self.arrived;
        self.ahead.drain(..head_len);
        if request
            .header("expect")
            .is_some_and(|v| v.eq_ignore_ascii_case("100-continue"))
        {
            conn.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.body = self.body(&request, conn)?;
        // Bytes that are left belong to a pipelined request; they came no later than now.
        self.arrived = monotonic();
        Ok(Some(request))
    }

    fn body(&mut self, request: &Request, conn: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
        let chunked = request
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        if chunked {
            return self.chunked(conn);
        }
        let length = request
            .header("content-length")
            .map_or(Ok(0), str::parse::<usize>);
        let length = length.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.take(length, conn)
    }

    fn chunked(&mut self, conn: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(conn)?;
            let size = line.split(|b| *b == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(size).ok().map(str::trim);
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(|| invalid("a chunk has no size"))?;
            if size == 0 {
                while !self.line(conn)?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size, conn)?);
            self.line(conn)?;
            if body.len() > MAX_BODY {
                return Err(invalid("the body is too large"));
            }
        }
    }

    fn line(&mut self, conn: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(at, conn)?;
                self.ahead.drain(..2);
                return Ok(line);
            }
            if self.ahead.len() > MAX_HEAD || !self.fill(conn)? {
                return Err(invalid("a chunk's line has no end"));
            }
        }
    }

    fn take(&mut self, length: usize, conn: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
        if length > MAX_BODY {
            return Err(invalid("the body is too large"));
        }
        while self.ahead.len() < length {
            if !self.fill(conn)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    fn fill(&mut self, conn: &mut impl Read) -> io::Result<bool> {
        let mut piece = [0; 16 << 10];
        let count = conn.read(&mut piece)?;
        // The clock comes right after the read: it is the ground truth for a span's start.
        let now = monotonic();
        if self.ahead.is_empty() {
            self.arrived = now;
        }
        self.ahead.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut head = httparse::Request::new(&mut headers);
    let parsed = head.parse(bytes);
    let parsed = parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let target = head.path.unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = head
        .headers
        .iter()
        .map(|h| (h.name.to_ascii_lowercase(), text(h.value)));
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        headers: headers.collect(),
        ..Request::default()
    };
    Ok(Some((request, length)))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands its bytes out a few at a time and swallows what is written.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    impl Write for Slow<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn requests_are_read_at_any_split_and_one_after_the_other() {
        let wire = b"POST /v1/x?k=1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\
            POST /y HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;q\r\nf\r\n0\r\n\r\n";
        for step in 1..wire.len() {
            let mut conn = Slow(wire, step);
            let mut reader = Reader::default();
            let first = reader.next(&mut conn).unwrap().unwrap();
            assert_eq!(
                (first.path.as_str(), first.body.as_slice()),
                ("/v1/x", &b"abc"[..])
            );
            assert!(first.start > 0);
            let second = reader.next(&mut conn).unwrap().unwrap();
            assert_eq!(
                (second.path.as_str(), second.body.as_slice()),
                ("/y", &b"def"[..])
            );
            assert!(reader.next(&mut conn).unwrap().is_none());
        }
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        let mut conn = Slow(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", 99);
        assert!(Reader::default().next(&mut conn).is_err());
    }
}
