//! A model that remembers which number each of its answers belongs to.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use openssl::ssl::SslAcceptor;

use super::load::Stream;

/// How long it thinks: so long that many calls overlap.
const THINKS: Duration = Duration::from_millis(30);

/// A running model, in threads of this process; they end with it.
#[derive(Debug)]
pub(super) struct Model {
    address: SocketAddr,
    numbers: Numbers,
}

/// The number in the request, by the id of the answer.
type Numbers = Arc<Mutex<HashMap<String, u64>>>;

impl Model {
    /// Starts to serve, with TLS if there is an acceptor.
    pub(super) fn start(tls: Option<SslAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
        let address = listener.local_addr()?;
        let numbers = Numbers::default();
        let shared = Arc::clone(&numbers);
        thread::spawn(move || {
            // Ports come back, numbers do not.
            for (conn, stream) in (0..).zip(listener.incoming().map_while(Result::ok)) {
                let (numbers, tls) = (Arc::clone(&shared), tls.clone());
                // A connection that breaks is its client's matter.
                thread::spawn(move || drop(accept(stream, tls, conn, &numbers)));
            }
        });
        Ok(Self { address, numbers })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many calls with numbers below this one it was asked for.
    pub(super) fn asked(&self, below: u64) -> usize {
        let numbers = self.numbers();
        numbers.values().filter(|number| **number < below).count()
    }

    /// The number in the call that was answered with this id.
    pub(super) fn number(&self, id: &str) -> Option<u64> {
        let numbers = self.numbers.lock();
        let numbers = numbers.unwrap_or_else(PoisonError::into_inner);
        numbers.get(id).copied()
    }

    pub(super) fn numbers(&self) -> HashMap<String, u64> {
        self.numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn accept(stream: TcpStream, tls: Option<SslAcceptor>, conn: u64, numbers: &Numbers) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream: Stream = match tls {
        Some(tls) => Box::new(tls.accept(stream)?),
        None => Box::new(stream),
    };
    serve(BufReader::new(stream), conn, numbers)
}

fn serve(mut reader: BufReader<Stream>, conn: u64, numbers: &Numbers) -> Result<()> {
    for nth in 0.. {
        let Some(body) = request(&mut reader)? else {
            return Ok(());
        };
        thread::sleep(THINKS);
        let id = format!("chatcmpl-{conn}-{nth}");
        let text = String::from_utf8_lossy(&body);
        if let Some(number) = number_in(&text) {
            let mut numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.insert(id.clone(), number);
        }
        // The probe's own start is measured with calls of this model.
        let warm = text.split("fake-n1-twarm").nth(1).is_some();
        let id = if warm {
            format!("fake-n1-twarm{nth}")
        } else {
            id
        };
        let answer = format!(
            r#"{{"id":"{id}","object":"chat.completion","model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"ok"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}}}"#
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        reader.get_mut().write_all((head + &answer).as_bytes())?;
        if warm {
            return Ok(());
        }
    }
    Ok(())
}

/// The body of the next request; `None` at the end of the connection.
fn request(reader: &mut BufReader<Stream>) -> Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let field = line.trim_end().to_ascii_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse().context("a content-length")?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

fn number_in(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("number=")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..digits].parse().ok()
}
