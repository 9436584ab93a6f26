//! A client for the few plain requests that chores make: one request, one connection, loopback.

use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::interrupt;

/// No answer that a chore waits for is larger, in bytes.
const MAX_ANSWER: usize = 32 << 20;
/// How long Ctrl-C may wait for a look.
const LOOK_UP_EVERY: Duration = Duration::from_millis(100);

/// An answer, its body undone from chunks.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

/// `GET` from a port on loopback.
pub(crate) fn get(port: u16, path: &str, timeout: Duration) -> Result<Answer> {
    exchange(port, "GET", path, "", timeout)
}

/// `POST` of a JSON body to a port on loopback.
pub(crate) fn post(port: u16, path: &str, json: &str, timeout: Duration) -> Result<Answer> {
    exchange(port, "POST", path, json, timeout)
}

/// A port on loopback that nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn exchange(port: u16, method: &str, path: &str, json: &str, timeout: Duration) -> Result<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(LOOK_UP_EVERY))?;
    stream.set_write_timeout(Some(timeout))?;
    let body = if json.is_empty() {
        "\r\n".to_owned()
    } else {
        let length = json.len();
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}")
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Accept: application/json, text/event-stream\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let bytes = read_to_end(&mut stream, Instant::now() + timeout)?;
    parse(&bytes).with_context(|| format!("port {port} answered what is not HTTP"))
}

/// Reads until the peer closes, with a look at the clock and at Ctrl-C in between.
fn read_to_end(stream: &mut TcpStream, deadline: Instant) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        interrupt::check()?;
        if bytes.len() > MAX_ANSWER {
            bail!("the answer is too large");
        }
        if Instant::now() > deadline {
            bail!("no full answer in time");
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("no end of the head")?;
    let (head, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 4..]);
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .context("no status line")?;
    let chunked = head.lines().any(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("transfer-encoding:")
            .is_some_and(|value| value.trim() == "chunked")
    });
    let body = if chunked {
        dechunk(body)?
    } else {
        body.to_vec()
    };
    // Decoded only when whole: a character may lie across two chunks.
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status, body })
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .context("a chunk has no size line")?;
        let line = std::str::from_utf8(&rest[..end])?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or(line).trim(), 16)?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        let Some(chunk) = rest.get(..size) else {
            bail!("a chunk is cut off");
        };
        body.extend_from_slice(chunk);
        rest = rest.get(size + 2..).context("a chunk is cut off")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_answer_is_read() {
        let answer = parse(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nnone").expect("parses");
        assert_eq!((answer.status, answer.body.as_str()), (404, "none"));
    }

    #[test]
    fn a_chunked_answer_is_joined() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n\
            4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\n\r\n";
        assert_eq!(parse(bytes).expect("parses").body, "abcdef");
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab").is_err());
        assert!(parse(b"HTTP/1.1 200").is_err());
        assert!(parse(b"SSH-2.0\r\n\r\n").is_err());
    }
}
