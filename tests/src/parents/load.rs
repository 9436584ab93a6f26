//! Requests to the server, so many at once, on connections that are kept.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use openssl::ssl::SslConnector;

/// A connection, with or without TLS.
pub(super) type Stream = Box<dyn ReadWrite + Send>;

/// Both ways.
pub(super) trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

/// A port that nobody listens on now.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Waits until the server listens.
pub(super) fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(3);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            bail!("the server does not listen; see server.err");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Where requests go.
pub(super) struct Target<'a> {
    /// The server's port on loopback.
    pub(super) port: u16,
    /// The path before the number.
    pub(super) path: &'a str,
    /// How to connect where the server wants TLS.
    pub(super) tls: Option<SslConnector>,
}

/// Sends requests with these numbers, `at_once` at a time.
pub(super) fn run(target: &Target<'_>, numbers: Range<usize>, at_once: usize) -> Result<()> {
    let next = AtomicUsize::new(numbers.start);
    let work = || -> Result<()> {
        let mut kept = None;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return Ok(());
            }
            let mut reader = kept.take().map_or_else(|| connect(target), Ok)?;
            let keeps = exchange(&mut reader, target.path, number);
            if keeps.with_context(|| format!("request {number}"))? {
                kept = Some(reader);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_panic| anyhow!("a worker panicked"))?
        })
    })
}

fn connect(target: &Target<'_>) -> Result<BufReader<Stream>> {
    let address = ("127.0.0.1", target.port);
    let stream = TcpStream::connect(address).context("reach the server")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_mins(3)))?;
    let stream: Stream = match &target.tls {
        Some(tls) => Box::new(tls.connect("localhost", stream)?),
        None => Box::new(stream),
    };
    Ok(BufReader::new(stream))
}

/// One request with its answer; true when the server keeps the connection.
fn exchange(reader: &mut BufReader<Stream>, path: &str, number: usize) -> Result<bool> {
    let head = format!(
        "POST /{path}/{number} HTTP/1.1\r\nhost: server\r\ncontent-type: application/json\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    reader.get_mut().write_all(head.as_bytes())?;
    let status = line(reader)?;
    if !status.contains(" 200") {
        bail!("the server answered {status}");
    }
    let (mut length, mut chunked, mut keeps) = (0, false, true);
    loop {
        let field = line(reader)?.to_ascii_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        keeps &= field != "connection: close";
        chunked |= field.starts_with("transfer-encoding:") && field.contains("chunked");
    }
    if !chunked {
        reader.read_exact(&mut vec![0; length])?;
        return Ok(keeps);
    }
    loop {
        let size = usize::from_str_radix(&line(reader)?, 16)?;
        reader.read_exact(&mut vec![0; size + 2])?;
        if size == 0 {
            return Ok(keeps);
        }
    }
}

fn line(reader: &mut BufReader<Stream>) -> Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        bail!("the server closed the connection");
    }
    Ok(line.trim_end().to_owned())
}
