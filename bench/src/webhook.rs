//! `kaos-bench webhook`: reviews of an ordinary pod over TLS connections that are kept, sent by
//! the load tool `hey` to the real `kaos-webhook serve`.

mod load;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;

use self::load::{Load, Took};
use self::server::Server;

/// Options of `webhook`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// kaos-webhook.
    #[arg(long, env = "KAOS_WEBHOOK")]
    webhook: PathBuf,
    /// The load tool.
    #[arg(long, env = "HEY")]
    hey: PathBuf,
    /// Reviews in a second, of the run at a steady pace.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Runs at that pace; the one in the middle counts.
    #[arg(long, default_value_t = 5)]
    windows: usize,
    /// How long each run lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections, each kept for the whole run.
    #[arg(long, default_value_t = 8)]
    connections: u32,
}

/// The goals: milliseconds, and MiB.
const P99: f64 = 5.0;
const MEMORY: f64 = 30.0;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    // How soon an answer comes: both where the kernel puts them, as on any node. Bound to one
    // processor of a virtual machine, each pause of that processor would be one of the webhook.
    let (server, load) = under_load(args, false, Some(args.rate))?;
    let mut p99 = Vec::new();
    for _ in 0..args.windows.max(1) {
        p99.push(measured(&server, &load)?.percentile(99.0) * 1e3);
    }
    p99.sort_by(f64::total_cmp);
    println!(
        "p99 at this pace: {:.2} ms, the middle of {} windows (goal {P99})",
        p99[p99.len() / 2],
        p99.len()
    );
    let steady = server.peak_mib()?;
    drop(server);
    // What an answer costs: one processor for the webhook, another one for those who ask.
    let (server, load) = under_load(args, true, None)?;
    measured(&server, &load)?;
    println!(
        "RSS at its highest: {:.1} MiB (goal {MEMORY})",
        server.peak_mib()?.max(steady)
    );
    Ok(())
}

/// A webhook of its own that has found its caches, and what is to be sent to it.
fn under_load(args: &Args, alone: bool, rate: Option<u32>) -> anyhow::Result<(Server, Load<'_>)> {
    let server = Server::start(&args.webhook, alone)?;
    let mut load = Load {
        hey: &args.hey,
        connections: args.connections,
        rate,
        time: Duration::from_secs(1),
    };
    load.run(&server)?;
    load.time = Duration::from_secs(args.seconds);
    Ok((server, load))
}

/// One run; says what it found. Every review is to be answered by a patch, by the webhook's own
/// account.
fn measured(server: &Server, load: &Load<'_>) -> anyhow::Result<Took> {
    let (cpu, patched) = (server.cpu()?, server.patched()?);
    let took = load.run(server)?;
    let cpu = server.cpu()?.saturating_sub(cpu).as_secs_f64();
    let (answers, patched) = (took.len() as u64, server.patched()? - patched);
    ensure!(
        answers == patched,
        "{answers} answers, {patched} of them patches"
    );
    let ms = |percent| took.percentile(percent) * 1e3;
    println!(
        "{load}: {answers} reviews, {:.0}/s; p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; {:.0} us of \
         processor each, {:.0} reviews per second of it",
        answers as f64 / load.time.as_secs_f64(),
        ms(50.0),
        ms(99.0),
        ms(100.0),
        cpu * 1e6 / answers as f64,
        answers as f64 / cpu,
    );
    Ok(took)
}
