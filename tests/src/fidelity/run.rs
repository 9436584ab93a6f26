//! Runs the cells, one after the other, beside one probe.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::FidelityArgs;
use super::cells::{self, Cell, Check, PARENT_ID, TRACE_ID, When};
use super::clients::Runtimes;
use super::compare::{Given, Verdict, compare};
use super::probe::{Probe, is_warm};
use super::process::{ClientLine, FakeServer, Running, client_lines};
use super::real;
use super::real_run;
use super::report::{Report, Row};
use super::span::{Kind, SeenSpan};
use super::witness;
use crate::built;
use crate::clock::{epoch_offset, monotonic};
use crate::fake::log::Record;

/// The longest that one cell's client may take.
const CLIENT_TIME: Duration = Duration::from_mins(2);
/// The longest that we wait for spans after a client's end.
const SPAN_TIME: Duration = Duration::from_secs(10);
/// A span must leave the probe this soon after its call's end, in milliseconds.
const OUT_AFTER: f64 = 1000.0;

/// Runs all that is asked for.
pub(super) fn matrix(args: &FidelityArgs) -> Result<Report> {
    let mut matrix = Matrix::prepare(args)?;
    let cells = cells::all(args.quick);
    let named: Vec<(String, Cell)> = cells
        .into_iter()
        .enumerate()
        .filter(|(_, cell)| args.wants(&cell.name()))
        .map(|(number, cell)| (format!("{number:03}"), cell))
        .collect();
    let mut real = real::all();
    real.retain(|cell| args.wants(&cell.name()) && !args.quick && !args.no_real);
    if named.is_empty() && real.is_empty() {
        bail!("no cell has such a name");
    }
    let early = |cell: &Cell| matches!(cell.when, When::Before | When::Midstream);
    let (before, after): (Vec<_>, Vec<_>) = named.into_iter().partition(|(_, cell)| early(cell));
    let before = matrix.start_all(before)?;
    matrix.start_probe(args)?;
    // The probe may come before a server or after it: half of the cells have a younger one.
    let young = FakeServer::start(&matrix.folder, "young")?;
    matrix.pids.insert(young.pid());
    matrix.fakes.push(young);
    let (beside, after): (Vec<_>, Vec<_>) = after
        .into_iter()
        .partition(|(_, cell)| cell.when == When::Beside);
    let beside = matrix.start_all(beside)?;
    for started in before {
        matrix.finish(started);
    }
    for (tag, cell) in after {
        let started = matrix.start(tag, cell);
        matrix.finish(started);
    }
    for started in beside {
        matrix.finish(started);
    }
    real_run::run(&mut matrix, &real);
    matrix.close()
}

/// What all cells share.
pub(super) struct Matrix {
    folder: PathBuf,
    runtimes: Runtimes,
    /// The last one is for A2A alone: a process that serves an agent is an agent, and its
    /// answers are no model's.
    agent: FakeServer,
    fakes: Vec<FakeServer>,
    probe: Option<Probe>,
    epoch_offset: u64,
    /// When the probe had seen its first call.
    seeing_since: u64,
    pids: BTreeSet<u32>,
    report: Report,
    started: Instant,
}

/// A cell whose client runs.
struct Started {
    tag: String,
    cell: Cell,
    fake: usize,
    running: Result<Running>,
    held: Vec<ClientLine>,
}

impl Matrix {
    /// Where logs are kept.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How clients are started.
    pub(super) const fn runtimes(&self) -> &Runtimes {
        &self.runtimes
    }

    /// The probe, if one runs.
    pub(super) const fn probe(&self) -> Option<&Probe> {
        self.probe.as_ref()
    }

