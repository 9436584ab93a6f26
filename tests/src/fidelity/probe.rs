//! The probe under test, and the spans that it prints.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::span::SeenSpan;
use crate::clock::{epoch_offset, monotonic};

/// The longest that the probe may take to see its first call.
const START_TIME: Duration = Duration::from_mins(1);

/// A running `kaos-probe watch --json`.
#[derive(Debug)]
pub struct Probe {
    child: Child,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
    /// From its start to the line of the first call that it saw.
    pub first_call: Duration,
}

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<SeenSpan>,
    unreadable: Vec<String>,
}

impl Probe {
    /// Starts the probe and calls the fake until a call is seen.
    pub fn start(binary: &Path, extra: &[String], folder: &Path, fake: SocketAddr) -> Result<Self> {
        let started = Instant::now();
        let errors = std::fs::File::create(folder.join("probe.err"))?;
        let mut command = Command::new(binary);
        command.args(["watch", "--json"]).args(extra);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut child = command
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let stdout = child.stdout.take().context("its stdout is piped")?;
        let lines = std::fs::File::create(folder.join("spans.jsonl"))?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let reader = {
            let seen = Arc::clone(&seen);
            thread::spawn(move || read(stdout, lines, &seen))
        };
        let mut probe = Self {
            child,
            seen,
            reader: Some(reader),
            first_call: Duration::ZERO,
        };
        probe.wait_for_first_call(fake, started)?;
        probe.first_call = started.elapsed();
        Ok(probe)
    }

    /// The spans so far that `wanted` wants.
    pub fn spans(&self, wanted: impl Fn(&SeenSpan) -> bool) -> Vec<SeenSpan> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.spans
            .iter()
            .filter(|span| wanted(span))
            .cloned()
            .collect()
    }

    /// The probe's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes all spans so far.
    pub fn take(&self) -> Vec<SeenSpan> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut seen.spans)
    }

    /// Waits until so many spans are there that `wanted` wants, or the time is over.
    pub fn wait(&self, count: usize, time: Duration, wanted: impl Fn(&SeenSpan) -> bool) {
        let deadline = Instant::now() + time;
        while self.spans(&wanted).len() < count && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it with SIGTERM and gives all spans and all lines that were none.
    pub fn stop(mut self) -> Result<(Vec<SeenSpan>, Vec<String>)> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("a process id is positive")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the probe did not end within 10 s of SIGTERM");
            }
            thread::sleep(Duration::from_millis(10));
        }
        if let Some(reader) = self.reader.take() {
            // A panic of the reader has been printed already, and its lines are missing.
            drop(reader.join());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((
            std::mem::take(&mut seen.spans),
            std::mem::take(&mut seen.unreadable),
        ))
    }

    fn wait_for_first_call(&mut self, fake: SocketAddr, started: Instant) -> Result<()> {
        for number in 0.. {
            if let Some(status) = self.child.try_wait()? {
                bail!("the probe ended at once: {status}; see probe.err");
            }
            if started.elapsed() > START_TIME {
                bail!("the probe saw no call within {START_TIME:?} of its start");
            }
            call_once(fake, number)?;
            self.wait(1, Duration::from_millis(50), is_warm);
            if !self.spans(is_warm).is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // After `stop` it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The calls by which the start is measured.
pub(crate) fn is_warm(span: &SeenSpan) -> bool {
    span.key()
        .is_some_and(|key| key.starts_with("fake-n1-twarm"))
}

fn read(stdout: impl std::io::Read, mut copy: std::fs::File, seen: &Mutex<Seen>) {
    let offset = epoch_offset();
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let arrived = monotonic() + offset;
        // The copy is for whoever looks into a failure.
        drop(writeln!(copy, "{line}"));
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match SeenSpan::parse(&line, arrived) {
            Ok(span) => seen.spans.push(span),
            Err(error) => seen.unreadable.push(format!("{error:#}: {line}")),
        }
    }
}

fn call_once(fake: SocketAddr, number: u32) -> Result<()> {
    let body = format!(r#"{{"model":"fake-n1-twarm{number}","messages":[]}}"#);
    let mut stream = TcpStream::connect(fake).context("reach the fake")?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {fake}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}
