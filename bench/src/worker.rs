//! The process that is measured, seen from outside.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum as _;

use crate::stats::field;
use crate::work::{Kind, Plan};
use crate::{cpu, http};

/// A child of ours; it ends with this value.
pub(crate) struct Worker {
    child: Child,
    plans: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it said when it was ready.
    hello: String,
}

impl Worker {
    /// Starts one, and waits until it is ready.
    pub(crate) fn start(kind: Kind) -> anyhow::Result<Self> {
        let name = kind
            .to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default();
        Self::run(Command::new("/proc/self/exe").args(["work", &name]))
    }

    /// Starts a program that takes plans as [`crate::work`] does, and waits until it is ready.
    pub(crate) fn run(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the process to measure")?;
        let plans = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        let mut worker = Self {
            child,
            plans,
            answers: BufReader::new(answers),
            hello: String::new(),
        };
        worker.hello = worker.line()?;
        Ok(worker)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A port that it named when it was ready.
    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        field(&self.hello, name)
    }

    /// Nanoseconds of each kind of operation, as a line of `name=value`.
    pub(crate) fn measure(&mut self, plan: Plan) -> anyhow::Result<String> {
        self.plans.write_all(plan.line().as_bytes())?;
        // Where its stream is to be had.
        let peer = self.port("port").map(drain);
        let line = self.line()?;
        if let Some(peer) = peer {
            peer.join()
                .map_err(|_panic| anyhow!("the peer panicked"))??;
        }
        Ok(line)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let n = self.answers.read_line(&mut line)?;
        anyhow::ensure!(n > 0, "the measured process has ended");
        Ok(line)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It is ours, and has nothing to tidy up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for a stream, and reads it to its end on another processor.
fn drain(port: u16) -> JoinHandle<anyhow::Result<()>> {
    thread::spawn(move || {
        cpu::pin(cpu::OTHERS)?;
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(&http::request("bench"))?;
        let mut buffer = vec![0; 64 << 10];
        while stream.read(&mut buffer)? > 0 {}
        Ok(())
    })
}
