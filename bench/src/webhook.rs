//! `kaos-bench webhook`: reviews of an ordinary pod over TLS connections that are kept, against
//! the real `kaos-webhook serve`.

mod client;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;

use self::client::{Pace, Took};
use self::server::Server;

/// Options of `webhook`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// kaos-webhook.
    #[arg(long, env = "KAOS_WEBHOOK")]
    webhook: PathBuf,
    /// Reviews in a second, of the run at a steady pace.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
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
    crate::cpu::pin(crate::cpu::OTHERS)?;
    let server = Server::start(&args.webhook)?;
    let steady = Pace::Rate(args.rate);
    // The first reviews find cold caches on both sides.
    client::run(server.address(), steady, 1, Duration::from_secs(1))?;
    let wanted = u64::from(args.rate) * args.seconds;
    let took = measured(&server, args, steady)?;
    ensure!(took.len() as u64 == wanted, "{} reviews", took.len());
    println!(
        "from the moment it was due: p99 {:.2} ms (goal {P99})",
        took.since_due(99.0).as_secs_f64() * 1e3
    );
    measured(&server, args, Pace::Closed)?;
    println!(
        "RSS at its highest: {:.1} MiB (goal {MEMORY})",
        server.peak_mib()?
    );
    Ok(())
}

/// One run; says what it found.
fn measured(server: &Server, args: &Args, pace: Pace) -> anyhow::Result<Took> {
    let before = server.cpu()?;
    let time = Duration::from_secs(args.seconds);
    let took = client::run(server.address(), pace, args.connections, time)?;
    let cpu = server.cpu()?.saturating_sub(before);
    let ms = |percent| took.since_sent(percent).as_secs_f64() * 1e3;
    println!(
        "{pace}, {} connections: {} reviews, {:.0}/s; p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; \
         {:.0} us of processor each, {:.0} reviews per second of it",
        args.connections,
        took.len(),
        took.len() as f64 / took.lasted().as_secs_f64(),
        ms(50.0),
        ms(99.0),
        ms(100.0),
        cpu.as_secs_f64() * 1e6 / took.len() as f64,
        took.len() as f64 / cpu.as_secs_f64(),
    );
    Ok(took)
}
