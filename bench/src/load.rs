//! `kaos-bench load`: processor time of a fast server per chunk, with a thousand open streams
//! that go on by the server's own clock.

pub(crate) mod clients;
pub(crate) mod server;

use std::thread::sleep;
use std::time::Duration;

use self::clients::Clients;
use self::server::Server;
use crate::Programs;
use crate::probe::Probe;
use crate::stats::spread;

/// Options of `load`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: Programs,
    /// Pairs of runs, without the probe and with it.
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    /// Streams at once.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
    /// Chunks of a stream in a second.
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Only plain or only TLS connections.
    #[arg(long)]
    only: Option<Transport>,
}

/// How clients reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

/// What is measured of each run.
const WINDOW: Duration = Duration::from_secs(4);
/// What the streams may take to be all under way.
const RAMP: Duration = Duration::from_millis(1500);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    crate::cpu::pin(crate::cpu::OTHERS)?;
    for (transport, goal) in [(Transport::Plain, 2.0), (Transport::Tls, 3.0)] {
        if args.only.is_none_or(|only| only == transport) {
            pairs(args, transport, goal)?;
        }
    }
    Ok(())
}

fn pairs(args: &Args, transport: Transport, goal: f64) -> anyhow::Result<()> {
    let (mut without, mut with, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..args.pairs {
        // The order changes from pair to pair, so that a drift of the machine helps neither.
        let (a, b) = if pair % 2 == 0 {
            let a = once(args, transport, false)?;
            (a, once(args, transport, true)?)
        } else {
            let b = once(args, transport, true)?;
            (once(args, transport, false)?, b)
        };
        without.push(a);
        with.push(b);
        more.push(b - a);
        eprintln!("{transport:?} pair {}: {a:.2} -> {b:.2} us", pair + 1);
    }
    println!(
        "{transport:?}: server CPU per chunk without {:.2} us, with {:.2} us; {:.2} us more (goal {goal})",
        spread(&without),
        spread(&with),
        spread(&more)
    );
    Ok(())
}

/// Microseconds of the server's processor time per chunk.
fn once(args: &Args, transport: Transport, probed: bool) -> anyhow::Result<f64> {
    let server = Server::start(&args.programs.fake)?;
    let selectors = ["--pid".to_owned(), server.pid().to_string()];
    let probe = probed
        .then(|| Probe::start(&args.programs.probe, &selectors))
        .transpose()?;
    let interval = 1000 / args.rate.max(1);
    let chunks = (RAMP + WINDOW + RAMP).as_millis() as u32 / interval;
    let model = format!("fake-n{chunks}-i{interval}-b80");
    let clients = Clients::connect(server.address(transport), transport, args.streams)?;
    clients.go(&model);
    sleep(RAMP);
    let (cpu, seen) = (server.cpu()?, clients.chunks());
    sleep(WINDOW);
    let (cpu, seen) = (server.cpu()?.saturating_sub(cpu), clients.chunks() - seen);
    let records = probe.as_ref().map(Probe::seen).transpose()?;
    clients.finish()?;
    let target = args.streams as f64 * f64::from(args.rate) * WINDOW.as_secs_f64();
    if (seen as f64) < 0.9 * target {
        eprintln!("only {seen} of {target} chunks came: the machine is too busy");
    }
    if let Some(records) = records
        && records.refused + records.over_credit > 0.0
    {
        eprintln!("not all was captured: {records:?}");
    }
    Ok(cpu.as_secs_f64() * 1e6 / seen.max(1) as f64)
}
