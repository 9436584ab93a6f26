//! kaos-probe at work.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{cpu, http};

/// How long it may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `kaos-probe agent`; it ends with this value.
pub(crate) struct Probe {
    child: Child,
    listen: SocketAddr,
}

/// What it has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Records that were read.
    pub(crate) records: f64,
    /// Records that the ring refused.
    pub(crate) refused: f64,
    /// Bytes that were left out because a turn's credit was spent.
    pub(crate) over_credit: f64,
}

impl Probe {
    /// Starts it with these selectors, and waits until it captures.
    pub(crate) fn start(program: &Path, selectors: &[String]) -> anyhow::Result<Self> {
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = cpu::pinned(cpu::OTHERS, program);
        command.arg("agent").args(["--listen", &listen.to_string()]);
        // Where spans go is another measurement; and warnings about it would disturb this one.
        quiet(&mut command).args(selectors);
        let child = command.spawn().context("cannot start kaos-probe")?;
        let mut probe = Self { child, listen };
        let start = Instant::now();
        while !matches!(http::get(probe.listen, "/readyz"), Ok(Some(_))) {
            if let Some(status) = probe.child.try_wait()? {
                bail!("kaos-probe ended: {status}");
            }
            if start.elapsed() > PATIENCE {
                bail!("kaos-probe is not ready after {PATIENCE:?}");
            }
            sleep(Duration::from_millis(5));
        }
        Ok(probe)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks a server of the observed process until that is seen.
    pub(crate) fn wait_until_it_sees(&self, server: SocketAddr) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.seen()?.records < 1.0 {
            if start.elapsed() > PATIENCE {
                bail!("kaos-probe sees no request of the measured process");
            }
            http::get(server, "/")?;
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What its counters say.
    pub(crate) fn seen(&self) -> anyhow::Result<Seen> {
        let metrics = http::get(self.listen, "/metrics")?.context("kaos-probe has no metrics")?;
        Ok(Seen {
            records: counter(&metrics, "kaos_probe_records_total"),
            refused: counter(
                &metrics,
                "kaos_probe_kernel_events_total{kind=\"ring_full\"}",
            ),
            over_credit: counter(
                &metrics,
                "kaos_probe_kernel_events_total{kind=\"over_credit_bytes\"}",
            ),
        })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// Says so when another kaos-probe runs: it may observe what is measured here.
pub(crate) fn warn_of_others() {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return;
    };
    let others = processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| is_probe(line))
        .count();
    if others > 0 {
        println!("{others} other kaos-probe runs here: its cost is in these figures too");
    }
}

/// Whether a command line is kaos-probe's; that of a process which has ended is empty.
fn is_probe(line: &[u8]) -> bool {
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    program == b"kaos-probe" || program.ends_with(b"/kaos-probe")
}

/// Makes kaos-probe keep its spans and its words to itself.
pub(crate) fn quiet(command: &mut Command) -> &mut Command {
    command
        .env("OTEL_TRACES_EXPORTER", "none")
        .env("OTEL_METRICS_EXPORTER", "none")
        .args(["--log", "error"])
        .stdin(Stdio::null())
}

/// The value of the line of Prometheus' text format that starts with `name`, 0 if there is none.
fn counter(metrics: &str, name: &str) -> f64 {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_known_by_its_command_line() {
        assert!(is_probe(b"/usr/bin/kaos-probe\0watch\0"));
        assert!(!is_probe(b"vi\0kaos-probe\0"));
        assert!(!is_probe(b""));
    }

    #[test]
    fn counters_are_read_from_the_text_format() {
        let text = "# TYPE a_total counter\na_total 7\nb_total{kind=\"x\"} 2.5\n";
        let names = ["a_total", "b_total{kind=\"x\"}", "c_total"];
        let values = names.map(|name| counter(text, name));
        assert_eq!(format!("{values:?}"), "[7.0, 2.5, 0.0]");
    }
}
