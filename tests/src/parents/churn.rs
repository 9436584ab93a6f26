//! `e2e parents --churn`: processes come and go, with very many contexts.
//!
//! Each process serves some requests, then one that frees a thousand contexts, whereupon new
//! threads make calls that belong to no request.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::growth::Sample;
use super::interpreters::Program;
use super::judge::{self, Row};
use super::model::Model;
use super::{Cell, PATIENCE, SETTLING, cell, load, settle, start};
use crate::fidelity::probe::Probe;
use crate::fidelity::span::SeenSpan;

/// Requests of a process, so many at once.
const REQUESTS: usize = 20;
const AT_ONCE: usize = 5;
/// Calls of the threads that come after a thousand contexts were freed.
const STRANGERS: usize = 20;
/// What ends at once beside each server, with contexts that are alive.
const SHORT: &str = "import contextvars\n_ = [contextvars.copy_context() for _ in range(1000)]";
/// How long the probe may take to let go of a process that has ended.
const FORGETS: Duration = Duration::from_secs(10);
/// KiB by which its memory may grow: allocators keep a little.
const SLACK: u64 = 4 << 10;

const CHAIN: Cell = cell("churn", "chain", 6, 5, super::CHAIN);
const FREED: Cell = cell("churn", "freed", STRANGERS, 0, "of no request");

/// What has been seen so far.
#[derive(Default)]
struct Seen {
    chain: Row,
    /// Calls of no request, and those of them that have a parent.
    strangers: usize,
    inherited: usize,
    /// Contexts that were made, in so many seconds of their processes' lives.
    contexts: f64,
    seconds: f64,
    /// Every process that was started.
    pids: HashSet<u32>,
    samples: Vec<Sample>,
}

/// Lets processes come and go for so long, and holds their calls and the probe's memory against
/// what must be.
pub(super) fn run(binary: &Path, program: &Program, minutes: f64) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("kaos-churn-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("make the folder for logs")?;
    let model = Model::start(None)?;
    let probe = Probe::start(binary, &[], &folder, model.address())?;
    let began = Instant::now();
    let time = Duration::try_from_secs_f64(minutes * 60.0).context("so many minutes")?;
    let mut seen = Seen::default();
    for life in 0.. {
        if began.elapsed() > time && seen.samples.len() > 3 {
            break;
        }
        let first = life * (REQUESTS + 1);
        let life = Life {
            program,
            model: &model,
            probe: &probe,
            folder: folder.clone(),
        };
        life.live(first, &mut seen)?;
    }
    seen.print();
    forgets(&probe, &seen.pids)?;
    probe.stop()?;
    seen.judge()
}

/// One process, from its start to its end.
struct Life<'a> {
    program: &'a Program,
    model: &'a Model,
    probe: &'a Probe,
    folder: PathBuf,
}

impl Life<'_> {
    fn live(&self, first: usize, seen: &mut Seen) -> Result<()> {
        let port = load::free_port()?;
        let target = |cell: &Cell| load::Target {
            port,
            path: cell.path,
            tls: None,
        };
        let server = start(self.program, &CHAIN, port, self.model, &self.folder)?;
        seen.pids.extend(server.pids());
        load::wait_for(port)?;
        settle(self.probe, &target(&CHAIN), &server, &CHAIN)?;
        self.short_lives(seen)?;
        let last = first + REQUESTS;
        load::run(&target(&CHAIN), first..last, AT_ONCE)?;
        self.wait(&server.pids(), first, REQUESTS * CHAIN.calls);
        // It comes when nothing else is served: its threads' calls have no parent by any rule.
        load::run(&target(&FREED), last..last + 1, 1)?;
        self.wait(&server.pids(), last, STRANGERS);
        let pids = server.pids();
        let mut spans = self.probe.take();
        spans.retain(|span| span.pid().is_some_and(|pid| pids.contains(&pid)));
        // The server still has its connections.
        seen.samples.push(Sample::of(self.probe.pid())?);
        drop(server);
        self.note(first, last, &spans, seen)
    }

    /// Waits for so many calls with numbers from `from` on.
    fn wait(&self, pids: &[u32], from: usize, calls: usize) {
        self.probe.wait(calls, PATIENCE, |span| {
            let is_its = span.pid().is_some_and(|pid| pids.contains(&pid));
            is_its && judge::is_call(span) && self.number(span).is_some_and(|n| n >= from)
        });
    }

    /// The number of a call's request, of those that count.
    fn number(&self, span: &SeenSpan) -> Option<usize> {
        let number = self.model.number(span.text("gen_ai.response.id")?)?;
        usize::try_from(number).ok().filter(|n| *n < SETTLING)
    }

    fn short_lives(&self, seen: &mut Seen) -> Result<()> {
        for _ in 0..3 {
            let mut short = Command::new(&self.program.path);
            let mut child = short.args(["-S", "-c", SHORT]).spawn()?;
            seen.pids.insert(child.id());
            child.wait()?;
        }
        Ok(())
    }

    fn note(&self, first: usize, last: usize, spans: &[SeenSpan], seen: &mut Seen) -> Result<()> {
        let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<SeenSpan> {
            let counts =
                |span: &&SeenSpan| !judge::is_call(span) || self.number(span).is_some_and(wanted);
            spans.iter().filter(counts).cloned().collect()
        };
        let chain = of(&|number| (first..last).contains(&number));
        let numbers = self.model.numbers();
        let row = judge::row("churn /chain", &CHAIN, AT_ONCE, REQUESTS, &chain, &numbers);
        seen.chain.add(row);
        let strangers = of(&|number| number == last);
        for call in strangers.iter().filter(|span| judge::is_call(span)) {
            seen.strangers += 1;
            if !call.parent_span_id.is_empty() {
                eprintln!("a call of no request has a parent: {call:?}");
                seen.inherited += 1;
            }
        }
        let made = std::fs::read_to_string(self.folder.join("contexts"));
        let made = made.context("the server says how many contexts it made")?;
        let (made, seconds) = made.split_once(' ').context("two numbers")?;
        seen.contexts += made.parse::<f64>()?;
        seen.seconds += seconds.parse::<f64>()?;
        Ok(())
    }
}

