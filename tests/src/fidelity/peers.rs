//! Real servers in their own processes, by `cargo xtask peers`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::process::Running;

/// A real server that answers.
#[derive(Debug)]
pub struct PeerServer {
    /// The program that looks after the server, and ends with it.
    keeper: Running,
    group: Pid,
    port: u16,
    tls: bool,
    dir: PathBuf,
}

/// The longest that an installed server takes to start.
const START_TIME: Duration = Duration::from_mins(2);

impl PeerServer {
    /// Starts a server on a free port and waits until it answers.
    pub fn start(name: &str, upstream: Option<&str>, tls: bool, folder: &Path) -> Result<Self> {
        Self::start_with(name, upstream, tls, folder, &BTreeMap::new())
    }

    /// The same with more variables in its environment.
    pub fn start_with(
        name: &str,
        upstream: Option<&str>,
        tls: bool,
        folder: &Path,
        env: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        command.args(["xtask", "peers", "run", name, "--port", &port.to_string()]);
        let dir = folder.join(format!("{name}-{port}"));
        command.arg("--dir").arg(&dir);
        if let Some(upstream) = upstream {
            command.args(["--upstream", upstream]);
        }
        if tls {
            command.arg("--tls");
        }
        for (name, value) in env {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        let keeper = Running::start(&mut command, &folder.join(format!("{name}-{port}.err")))?;
        let deadline = Instant::now() + START_TIME;
        loop {
            let line = keeper.line(deadline)?;
            let Some(line) = line else {
                bail!("{name} did not start; see {name}-{port}.err")
            };
            let Some(rest) = line.strip_prefix("ready ") else {
                continue;
            };
            let pid = rest.split(' ').nth(1).and_then(|pid| pid.parse().ok());
            let group = pid
                .and_then(Pid::from_raw)
                .context("`ready` names a process")?;
            return Ok(Self {
                keeper,
                group,
                port,
                tls,
                dir,
            });
        }
    }

    /// Its base URL.
    #[must_use]
    pub fn base(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Its port, by which its spans are known.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it keeps its state.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for PeerServer {
    fn drop(&mut self) {
        // The keeper sees the end of its server and ends too; a server that is gone is no matter.
        let asked = kill_process_group(self.group, Signal::TERM);
        if asked.is_ok() {
            let deadline = Instant::now() + Duration::from_secs(10);
            while let Ok(Some(_)) = self.keeper.line(deadline) {}
        }
    }
}

/// A port of loopback that nobody has, nor the two after it: the collector takes all three.
pub(crate) fn free_port() -> Result<u16> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        let first = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        let port = first.local_addr()?.port();
        let is_free = |after: u16| {
            let other = port.checked_add(after);
            other.is_some_and(|other| TcpListener::bind(("127.0.0.1", other)).is_ok())
        };
        if is_free(1) && is_free(2) {
            return Ok(port);
        }
    }
    bail!("no three free ports in a row")
}