    fn prepare(args: &FidelityArgs) -> Result<Self> {
        let folder = args.keep.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("kaos-fidelity-{}", std::process::id()))
        });
        std::fs::create_dir_all(&folder).context("make the folder for logs")?;
        let (python, modules) = (args.python(), args.node_modules());
        for needed in [&python, &modules] {
            if !needed.exists() {
                bail!(
                    "{} is missing: run `cargo xtask peers install clients`",
                    needed.display()
                );
            }
        }
        let fakes = vec![FakeServer::start(&folder, "old")?];
        let agent = FakeServer::start(&folder, "agent")?;
        let authority = trust(&folder)?;
        Ok(Self {
            runtimes: Runtimes::prepare(&folder, python, &modules, authority)?,
            pids: fakes.iter().chain([&agent]).map(FakeServer::pid).collect(),
            fakes,
            agent,
            folder,
            probe: None,
            epoch_offset: epoch_offset(),
            seeing_since: 0,
            report: Report {
                untimed: args.untimed,
                ..Report::default()
            },
            started: Instant::now(),
        })
    }

    fn start_probe(&mut self, args: &FidelityArgs) -> Result<()> {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        kernel.trim().clone_into(&mut self.report.kernel);
        if args.no_probe {
            self.report.without_probe = true;
            return Ok(());
        }
        let beside = built::program("kaos-probe")?;
        let binary = args.probe.clone().unwrap_or(beside);
        if !binary.exists() {
            bail!("{} is missing: run `cargo xtask build`", binary.display());
        }
        let fake = self.fakes.first().context("a fake runs")?.address();
        let probe = Probe::start(&binary, &args.probe_arg, &self.folder, fake)?;
        self.report.first_call = probe.first_call.as_secs_f64();
        self.seeing_since = monotonic();
        self.probe = Some(probe);
        Ok(())
    }

    /// Starts clients and waits until those are ready that wait for the probe.
    fn start_all(&mut self, cells: Vec<(String, Cell)>) -> Result<Vec<Started>> {
        let mut all: Vec<Started> = cells
            .into_iter()
            .map(|(tag, cell)| self.start(tag, cell))
            .collect();
        // Those in mid-stream come last, for the probe must come before their streams end.
        all.sort_by_key(|started| started.cell.when == When::Midstream);
        for started in all.iter_mut().filter(|s| s.cell.when != When::Beside) {
            let running = started
                .running
                .as_ref()
                .map_err(|e| anyhow::anyhow!("{e:#}"))?;
            let lines = client_lines(running, true, CLIENT_TIME);
            started.held = lines.with_context(|| started.cell.name())?;
        }
        Ok(all)
    }

    fn start(&mut self, tag: String, cell: Cell) -> Started {
        let fake = self.report.rows.len() % self.fakes.len();
        let server = if cell.api == "a2a" {
            &self.agent
        } else {
            &self.fakes[fake]
        };
        let mut command = self.runtimes.command(&cell, &server.base(cell.tls), &tag);
        let running = Running::start(&mut command, &self.folder.join(format!("{tag}.err")));
        if let Ok(running) = &running {
            self.pids.insert(running.pid());
        }
        Started {
            tag,
            cell,
            fake,
            running,
            held: Vec::new(),
        }
    }

    fn finish(&mut self, started: Started) {
        let (name, script) = (started.cell.name(), started.cell.script.clone());
        let concurrency = started.cell.concurrency;
        let (result, findings) = match self.judge(started) {
            Ok((verdict, findings)) => (Ok(verdict), findings),
            Err(error) => (Err(format!("{error:#}")), Vec::new()),
        };
        self.add(Row {
            name,
            script,
            concurrency,
            result,
            findings,
        });
    }

    /// Adds a result, and says it.
    pub(super) fn add(&mut self, row: Row) {
        let mark = if row.is_perfect() {
            "exact"
        } else {
            "NOT EXACT"
        };
        let seconds = self.started.elapsed().as_secs_f64();
        eprintln!("{seconds:6.1} s  {mark}  {} {}", row.name, row.script);
        self.report.rows.push(row);
    }

    fn judge(&mut self, started: Started) -> Result<(Verdict, Vec<String>)> {
        let Started {
            tag,
            cell,
            fake,
            running,
            mut held,
        } = started;
        let mut running = running?;
        if matches!(cell.when, When::Before | When::Midstream) {
            running.go()?;
        }
        held.extend(client_lines(&running, false, CLIENT_TIME)?);
        self.pids.extend(held.iter().map(|line| line.pid));
        let (halves, lines): (Vec<_>, Vec<_>) = held.into_iter().partition(|line| line.held);
        let server = if cell.api == "a2a" {
            &self.agent
        } else {
            &self.fakes[fake]
        };
        let mine = format!("-t{tag}");
        let count = cell.calls as usize;
        let records = records(server, &format!("{mine}c"), count)?;
        let mut findings = witness::differences(&records, &lines);
        if cell.when == When::Midstream && halves.iter().any(|half| half.end < self.seeing_since) {
            findings.push("a stream ended before the probe could join it".to_owned());
        }
        if records.len() != count {
            findings.push(format!("{} calls came, not {count}", records.len()));
        }
        let Some(probe) = &self.probe else {
            let mut verdict = Verdict {
                calls: records.len(),
                ..Verdict::default()
            };
            (verdict.client.exact, verdict.server.exact) = (count, count);
            return Ok((verdict, findings));
        };
        let of_cell = |span: &SeenSpan| span.key().is_some_and(|key| key.contains(&mine));
        probe.wait(2 * records.len(), SPAN_TIME, of_cell);
        let spans = probe.spans(of_cell);
        let heard = lines.iter().map(|line| (line.asked.clone(), line.end));
        let heard = heard.collect();
        let verdict = compare(Given {
            heard: &heard,
            calls: &records,
            spans: &spans,
            epoch_offset: self.epoch_offset,
        });
        let late = [&verdict.client, &verdict.server].map(|side| side.delay.p99());
        let is_late = |late: &f64| *late > OUT_AFTER && !self.report.untimed;
        if let Some(late) = late.into_iter().find(is_late) {
            findings.push(format!("a span came out {late:.0} ms after its call's end"));
        }
        if cell.check == Check::Traceparent {
            findings.extend(strangers(&spans, cell.tls));
        }
        Ok((verdict, findings))
    }

    /// Ends the probe and looks for spans that belong to no cell.
    fn close(mut self) -> Result<Report> {
        let Some(probe) = self.probe.take() else {
            return Ok(self.report);
        };
        let (spans, unreadable) = probe.stop()?;
        self.report.findings.extend(unreadable);
        let ours = |span: &&SeenSpan| span.pid().is_some_and(|pid| self.pids.contains(&pid));
        let stray = |span: &&SeenSpan| match span.key() {
            Some(key) => !key.contains("-t") && !is_warm(span),
            None => !span.text("mcp.method.name").is_some_and(is_housekeeping),
        };
        for span in spans.iter().filter(ours).filter(stray) {
            let what = format!(
                "phantom: {:?} {:?} {:?}",
                span.kind, span.name, span.attributes
            );
            self.report.findings.push(what);
        }
        if !spans.iter().any(|span| ours(&span)) {
            self.report
                .findings
                .push("no span names a process of ours".to_owned());
        }
        let findings = self.housekeeping(&spans)?;
        self.report.findings.extend(findings);
        Ok(self.report)
    }

    /// MCP clients make calls of their own; those are counted.
    fn housekeeping(&self, spans: &[SeenSpan]) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        let mut records = Vec::new();
        for fake in &self.fakes {
            records.extend(fake.records()?);
        }
        for method in HOUSEKEEPING {
            let calls = |r: &&Record| r.facts.rpc_method.as_deref() == Some(method);
            let calls = records.iter().filter(calls).count();
            for kind in [Kind::Client, Kind::Server] {
                let mine = |span: &&SeenSpan| {
                    // Others on this host may speak MCP as well.
                    let ours = span.pid().is_some_and(|pid| self.pids.contains(&pid));
                    ours && span.kind == kind && span.text("mcp.method.name") == Some(method)
                };
                let seen = spans.iter().filter(mine).count();
                if seen != calls {
                    findings.push(format!("{method}: {calls} calls, {seen} {kind:?} spans"));
                }
            }
        }
        Ok(findings)
    }
}

