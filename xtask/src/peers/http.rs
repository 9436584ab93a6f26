//! A client for the few plain requests that chores make: one request, one connection, loopback.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// No answer that a chore waits for is larger, in bytes.
const MAX_ANSWER: u64 = 32 << 20;

/// An answer, its body undone from chunks.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

/// `GET` from a port on loopback.
pub(crate) fn get(port: u16, path: &str, timeout: Duration) -> Result<Answer> {
    exchange(port, "GET", path, &[], "", timeout)
}

/// `POST` of a JSON body to a port on loopback, with more headers.
pub(crate) fn post(
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    json: &str,
    timeout: Duration,
) -> Result<Answer> {
    exchange(port, "POST", path, headers, json, timeout)
}

/// A port on loopback that nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn exchange(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    json: &str,
    timeout: Duration,
) -> Result<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Accept: application/json, text/event-stream\r\n"
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        let length = json.len();
        request.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        ));
    }
    request.push_str("\r\n");
    request.push_str(json);
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut bytes)?;
    parse(&bytes).with_context(|| format!("port {port} answered what is not HTTP"))
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
