//! The bytes of a streamed chat completion, and the few HTTP requests that a measurement makes.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of a chunk, its HTTP framing included.
pub(crate) const CHUNK: usize = 250;

/// A request for a stream from `model`.
pub(crate) fn request(model: &str) -> Vec<u8> {
    let body = format!(
        "{{\"model\":\"{model}\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]}}"
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The head of the answer.
pub(crate) const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// The end of the answer.
pub(crate) const END: &[u8] = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

/// A chunk of the answer: one event, [`CHUNK`] bytes.
pub(crate) fn chunk() -> Vec<u8> {
    let start = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\
                 \"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
    let end = "\"},\"finish_reason\":null}]}\n\n";
    let framing = "f4\r\n\r\n".len();
    let text = "x".repeat(CHUNK - framing - start.len() - end.len());
    format!("f4\r\n{start}{text}{end}\r\n").into_bytes()
}

/// The body of `GET path`, if it is answered by 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Option<String>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let ok = answer.starts_with("HTTP/1.1 200 ");
    Ok(ok.then_some(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_what_its_framing_says() {
        let chunk = chunk();
        assert_eq!(chunk.len(), CHUNK);
        let text = String::from_utf8(chunk).unwrap();
        let (size, rest) = text.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        assert_eq!(rest.len(), size + 2);
        assert!(rest[..size].ends_with("\n\n"));
    }
}
