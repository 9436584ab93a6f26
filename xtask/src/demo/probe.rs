//! The probe beside the agent system: one that tells people, one that tells the demo.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::span::Span;
use super::tree::Names;
use crate::interrupt;

/// How long the probe may take until it sees its first call; the promise is a second, but the
/// machine may be busy with the build of something else.
const FIRST_CALL_WITHIN: Duration = Duration::from_secs(30);
/// How long the probe may take to end when asked.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Two running `kaos-probe watch`: lines on the terminal, spans in a file.
pub(crate) struct Probe {
    lines: Watch,
    spans: Watch,
    file: PathBuf,
    log: PathBuf,
}

/// A running `kaos-probe watch`; ended when dropped.
struct Watch(Child);

impl Probe {
    /// Starts both, to show the calls of the demo's own `parts`: others may call models on this
    /// host too, and neither the trees nor the account of the demo's model server are theirs.
    /// `otlp` names where spans go besides, for the UI.
    pub(crate) fn start(
        program: &Path,
        dir: &Path,
        parts: &Names,
        otlp: Option<&str>,
    ) -> Result<Self> {
        let pids: Vec<String> = parts
            .iter()
            .map(|(pid, _)| format!("--pid={pid}"))
            .collect();
        let file = dir.join("spans.jsonl");
        let log = dir.join("probe.log");
        let mut json = Command::new(program);
        json.args(["watch", "--json"])
            .args(&pids)
            .stdout(File::create(&file)?)
            .stderr(File::create(&log)?);
        if let Some(endpoint) = otlp {
            // The UI takes traces only, and by HTTP on the port that it shows itself on.
            json.arg("--otlp")
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
                .env("OTEL_METRICS_EXPORTER", "none");
        }
        let spans = Watch::start(&mut json)?;
        let mut probe = Self {
            lines: Watch::start(Command::new(program).arg("watch").args(&pids))?,
            spans,
            file,
            log,
        };
        probe.check()?;
        Ok(probe)
    }

    /// Does `call` until a span of it comes out.
    pub(crate) fn wait_until_it_sees(&mut self, call: impl Fn() -> Result<()>) -> Result<Duration> {
        let start = Instant::now();
        while self.spans()?.is_empty() {
            if start.elapsed() > FIRST_CALL_WITHIN {
                bail!("the probe sees no call; its log is {}", self.log.display());
            }
            self.check()?;
            interrupt::check()?;
            call()?;
            sleep(Duration::from_millis(250));
        }
        Ok(start.elapsed())
    }

    /// Every span so far.
    pub(crate) fn spans(&self) -> Result<Vec<Span>> {
        let text = std::fs::read_to_string(&self.file)
            .with_context(|| format!("cannot read {}", self.file.display()))?;
        // What follows the last line end is a line that is being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Span::parse).collect()
    }

    /// Ends both, so that everything that was seen is written.
    pub(crate) fn stop(mut self) -> Result<Vec<Span>> {
        self.spans.end();
        self.lines.end();
        self.spans()
    }

    /// An error if one of them has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        for watch in [&mut self.spans, &mut self.lines] {
            if let Some(status) = watch.0.try_wait()? {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("kaos-probe watch ended ({status}):\n{log}");
            }
        }
        Ok(())
    }
}

impl Watch {
    /// In a process group of its own, so that Ctrl-C reaches the demo alone, which then ends
    /// the probe when the last span is out.
    fn start(command: &mut Command) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start kaos-probe")?;
        Ok(Self(child))
    }

    fn end(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
            && matches!(self.0.try_wait(), Ok(None))
        {
            kill_process(pid, Signal::INT).ok();
        }
        let deadline = Instant::now() + END_WITHIN;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}
