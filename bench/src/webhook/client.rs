//! What an API server sends, on a few connections that are kept, each with a thread of its own.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};

/// An ordinary pod: an agent as the KAOS operator makes it.
const REVIEW: &str = include_str!("../../../webhook-core/tests/golden/agent.json");

/// When reviews are sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// So many in a second, whatever the answers do.
    Rate(u32),
    /// The next one as soon as the last is answered.
    Closed,
}

/// How long answers took.
#[derive(Debug, Default)]
pub(super) struct Took {
    since_due: Vec<Duration>,
    since_sent: Vec<Duration>,
    lasted: Duration,
}

impl Took {
    /// How many answers came.
    pub(super) fn len(&self) -> usize {
        self.since_sent.len()
    }

    /// From the first review to the last answer.
    pub(super) fn lasted(&self) -> Duration {
        self.lasted
    }

    /// From the time at which a review was due, late clients included.
    pub(super) fn since_due(&self, percent: f64) -> Duration {
        percentile(&self.since_due, percent)
    }

    /// From the first byte of a review to the last of its answer.
    pub(super) fn since_sent(&self, percent: f64) -> Duration {
        percentile(&self.since_sent, percent)
    }
}

/// Sends reviews for `time`; every answer must hold a patch.
pub(super) fn run(
    address: SocketAddr,
    pace: Pace,
    connections: u32,
    time: Duration,
) -> anyhow::Result<Took> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(connect(address)?);
    }
    let start = Instant::now();
    let mut took = Took::default();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, stream) in (0..).zip(streams) {
            let slots = Slots {
                start,
                number,
                connections,
                pace,
                time,
            };
            threads.push(scope.spawn(move || talk(stream, slots)));
        }
        for thread in threads {
            let one = thread
                .join()
                .map_err(|_panic| anyhow!("a client panicked"))??;
            took.since_due.extend(one.since_due);
            took.since_sent.extend(one.since_sent);
        }
        anyhow::Ok(())
    })?;
    took.lasted = start.elapsed();
    took.since_due.sort_unstable();
    took.since_sent.sort_unstable();
    Ok(took)
}

/// When one of several connections has to send.
#[derive(Clone, Copy)]
struct Slots {
    start: Instant,
    number: u32,
    connections: u32,
    pace: Pace,
    time: Duration,
}

impl Slots {
    /// When its review of this number is due; none after the end.
    fn due(&self, review: u32) -> Option<Instant> {
        let after = match self.pace {
            Pace::Rate(rate) => {
                let all = f64::from(review) * f64::from(self.connections) + f64::from(self.number);
                Duration::from_secs_f64(all / f64::from(rate))
            }
            Pace::Closed => self.start.elapsed(),
        };
        (after < self.time).then(|| self.start + after)
    }
}

fn talk(mut stream: SslStream<TcpStream>, slots: Slots) -> anyhow::Result<Took> {
    let request = request();
    let mut took = Took::default();
    let mut buffer = Vec::new();
    for review in 0.. {
        let Some(due) = slots.due(review) else {
            break;
        };
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        stream.write_all(&request)?;
        answer(&mut stream, &mut buffer)?;
        took.since_sent.push(sent.elapsed());
        took.since_due.push(due.elapsed());
    }
    Ok(took)
}

fn connect(address: SocketAddr) -> anyhow::Result<SslStream<TcpStream>> {
    let stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_verify(SslVerifyMode::NONE);
    let mut config = builder.build().configure()?;
    config.set_verify_hostname(false);
    config
        .connect("localhost", stream)
        .map_err(|error| anyhow!("the handshake failed: {error}"))
}

fn request() -> Vec<u8> {
    format!(
        "POST /mutate?timeout=10s HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{REVIEW}",
        REVIEW.len()
    )
    .into_bytes()
}

/// Reads one answer; an error unless it is a patch and the connection is kept.
fn answer(stream: &mut impl Read, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.clear();
    let mut piece = [0; 16 << 10];
    loop {
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "the webhook closed the connection");
        buffer.extend_from_slice(&piece[..read]);
        let Some(length) = length(buffer)? else {
            continue;
        };
        if buffer.len() >= length {
            ensure!(buffer.len() == length, "more came than one answer");
            let patched = buffer.windows(9).any(|it| it == b"\"patch\":\"");
            ensure!(patched, "the pod was left as it is");
            return Ok(());
        }
    }
}

/// Bytes of the whole answer, once its head is there.
fn length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    if !head.starts_with("http/1.1 200 ") || head.contains("connection: close") {
        bail!("the answer begins {head:?}");
    }
    let body = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let body: usize = body.context("no content-length")?.trim().parse()?;
    Ok(Some(end + 4 + body))
}

fn percentile(sorted: &[Duration], percent: f64) -> Duration {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil();
    #[expect(clippy::cast_sign_loss, reason = "it is never below 0")]
    let at = (rank as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or_default()
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "{rate} reviews a second"),
            Self::Closed => f.write_str("as fast as answers come"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_pace() {
        let slots = |number| Slots {
            start: Instant::now(),
            number,
            connections: 4,
            pace: Pace::Rate(1000),
            time: Duration::from_secs(1),
        };
        let all: usize = (0..4)
            .map(|number| (0..).map_while(|it| slots(number).due(it)).count())
            .sum();
        assert_eq!(all, 1000);
    }

    #[test]
    fn an_answer_is_a_patch_and_leaves_the_connection_open() {
        let body = r#"{"patch":"W10="}"#;
        let with = |head: &str, body: &str| {
            let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            answer(&mut text.as_bytes(), &mut Vec::new())
        };
        assert!(with("HTTP/1.1 200 OK\r\n", body).is_ok());
        assert!(with("HTTP/1.1 200 OK\r\n", "{}").is_err());
        assert!(with("HTTP/1.1 400 Bad Request\r\n", body).is_err());
        assert!(with("HTTP/1.1 200 OK\r\nConnection: close\r\n", body).is_err());
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50.0), Duration::from_millis(50));
        assert_eq!(percentile(&times, 99.0), Duration::from_millis(99));
        assert_eq!(percentile(&times, 100.0), Duration::from_millis(100));
        assert_eq!(percentile(&[], 99.0), Duration::ZERO);
    }
}
