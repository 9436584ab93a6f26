//! `e2e parents`: which request each call inside a process is made for.
//!
//! Each request to a server has a number at the end of its path, and the server repeats it in the
//! bodies of the calls that it makes. The judge reads both; the probe does not read bodies for
//! this.

mod churn;
mod growth;
mod interpreters;
mod judge;
mod load;
mod model;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use openssl::ssl::{SslConnector, SslMethod};

use self::interpreters::Program;
use self::judge::Row;
use self::model::Model;
use crate::built;
use crate::fake::Certificates;
use crate::fidelity::cache;
use crate::fidelity::probe::Probe;
use crate::fidelity::span::SeenSpan;

/// How long the probe may take until it tells of the server's first call.
const SETTLED: Duration = Duration::from_secs(30);
/// Requests with numbers from here on do not count.
const SETTLING: usize = 1_000_000;
/// How long spans may take after the last answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Options of `e2e parents`.
#[derive(Clone, Debug, Args)]
pub struct ParentsArgs {
    /// The probe. The default is `kaos-probe` beside this program.
    #[arg(long, env = "KAOS_PROBE")]
    probe: Option<PathBuf>,
    /// Servers whose name, with a space and the path, contains this; the default is all.
    #[arg(long, default_value = "")]
    only: String,
    /// One path of each server, 20 requests at once: under 90 seconds.
    #[arg(long, conflicts_with = "at_once")]
    quick: bool,
    /// Requests at once.
    #[arg(long, value_delimiter = ',', default_value = "1,20,200")]
    at_once: Vec<usize>,
    /// Let processes come and go instead, each of which makes 10 000 contexts a second.
    #[arg(long, conflicts_with_all = ["only", "quick", "at_once", "table"])]
    churn: bool,
    /// How long `--churn` takes.
    #[arg(long, default_value_t = 10.0, requires = "churn")]
    minutes: f64,
    /// Write the table to this file.
    #[arg(long)]
    table: Option<PathBuf>,
}

/// A server, and what its requests make it do.
#[derive(Clone, Copy)]
struct Cell {
    /// Its kind as `served.py` names it.
    kind: &'static str,
    /// The path before the number.
    path: &'static str,
    /// Calls that it makes for a request.
    calls: usize,
    /// What calls it makes, in words.
    what: &'static str,
    /// How many of those must be known for certain.
    exact: usize,
}

impl Cell {
    /// Whether the server and its model speak TLS.
    fn is_tls(&self) -> bool {
        self.kind.ends_with("-tls")
    }
}

const fn cell(
    kind: &'static str,
    path: &'static str,
    calls: usize,
    exact: usize,
    what: &'static str,
) -> Cell {
    Cell {
        kind,
        path,
        calls,
        what,
        exact,
    }
}

