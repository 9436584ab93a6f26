//! A backend for OTLP over gRPC that keeps the bytes it gets, as they come.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

/// SETTINGS with the largest window, an ACK of the client's, and the window of the connection:
/// after that a client sends its whole request, and it is all that we want of it.
const HELLO: &[u8] = &[
    0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff, // SETTINGS
    0, 0, 0, 4, 1, 0, 0, 0, 0, // SETTINGS, ACK
    0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0, 0, // WINDOW_UPDATE
];

/// Listens until the process ends.
#[derive(Debug)]
pub struct Sink {
    port: u16,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Sink {
    /// On a free port of loopback.
    pub fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
        let port = listener.local_addr()?.port();
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&bytes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                thread::spawn(move || drain(stream, &all));
            }
        });
        Ok(Self { port, bytes })
    }

    /// Where it is, as `OTEL_EXPORTER_OTLP_ENDPOINT` says it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether this text has come. Protobuf leaves strings as they are.
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }

    /// How many bytes have come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// True if nothing has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn drain(mut stream: TcpStream, all: &Mutex<Vec<u8>>) {
    if stream.write_all(HELLO).is_err() {
        return;
    }
    let mut piece = [0; 16 << 10];
    while let Ok(count) = stream.read(&mut piece) {
        if count == 0 {
            break;
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(&piece[..count]);
    }
}
