//! The throughput of a `FastAPI` app, without the probe and with it, in turns.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use super::{Args, Hook, PATIENCE, script, selector};
use crate::probe::Probe;
use crate::stats::spread;
use crate::{cpu, http};

/// Until all connections are at work.
const RAMP: Duration = Duration::from_secs(1);
/// How long answers are counted.
const WINDOW: Duration = Duration::from_secs(4);
/// What a client needs: a blocking read and a buffer.
const STACK: usize = 256 << 10;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let app = App::start(args)?;
    let hook = Hook::of(app.child.id())?;
    once(args, &app)?;
    let (mut without, mut with, mut loss) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..args.pairs {
        // The order changes from pair to pair, so that a drift of the machine helps neither.
        let probed = |probed| measure(args, &app, &hook, probed);
        let (a, b) = if pair % 2 == 0 {
            let a = probed(false)?;
            (a, probed(true)?)
        } else {
            let b = probed(true)?;
            (probed(false)?, b)
        };
        without.push(a);
        with.push(b);
        loss.push(100.0 * (a - b) / a);
        eprintln!("FastAPI pair {}: {a:.0} -> {b:.0} requests/s", pair + 1);
    }
    println!(
        "FastAPI at {} connections: without {} requests/s, with kaos-probe {}; {:.1} % loss (goal 2)",
        args.connections,
        spread(&without),
        spread(&with),
        spread(&loss)
    );
    Ok(())
}

fn measure(args: &Args, app: &App, hook: &Hook, probed: bool) -> anyhow::Result<f64> {
    let selectors = selector(app.child.id());
    let probe = probed
        .then(|| Probe::start(&args.programs.probe, &selectors))
        .transpose()?;
    hook.wait(probed)?;
    let rate = once(args, app)?;
    let seen = probe.as_ref().map(Probe::seen).transpose()?;
    if let Some(seen) = seen
        && seen.refused > 0.0
    {
        eprintln!("not all was captured: {seen:?}");
    }
    Ok(rate)
}

/// Answers a second.
fn once(args: &Args, app: &App) -> anyhow::Result<f64> {
    let (answers, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let mut clients = Vec::with_capacity(args.connections);
        for _ in 0..args.connections {
            let thread = thread::Builder::new().stack_size(STACK);
            let client = || client(app.port, &answers, &stop);
            clients.push(thread.spawn_scoped(scope, client)?);
        }
        sleep(RAMP);
        let (first, start) = (answers.load(Ordering::Relaxed), Instant::now());
        sleep(WINDOW);
        let (last, time) = (answers.load(Ordering::Relaxed), start.elapsed());
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client
                .join()
                .map_err(|_panic| anyhow!("a client panicked"))??;
        }
        Ok((last - first) as f64 / time.as_secs_f64())
    })
}

fn client(port: u16, answers: &AtomicU64, stop: &AtomicBool) -> anyhow::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).context("reach the app")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let request = http::request("bench");
    while !stop.load(Ordering::Relaxed) {
        reader.get_mut().write_all(&request)?;
        answer(&mut reader)?;
        answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn answer(reader: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            bail!("the app closed a connection");
        }
        if line.starts_with("HTTP/1.1") && !line.contains(" 200 ") {
            bail!("the app answered {}", line.trim_end());
        }
        let field = line.trim_end().to_ascii_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(())
}

/// The app on the measured processor; it ends with this value.
struct App {
    child: Child,
    port: u16,
}

impl App {
    fn start(args: &Args) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = cpu::pinned(cpu::MEASURED, &args.python)
            .arg(script("app.py"))
            .arg(port.to_string())
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start the FastAPI app")?;
        let mut app = Self { child, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = app.child.try_wait()? {
                bail!("the FastAPI app ended: {status}");
            }
            if start.elapsed() > 3 * PATIENCE {
                bail!("the FastAPI app does not listen");
            }
            sleep(Duration::from_millis(20));
        }
        Ok(app)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // It is ours, and has nothing to tidy up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