const HOUSEKEEPING: [&str; 4] = ["initialize", "server/discover", "tools/list", "ping"];

fn is_housekeeping(method: &str) -> bool {
    HOUSEKEEPING.contains(&method) || method.starts_with("notifications/")
}

/// One file with the authorities of the fake and of the real servers, as far as there are any.
fn trust(folder: &Path) -> Result<PathBuf> {
    let ours = folder.join("certificates").join("authority.pem");
    let mut all = std::fs::read(ours).context("read the test authority")?;
    all.extend(std::fs::read(super::cache().join("tls").join("ca.pem")).unwrap_or_default());
    let file = folder.join("trusted.pem");
    std::fs::write(&file, all).context("write the trusted authorities")?;
    Ok(file)
}

/// A cell's records. The fake may write the last line a moment after the client has gone.
fn records(fake: &FakeServer, of_cell: &str, count: usize) -> Result<Vec<Record>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut records = fake.records()?;
        records.retain(|record| record.facts.asked.contains(of_cell));
        if records.len() >= count || Instant::now() > deadline {
            return Ok(records);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Spans of a cell that sends its own `traceparent` and do not follow it.
fn strangers(spans: &[SeenSpan], tls: bool) -> Vec<String> {
    let mut findings = Vec::new();
    let ids = |kind| {
        spans
            .iter()
            .filter(move |s| s.kind == kind)
            .map(|s| s.span_id.as_str())
    };
    let clients: BTreeSet<&str> = ids(Kind::Client).collect();
    for span in spans {
        let parent = span.parent_span_id.as_str();
        let good = match span.kind {
            Kind::Server => clients.contains(parent) || (tls && parent == PARENT_ID),
            _ => parent == PARENT_ID,
        };
        if !good || span.trace_id != TRACE_ID {
            let (kind, trace) = (span.kind, &span.trace_id);
            findings.push(format!(
                "a {kind:?} span has parent {parent:?} in trace {trace}"
            ));
        }
    }
    findings
}
