//! `cargo xtask demo`: a real agent system, traced without its knowledge.

mod phoenix;
mod probe;
mod span;
mod system;
mod traced;
mod tree;
mod whole;
mod work;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::peers::{Cache, Peer as _, Phoenix};
use crate::{build, interrupt, paths};
use phoenix::Ui;
use probe::Probe;
use span::Span;
use system::{System, Tokens};
use work::Done;

/// How long the last spans may take to come out of the probe after the last answer.
const LAST_SPANS_WITHIN: Duration = Duration::from_secs(5);

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show the traces in Arize Phoenix too, until Ctrl-C.
    #[arg(long)]
    ui: bool,
    /// Build nothing that is there and ask less.
    #[arg(long)]
    fast: bool,
    /// Start the agent system and send it work without a probe, to see that it works.
    #[arg(long, conflicts_with = "ui")]
    no_probe: bool,
}

/// Installs, builds, starts, asks, shows, compares; stops all that it started.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::listen()?;
    let cache = Cache::from_env()?;
    println!("Installing what is missing, in {}", cache.peers().display());
    system::install(&cache)?;
    if args.ui {
        Phoenix.install(&cache)?;
    }
    let program = paths::target_dir().join("release/kaos-probe");
    let built = args.fast && program.exists();
    if !args.no_probe && !built {
        println!("Building the probe");
        build::run(&build::Args::default())?;
    }
    interrupt::check()?;
    let dir = cache.peers().join("run/demo");
    println!("\nStarting an agent system that knows nothing of kaos-telemetry");
    println!("  its logs are in {}", dir.display());
    let system = System::start(&cache, &dir)?;
    if args.no_probe {
        return without_probe(&system, args.fast);
    }
    let ui = args.ui.then(|| Ui::start(&cache, &dir)).transpose()?;
    watch(args, &system, ui.as_ref(), &program, &dir)?;
    if let Some(ui) = ui {
        println!("{}", ui.check()?);
        ui.stay();
    }
    Ok(())
}

fn watch(args: &Args, system: &System, ui: Option<&Ui>, program: &Path, dir: &Path) -> Result<()> {
    println!("\nkaos-probe watch, beside it:");
    let endpoint = ui.map(Ui::endpoint);
    let mut probe = Probe::start(program, dir, &system.names(), endpoint.as_deref())?;
    let first = probe.wait_until_it_sees(|| work::greet(system.ports()))?;
    let before = system.model_servers_account()?;
    let done = send(system, args.fast, || probe.check())?;
    let served = system.model_servers_account()?.since(before);
    wait_for_last(&probe, served, &done, system)?;
    let spans = probe.stop()?;
    for (at, done) in done.iter().enumerate() {
        print!(
            "{}",
            tree::conversation(at + 1, done, &spans, &system.names())
        );
    }
    println!(
        "\nThe probe saw its first call {:.2} s after its start.",
        first.as_secs_f64()
    );
    compare(&spans, served)?;
    for done in &done {
        whole::check(done, &spans, &system.names())?;
    }
    println!("Each conversation is one trace, under the span of whoever asked if it has one.");
    Ok(())
}

/// Sends each job when the one before is answered.
fn send(system: &System, fast: bool, mut check: impl FnMut() -> Result<()>) -> Result<Vec<Done>> {
    let mut done = Vec::new();
    for job in work::jobs(fast) {
        interrupt::check()?;
        check()?;
        done.push(job.send(system)?);
        // A conversation's spans are told from the next one's by when they began.
        sleep(Duration::from_millis(200));
    }
    system.check_the_chain()?;
    Ok(done)
}

/// Gives the probe its time to print the last call; what is missing then is really missing.
fn wait_for_last(probe: &Probe, served: Tokens, done: &[Done], system: &System) -> Result<()> {
    let start = Instant::now();
    let whole = |spans: &[Span]| {
        let whole = |done| whole::check(done, spans, &system.names()).is_ok();
        tree::total(spans) == served && done.iter().all(whole)
    };
    while !whole(&probe.spans()?) && start.elapsed() < LAST_SPANS_WITHIN {
        interrupt::check()?;
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The one figure that somebody else knows too.
fn compare(spans: &[Span], served: Tokens) -> Result<()> {
    let seen = tree::total(spans);
    println!("tokens                       in      out");
    for (who, tokens) in [
        ("the probe saw", seen),
        ("the model server counted", served),
    ] {
        println!("  {who:<24} {:>6}   {:>6}", tokens.input, tokens.output);
    }
    if seen != served {
        bail!("the probe's tokens are not the model server's");
    }
    println!("  equal");
    Ok(())
}

fn without_probe(system: &System, fast: bool) -> Result<()> {
    let before = system.model_servers_account()?;
    for (at, done) in send(system, fast, || Ok(()))?.iter().enumerate() {
        let took = done.end.duration_since(done.start).unwrap_or_default();
        println!(
            "{}. {}  {:.2} s",
            at + 1,
            done.job.title(),
            took.as_secs_f64()
        );
    }
    let served = system.model_servers_account()?.since(before);
    println!(
        "the model server counted {} tokens in, {} out",
        served.input, served.output
    );
    Ok(())
}