const CELLS: [Cell; 32] = [
    cell("threads", "ask", 2, 2, "2 in sequence"),
    cell("gunicorn-sync", "ask", 2, 2, "2 in sequence"),
    cell("gunicorn-gthread", "ask", 2, 2, "2 in sequence"),
    cell("streams", "chain", 6, 5, CHAIN),
    cell("streams", DETACHED, 2, 0, "2 in contexts of their own"),
    cell("fastapi-asyncio", "chain", 6, 6, CHAIN),
    cell("fastapi-asyncio", "sync", 1, 1, "in the thread pool"),
    cell("fastapi-asyncio", "stream", 2, 2, "in mid-stream"),
    cell("fastapi-asyncio", "openai", 2, 2, "openai, 2 at once"),
    cell(
        "fastapi-asyncio",
        "openai-sync",
        1,
        1,
        "openai in the thread pool",
    ),
    cell(
        "fastapi-middleware",
        "stream",
        3,
        3,
        "in middleware, in mid-stream",
    ),
    cell("fastapi-uvloop", "chain", 6, 6, CHAIN),
    cell("fastapi-uvloop", "sync", 1, 1, "in the thread pool"),
    cell("fastapi-uvloop", "stream", 2, 2, "in mid-stream"),
    cell("fastapi-uvloop", "openai", 2, 2, "openai, 2 at once"),
    cell(
        "fastapi-uvloop",
        "openai-sync",
        1,
        1,
        "openai in the thread pool",
    ),
    cell("aiohttp-asyncio", "chain", 5, 4, "1, 3 at once, a task"),
    cell("aiohttp-uvloop", "chain", 5, 4, "1, 3 at once, a task"),
    cell("threads-tls", "ask", 2, 2, "2 in sequence"),
    cell("fastapi-asyncio-tls", "chain", 6, 6, CHAIN),
    cell("fastapi-uvloop-tls", "chain", 6, 6, CHAIN),
    cell("aiohttp-asyncio-tls", "chain", 5, 4, "1, 3 at once, a task"),
    cell("aiohttp-uvloop-tls", "chain", 5, 4, "1, 3 at once, a task"),
    cell("go", "ask", 2, 2, "2 in sequence"),
    cell("go", "spawn", 4, 1, SPAWN),
    cell("go", "pool", 1, 0, "by a shared worker"),
    cell("go", "hire", 2, 0, HIRE),
    cell("go-tls", "ask", 2, 2, "2 in sequence"),
    cell("go-tls", "spawn", 4, 1, SPAWN),
    cell("go-tls", "pool", 1, 0, "by a shared worker"),
    cell("go-tls", "hire", 2, 0, HIRE),
    cell("node", "ask", 2, 0, "2 in sequence"),
];
/// What the quick selection takes.
const QUICK: [(&str, &str); 7] = [
    ("threads", "ask"),
    ("fastapi-asyncio", "chain"),
    ("fastapi-uvloop", "chain"),
    ("aiohttp-asyncio", "chain"),
    ("aiohttp-uvloop", "chain"),
    ("go", "ask"),
    ("go-tls", "ask"),
];
/// What needs nothing but Python runs on every one that is there.
const ANY_PYTHON: [&str; 2] = ["threads", "streams"];
const SPAWN: &str = "1, 3 at once in goroutines";
const HIRE: &str = "2 by workers that are kept";
/// Calls that their program has cut off from their request: no parent is right, too.
const DETACHED: &str = "detached";
const CHAIN: &str = "1, 3 at once, a thread, in the background";

impl ParentsArgs {
    /// Runs the cells, prints the table, and fails where a parent is wrong or one is missing that
    /// must be there.
    pub fn run(self) -> Result<()> {
        let beside = built::program("kaos-probe")?;
        let binary = self.probe.clone().unwrap_or(beside);
        let python = cache().join("litellm/bin/python");
        if !python.is_file() {
            bail!("the Python peers are missing: run `cargo xtask peers install`");
        }
        if self.churn {
            return churn::run(&binary, &Program::python(python, ""), self.minutes);
        }
        let mut rows = Vec::new();
        let quick = |cell: &&Cell| QUICK.contains(&(cell.kind, cell.path));
        let named = |cell: &&Cell| format!("{} /{}", cell.kind, cell.path).contains(&self.only);
        let wanted = |cell: &&Cell| named(cell) && (!self.quick || quick(cell));
        let at_once = if self.quick { &[20][..] } else { &self.at_once };
        for cell in CELLS.iter().filter(wanted) {
            for program in self.programs(cell, &python) {
                for &at_once in at_once {
                    let row = run(&binary, &program, cell, at_once)
                        .with_context(|| format!("{} {} at {at_once}", cell.kind, cell.path))?;
                    println!("{}", report::line(&row));
                    rows.push(row);
                }
            }
        }
        if let Some(path) = &self.table {
            std::fs::write(path, report::document(&rows))
                .with_context(|| format!("write {}", path.display()))?;
        }
        let bad = rows.iter().filter(|row| !row.is_good()).count();
        if bad > 0 {
            bail!("{bad} of {} rows are not as they must be", rows.len());
        }
        Ok(())
    }
}

impl ParentsArgs {
    /// What runs a cell's server: the peers' Python, and others where nothing more is needed.
    fn programs(&self, cell: &Cell, python: &Path) -> Vec<Program> {
        if cell.kind == "node" {
            return vec![Program::node()];
        }
        if cell.kind.starts_with("go") {
            let [whole, stripped] = interpreters::go(&cache());
            return match (self.quick, cell.is_tls()) {
                (true, false) => vec![whole],
                (true, true) => vec![stripped],
                (false, _) => vec![whole, stripped],
            };
        }
        let mut programs = vec![Program::python(python.to_owned(), "")];
        if !self.quick && ANY_PYTHON.contains(&cell.kind) {
            programs.extend(interpreters::others());
        }
        programs
    }
}

