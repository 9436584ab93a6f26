//! The fake server of the end-to-end tests, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::Transport;
use crate::cpu;

/// A running kaos-fake; it ends with this value.
pub(crate) struct Server {
    child: Child,
    addresses: Vec<SocketAddr>,
    folder: PathBuf,
}

impl Server {
    /// Starts it on the measured processor.
    pub(crate) fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("kaos-bench-{}", std::process::id()));
        let mut child = cpu::pinned(cpu::MEASURED, program)
            .args([
                "--fast",
                "--listen",
                "127.0.0.1:0",
                "--listen-tls",
                "127.0.0.1:0",
            ])
            .arg("--certificates")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start kaos-fake")?;
        let mut line = String::new();
        let out = child.stdout.take().context("no standard output")?;
        BufReader::new(out).read_line(&mut line)?;
        let addresses: Vec<SocketAddr> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let server = Self {
            child,
            addresses,
            folder,
        };
        ensure!(server.addresses.len() == 2, "kaos-fake says {line:?}");
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Plain => self.addresses[0],
            Transport::Tls => self.addresses[1],
        }
    }

    /// Processor time that it has had, in user space and in the kernel.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::spent(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is ours, and has nothing to tidy up.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
