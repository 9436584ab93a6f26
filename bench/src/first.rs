//! `kaos-bench first`: from the start of kaos-probe to the first captured call.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::Transport;
use crate::load::server::Server;
use crate::stats::spread;
use crate::{Programs, cpu, http};

/// Options of `first`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: Programs,
    /// How often it is measured.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

/// Pause between two calls: the resolution of the figure.
const BETWEEN: Duration = Duration::from_millis(10);

pub(crate) fn run(Args { programs, rounds }: &Args) -> anyhow::Result<()> {
    cpu::pin(cpu::OTHERS)?;
    let server = Server::start(&programs.fake)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, address) = (Arc::clone(&stop), server.address(Transport::Plain));
    let client = thread::spawn(move || call_again(address, &stopped));
    let mut shown = Vec::new();
    for _ in 0..*rounds {
        shown.push(first(programs)?.as_secs_f64() * 1e3);
    }
    stop.store(true, Ordering::Relaxed);
    drop(client.join());
    println!(
        "from start to the first call on standard output: {} ms (goal 1000)",
        spread(&shown)
    );
    Ok(())
}

/// The time from the start of `kaos-probe watch` to its first line.
fn first(programs: &Programs) -> anyhow::Result<Duration> {
    let mut watch = cpu::pinned(cpu::OTHERS, &programs.probe);
    watch
        .args(["watch", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = watch.spawn().context("cannot start kaos-probe")?;
    let out = child.stdout.take().context("no standard output")?;
    let mut line = String::new();
    // Kept to the end: a closed pipe would be an error to kaos-probe.
    let mut out = BufReader::new(out);
    out.read_line(&mut line)?;
    let time = start.elapsed();
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM)?;
    }
    std::io::copy(&mut out, &mut std::io::sink())?;
    child.wait()?;
    ensure!(line.contains("trace_id"), "kaos-probe ended without a call");
    Ok(time)
}

fn call_again(address: SocketAddr, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // One that fails is followed by another.
        drop(call(address));
        sleep(BETWEEN);
    }
}

fn call(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&http::request("fake-n1-close"))?;
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}