/// A child that does not outlive us.
struct Server(Child);

impl Server {
    /// The process and its children.
    fn pids(&self) -> Vec<u32> {
        let mut pids = interpreters::children(self.0.id());
        pids.push(self.0.id());
        pids
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(
    program: &Program,
    cell: &Cell,
    port: u16,
    model: &Model,
    folder: &Path,
) -> Result<Server> {
    let mut command = Command::new(&program.path);
    if let Some(script) = program.script {
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
    }
    let scheme = if cell.is_tls() { "https" } else { "http" };
    command
        .arg(cell.kind)
        .arg(port.to_string())
        .arg(format!("{scheme}://{}", model.address()))
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("server.err"))?);
    let child = command.spawn();
    Ok(Server(child.with_context(|| format!("start {command:?}"))?))
}

/// What trusts the test's own certificates.
fn trusting(certificates: &Certificates) -> Result<SslConnector> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_ca_file(&certificates.authority)?;
    Ok(builder.build())
}

/// Sends requests that do not count until the probe tells of a call that the server makes for
/// one, with a certain parent where there is one: its hooks are in place by then.
fn settle(probe: &Probe, target: &load::Target<'_>, server: &Server, cell: &Cell) -> Result<()> {
    let deadline = Instant::now() + SETTLED;
    for number in SETTLING.. {
        if Instant::now() > deadline {
            bail!("the probe tells of no call of the server; see server.err and probe.err");
        }
        load::run(target, number..number + 1, 1)?;
        let pids = server.pids();
        let found = |span: &SeenSpan| {
            let is_its = span.pid().is_some_and(|pid| pids.contains(&pid));
            let is_certain = span.text("telemetry.kaos.parent") == Some("exact");
            is_its && judge::is_call(span) && (is_certain || cell.exact == 0)
        };
        probe.wait(1, Duration::from_millis(200), found);
        if !probe.spans(found).is_empty() {
            break;
        }
    }
    Ok(())
}

fn run(binary: &Path, program: &Program, cell: &Cell, at_once: usize) -> Result<Row> {
    let folder = std::env::temp_dir().join(format!("kaos-parents-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("make the folder for logs")?;
    let certificates = Certificates::create(&folder)?;
    let tls = cell.is_tls();
    let acceptor = tls.then(|| certificates.acceptor()).transpose()?;
    let model = Model::start(acceptor)?;
    let target = load::Target {
        port: load::free_port()?,
        path: cell.path,
        tls: tls.then(|| trusting(&certificates)).transpose()?,
    };
    let server = start(program, cell, target.port, &model, &folder)?;
    load::wait_for(target.port)?;
    // The probe's start is seen by calls without TLS.
    let warm = Model::start(None)?;
    let probe = Probe::start(binary, &[], &folder, warm.address())?;
    settle(&probe, &target, &server, cell)?;
    let requests = (at_once * 2).max(20);
    load::run(&target, 0..requests, at_once)?;
    let wanted = requests * cell.calls;
    let deadline = Instant::now() + PATIENCE;
    while model.asked(SETTLING as u64) < wanted && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let pids = server.pids();
    let counts = |span: &SeenSpan| {
        let id = span.text("gen_ai.response.id");
        let number = id.and_then(|id| model.number(id));
        number.is_none_or(|number| number < SETTLING as u64)
    };
    let of_server = |span: &SeenSpan| span.pid().is_some_and(|pid| pids.contains(&pid));
    let client = |span: &SeenSpan| of_server(span) && judge::is_call(span) && counts(span);
    probe.wait(wanted, PATIENCE, client);
    let (spans, unreadable) = probe.stop()?;
    if let Some(line) = unreadable.first() {
        bail!("not a span: {line}");
    }
    let spans: Vec<_> = spans
        .into_iter()
        .filter(|span| of_server(span) && counts(span))
        .collect();
    Ok(judge::row(
        &format!("{}{} /{}", cell.kind, program.version, cell.path),
        cell,
        at_once,
        requests,
        &spans,
        &model.numbers(),
    ))
}
