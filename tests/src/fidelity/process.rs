//! Child processes: the fakes and the clients.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::fake::log::Record;

/// A child that is killed when it is dropped, and whose lines are read.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    /// Starts a command. Its stderr goes to `errors`.
    pub fn start(command: &mut Command, errors: &Path) -> Result<Self> {
        let errors = std::fs::File::create(errors).context("make the file for its errors")?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut child = command
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let stdout = child.stdout.take().context("its stdout is piped")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            lines,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its next line; `None` at the end of its output.
    pub fn line(&self, deadline: Instant) -> Result<Option<String>> {
        match self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("it said nothing more within its time"),
        }
    }

    /// Sends an empty line.
    pub fn go(&mut self) -> Result<()> {
        let stdin = self.stdin.as_mut().context("it has a stdin")?;
        stdin.write_all(b"\n").context("tell it to go on")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to be done about a failure here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A fake server in its own process.
#[derive(Debug)]
pub struct FakeServer {
    running: Running,
    plain: SocketAddr,
    tls: SocketAddr,
    log: PathBuf,
}

impl FakeServer {
    /// Starts one and waits until it listens.
    pub fn start(folder: &Path, name: &str) -> Result<Self> {
        let log = folder.join(format!("{name}.jsonl"));
        let mut command = Command::new(std::env::current_exe().context("find ourselves")?);
        command.args([
            "fake",
            "--listen",
            "127.0.0.1:0",
            "--listen-tls",
            "127.0.0.1:0",
        ]);
        command.args(["--run", name]).arg("--log").arg(&log);
        command
            .arg("--certificates")
            .arg(folder.join("certificates"));
        let running = Running::start(&mut command, &folder.join(format!("{name}.err")))?;
        let line = running.line(Instant::now() + Duration::from_secs(10))?;
        let line = line.context("the fake ended at once")?;
        let addresses: Option<Vec<SocketAddr>> = line
            .split(' ')
            .skip(1)
            .map(|address| address.parse().ok())
            .collect();
        let Some([plain, tls]) = addresses.as_deref() else {
            bail!("the fake said {line:?}")
        };
        Ok(Self {
            plain: *plain,
            tls: *tls,
            running,
            log,
        })
    }

    /// Its base URL.
    #[must_use]
    pub fn base(&self, tls: bool) -> String {
        let (scheme, address) = if tls {
            ("https", self.tls)
        } else {
            ("http", self.plain)
        };
        format!("{scheme}://127.0.0.1:{}", address.port())
    }

    /// Its plain address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.plain
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// All that it has logged so far.
    pub fn records(&self) -> Result<Vec<Record>> {
        let text = std::fs::read_to_string(&self.log).context("read the fake's log")?;
        // The last line may be in the middle of its write.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete
            .lines()
            .map(|line| serde_json::from_str(line).context("a line of it"))
            .collect()
    }
}

/// What a client says of one call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClientLine {
    /// It is ready for the probe.
    pub ready: Option<u32>,
    /// The model that it asked for.
    pub asked: String,
    /// One of the calls before the probe.
    pub held: bool,
    /// The process that made the call.
    pub pid: u32,
    /// When it had the whole answer, on the log's clock.
    pub end: u64,
    /// The id that it saw.
    pub id: Option<String>,
    /// The model that it saw.
    pub answered: Option<String>,
    /// Input tokens that it saw.
    pub input: Option<u64>,
    /// Output tokens that it saw.
    pub output: Option<u64>,
    /// The exception that it got.
    pub error: Option<String>,
    /// Its message.
    pub why: Option<String>,
}

/// A client's lines until it is ready, or until its end.
pub fn client_lines(
    running: &Running,
    until_ready: bool,
    time: Duration,
) -> Result<Vec<ClientLine>> {
    let deadline = Instant::now() + time;
    let mut lines = Vec::new();
    while let Some(text) = running.line(deadline)? {
        let Ok(line) = serde_json::from_str::<ClientLine>(&text) else {
            continue;
        };
        if line.ready.is_some() && until_ready {
            return Ok(lines);
        }
        lines.push(line);
    }
    if until_ready {
        bail!("the client ended before it was ready");
    }
    Ok(lines)
}
