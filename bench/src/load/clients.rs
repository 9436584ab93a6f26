//! A thousand clients that read what comes, each on a thread of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

use super::Transport;
use crate::http;

/// What a client needs: a blocking read and a buffer.
const STACK: usize = 256 << 10;

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// What all clients share.
struct Shared {
    address: SocketAddr,
    connector: Option<SslConnector>,
    connected: Barrier,
    model: OnceLock<String>,
    start: Barrier,
    chunks: AtomicU64,
}

/// Connections that wait for [`Clients::go`].
pub(crate) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Clients {
    /// Connects all of them; TLS has shaken hands when this returns.
    pub(crate) fn connect(
        address: SocketAddr,
        transport: Transport,
        count: usize,
    ) -> anyhow::Result<Self> {
        let connector = match transport {
            Transport::Plain => None,
            Transport::Tls => {
                let mut builder = SslConnector::builder(SslMethod::tls_client())?;
                builder.set_verify(SslVerifyMode::NONE);
                Some(builder.build())
            }
        };
        let shared = Arc::new(Shared {
            address,
            connector,
            connected: Barrier::new(count + 1),
            model: OnceLock::new(),
            start: Barrier::new(count + 1),
            chunks: AtomicU64::new(0),
        });
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().stack_size(STACK);
            threads.push(
                thread
                    .spawn(move || client(&shared))
                    .context("no thread for a client")?,
            );
        }
        shared.connected.wait();
        Ok(Self { shared, threads })
    }

    /// Lets all of them ask for a stream.
    pub(crate) fn go(&self, model: &str) {
        self.shared.model.get_or_init(|| model.to_owned());
        self.shared.start.wait();
    }

    /// Chunks that have come.
    pub(crate) fn chunks(&self) -> u64 {
        self.shared.chunks.load(Ordering::Relaxed)
    }

    /// Waits for the end of all streams.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        for thread in self.threads {
            thread
                .join()
                .map_err(|_panic| anyhow!("a client panicked"))??;
        }
        Ok(())
    }
}

fn client(shared: &Shared) -> anyhow::Result<()> {
    let connected = connect(shared);
    // Whoever fails must not keep the others waiting.
    shared.connected.wait();
    shared.start.wait();
    let mut stream = connected?;
    let model = shared.model.get().map_or("", String::as_str);
    stream.write_all(&http::request(model))?;
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer)?;
        let bytes = &buffer[..n];
        shared.chunks.fetch_add(events(bytes), Ordering::Relaxed);
        if n == 0 || bytes.ends_with(b"\r\n0\r\n\r\n") || bytes == b"0\r\n\r\n" {
            return Ok(());
        }
    }
}

fn connect(shared: &Shared) -> anyhow::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(shared.address).context("cannot connect")?;
    let Some(connector) = &shared.connector else {
        return Ok(Box::new(stream));
    };
    let mut config = connector.configure()?;
    config.set_verify_hostname(false);
    let stream = config
        .connect("localhost", stream)
        .map_err(|error| anyhow!("the handshake failed: {error}"))?;
    Ok(Box::new(stream))
}

/// Events that begin in `bytes`. A chunk is written at once and seldom cut; a beginning that is
/// cut is one of many thousands.
fn events(bytes: &[u8]) -> u64 {
    bytes
        .windows(6)
        .filter(|window| *window == b"data: ")
        .count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_their_beginning() {
        assert_eq!(events(b"5\r\ndata: x\n\ndata: y\n\n"), 2);
        assert_eq!(events(b"dat"), 0);
    }
}
