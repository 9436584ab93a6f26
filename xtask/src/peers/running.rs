//! A peer that runs: started in its own process group, ready when it answers, stopped on drop.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::http;
use crate::cmd::read;
use crate::interrupt;

/// How long a peer may take until it answers. Seconds are usual; a Python server that shares two
/// cores with eight builds was seen to take two and a half minutes.
const START_WITHIN: Duration = Duration::from_mins(5);
/// How often a starting peer is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long a peer may take to stop by itself before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How to see that a peer serves.
#[derive(Clone)]
pub(crate) enum Ready {
    /// `GET http://127.0.0.1:PORT/PATH` is answered with a status below 500.
    Http {
        /// The port on loopback.
        port: u16,
        /// The path with its slash.
        path: &'static str,
    },
    /// The same over TLS, with this certificate authority.
    Https {
        /// The port on loopback.
        port: u16,
        /// The path with its slash.
        path: &'static str,
        /// The file with the authority's certificate.
        ca: PathBuf,
    },
    /// Somebody takes connections at this address.
    Listens(SocketAddr),
    /// The same of a socket in the file system.
    Socket(PathBuf),
    /// It runs: there is nothing to ask.
    #[cfg(test)]
    Started,
}

/// A started peer; dropping it stops it and its children.
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    started_in: Duration,
}

impl Running {
    /// Starts `command` with its output in `log` and waits until it is ready.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        ready: &Ready,
        log: &Path,
    ) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let start = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut running = Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            started_in: Duration::ZERO,
        };
        while !ready.holds() {
            if let Some(status) = running.exited()? {
                bail!("{name} ended at once ({status}):\n{}", running.log_tail());
            }
            if start.elapsed() > START_WITHIN {
                bail!(
                    "{name} is not ready after {} s:\n{}",
                    START_WITHIN.as_secs(),
                    running.log_tail()
                );
            }
            interrupt::check()?;
            sleep(ASK_EVERY);
        }
        running.started_in = start.elapsed();
        Ok(running)
    }

    /// The process id, also the id of its group.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long it took to become ready.
    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Everything that the peer wrote so far.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its exit status, once it has ended.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Resident memory of the process itself in KiB, by /proc.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    }

    /// Asks the whole group to end, waits, then kills what is left.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        self.end();
        self.child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Lets it run on after us; somebody else stops it, by its process id.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }

    fn end(&mut self) {
        let Ok(Some(group)) = i32::try_from(self.child.id()).map(Pid::from_raw) else {
            return;
        };
        // A group that is gone already is what we want: errors tell nothing here.
        kill_process_group(group, Signal::TERM).ok();
        let deadline = Instant::now() + STOP_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        // Also after the leader's own end: its children may have stayed.
        kill_process_group(group, Signal::KILL).ok();
        self.child.wait().ok();
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Ready {
    fn holds(&self) -> bool {
        match self {
            #[cfg(test)]
            Self::Started => true,
            Self::Listens(address) => TcpStream::connect(address).is_ok(),
            Self::Socket(path) => UnixStream::connect(path).is_ok(),
            Self::Http { port, path } => {
                http::get(*port, path, Duration::from_secs(2)).is_ok_and(|r| r.status < 500)
            }
            Self::Https { port, path, ca } => {
                let mut curl = Command::new("curl");
                curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
                    .args(["--max-time", "2", "--cacert"])
                    .arg(ca)
                    .arg(format!("https://localhost:{port}{path}"))
                    .stdin(Stdio::null());
                let status = read(&mut curl).ok().and_then(|text| text.parse().ok());
                // Who refuses is not ready: an API server says 403 before it knows its users.
                status.is_some_and(|status: u16| status < 300 || status == 404)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-running-{name}-{}", std::process::id()))
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn alive(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_dropped_peer_takes_its_children_along() {
        let log = log("children");
        let running = Running::start(
            "shell",
            shell("sleep 1000 & echo $!; wait"),
            &Ready::Started,
            &log,
        )
        .expect("starts");
        let deadline = Instant::now() + Duration::from_secs(5);
        let child: u32 = loop {
            if let Ok(pid) = running.log().trim().parse() {
                break pid;
            }
            assert!(Instant::now() < deadline, "the shell says its child's pid");
            std::thread::yield_now();
        };
        assert!(alive(child));
        drop(running);
        let deadline = Instant::now() + Duration::from_secs(5);
        while alive(child) {
            assert!(Instant::now() < deadline, "the child is gone");
            std::thread::yield_now();
        }
        std::fs::remove_file(log).expect("can be removed");
    }

    #[test]
    fn a_peer_that_ends_at_once_is_an_error_with_its_log() {
        let log = log("ends");
        let started = Running::start(
            "shell",
            shell("echo no such model; exit 4"),
            &Ready::Http { port: 1, path: "/" },
            &log,
        );
        let error = started.err().expect("fails").to_string();
        assert!(error.contains("no such model"), "{error}");
        std::fs::remove_file(log).expect("can be removed");
    }
}