/// Fails if ended processes stay in the kernel's maps.
fn forgets(probe: &Probe, ended: &HashSet<u32>) -> Result<()> {
    let deadline = Instant::now() + FORGETS;
    loop {
        let sample = Sample::of(probe.pid())?;
        let own = sample.processes.intersection(ended);
        // Numbers come back within minutes: who has one now is another process.
        let stay = own.filter(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        let stay = stay.count();
        if stay == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{stay} ended processes stay in the maps");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Seen {
    fn print(&self) {
        let Row {
            calls,
            exact,
            inferred,
            none,
            wrong,
            ..
        } = self.chain;
        println!(
            "{} processes, {:.0} contexts a second: {calls} calls, {exact} exact, {inferred} inferred, {none} none, {wrong} wrong",
            self.pids.len(),
            self.contexts / self.seconds
        );
        println!(
            "{} calls of new threads after contexts were freed: {} inherited",
            self.strangers, self.inherited
        );
        let tenth = self.samples.len().div_ceil(10).max(1);
        for (what, of) in FIGURES {
            let tenths = self.samples.chunks(tenth);
            let values: Vec<_> = tenths.map(|tenth| middle(tenth, of).to_string()).collect();
            println!("{what}, by tenths of the time: {}", values.join(" "));
        }
    }

    /// The samples of the first third, after those in which the probe still fills its tables for
    /// the first time, and of the last third.
    fn ends(&self) -> [&[Sample]; 2] {
        let third = self.samples.len() / 3;
        [
            &self.samples[third / 2..third.max(1)],
            &self.samples[self.samples.len() - third.max(1)..],
        ]
    }

    fn judge(&self) -> Result<()> {
        let [early, late] = self.ends();
        let [(_, resident), (_, sockets), ..] = FIGURES;
        let grown = |of: Figure, slack: u64| middle(late, of) > middle(early, of) * 11 / 10 + slack;
        let processes = self.samples.len();
        let problems = [
            (self.chain.wrong > 0, "parents are wrong"),
            (
                self.inherited > 0,
                "new threads inherit from freed contexts",
            ),
            (self.chain.exact == 0, "no parent is exact"),
            (
                self.strangers != processes * STRANGERS,
                "calls of new threads are missing",
            ),
            (
                self.chain.exact + self.chain.inferred + self.chain.none + self.chain.wrong
                    != self.chain.calls,
                "calls are missing",
            ),
            (grown(resident, SLACK), "the probe's memory grows"),
            (grown(sockets, 64), "the map of connections grows"),
        ];
        let mut found = problems.iter().filter(|(is, _)| *is).map(|(_, what)| *what);
        match found.next() {
            Some(what) => bail!("{what}"),
            None => Ok(()),
        }
    }
}

type Figure = fn(&Sample) -> u64;

const FIGURES: [(&str, Figure); 4] = [
    ("KiB of the probe's memory", |sample| sample.resident >> 10),
    ("connections in the kernel's map", |sample| {
        sample.sockets as u64
    }),
    ("processes in the kernel's maps", |sample| {
        sample.processes.len() as u64
    }),
    ("contexts in the kernel's map", |sample| {
        sample.contexts as u64
    }),
];

fn middle(samples: &[Sample], of: Figure) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
