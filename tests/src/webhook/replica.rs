//! A replica of the webhook in its own process.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::cluster::{sum, until};

/// How long a replica may take until it is ready; a second is what we promise, with a
/// certificate that is there.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How replicas are started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The binary.
    pub binary: PathBuf,
    /// Where logs go.
    pub folder: PathBuf,
    /// As whom it talks to the API server.
    pub kubeconfig: PathBuf,
    /// Arguments of every replica.
    pub arguments: Vec<String>,
}

/// A running replica; killed when it is dropped.
#[derive(Debug)]
pub struct Replica {
    child: Child,
    port: u16,
    admin: u16,
    log: PathBuf,
}

impl Program {
    /// Starts a replica on free ports; it may take a moment until it is ready.
    pub fn start(&self, name: &str) -> Result<Replica> {
        self.start_on(name, free_port()?)
    }

    /// The same on a given port for reviews.
    pub fn start_on(&self, name: &str, port: u16) -> Result<Replica> {
        let admin = free_port()?;
        let log = self.folder.join(format!("{name}.log"));
        // It ends with us, even if we are killed.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.binary)
            .arg("serve")
            .env("KUBECONFIG", &self.kubeconfig)
            .args(&self.arguments)
            .arg(format!("--listen=0.0.0.0:{port}"))
            .arg(format!("--admin-listen=127.0.0.1:{admin}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).with_context(|| format!("write {}", log.display()))?);
        let child = command.spawn().context("start the webhook")?;
        Ok(Replica {
            child,
            port,
            admin,
            log,
        })
    }
}

impl Replica {
    /// The port for reviews.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it says that it is ready; gives the time since this call.
    pub async fn ready(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let deadline = start + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the webhook ended: {status}: {}", self.last_words());
            }
            if self.is_ready().await {
                return Ok(start.elapsed());
            }
            if Instant::now() > deadline {
                bail!("the webhook is not ready: {}", self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it takes connections, ready or not.
    pub async fn listens(&self) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        until(READY_WITHIN, "the webhook listens", async || {
            Ok(TcpStream::connect(address).await.is_ok())
        })
        .await
    }

    /// What its readiness says now.
    pub async fn is_ready(&self) -> bool {
        let answer = self.admin("/readyz").await;
        answer.is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
    }

    /// The sum of one of its metrics over all labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        Ok(sum(&self.admin("/metrics").await?, name))
    }

    /// All its metrics, as text.
    pub async fn metrics(&self) -> Result<String> {
        self.admin("/metrics").await
    }

    /// Waits until a metric has this value.
    pub async fn metric_becomes(&self, name: &str, value: usize, within: Duration) -> Result<()> {
        let what = format!("{name} = {value}");
        until(within, &what, async || {
            let now = self.metric(name).await?;
            Ok((now - value as f64).abs() < 0.5)
        })
        .await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process id")?, signal).context("signal the webhook")
    }

    /// Waits for its end; gives its exit code, none if a signal ended it.
    pub async fn ended(&mut self, within: Duration) -> Result<Option<i32>> {
        let mut code = None;
        until(within, "the webhook's end", async || {
            let status = self.child.try_wait()?;
            code = status.and_then(|status| status.code());
            Ok(status.is_some())
        })
        .await?;
        Ok(code)
    }

    /// Resident memory at its highest, in KiB.
    pub fn peak_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(number.context("a high-water mark")?.trim().parse()?)
    }

    /// Whether all its threads have stopped: a signal returns before they have.
    pub fn is_stopped(&self) -> Result<bool> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = std::fs::read_to_string(task?.path().join("stat"))?;
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            if !state.is_some_and(|state| state.starts_with('T')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// `GET` from its admin port: head and body as they came.
    async fn admin(&self, path: &str) -> Result<String> {
        let talk = async {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin));
            let mut stream = TcpStream::connect(address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            anyhow::Ok(text)
        };
        let limit = Duration::from_secs(2);
        tokio::time::timeout(limit, talk)
            .await
            .context("the admin port is silent")?
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to be done about a failure here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?
        .local_addr()?
        .port())
}
