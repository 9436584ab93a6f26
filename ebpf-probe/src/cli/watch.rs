//! `kaos-probe watch`: calls live.

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use probe_core::span::Span;

use super::capture::Capture;
use super::output::{self, MaybeExporter, Output, Sinks, Wanted};
use super::patient::PatientStdout;
use super::stop::Stop;
use crate::export::clock::{Clock, monotonic_now};
use crate::view::filter::Filter;
use crate::view::{Mode, Terminal, View};

/// Spans that may wait for a slow terminal; beyond it they are counted, not kept.
const WAITING: usize = 16_384;
const TICK: Duration = Duration::from_millis(200);

/// Options of `watch`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Group calls under their parents.
    #[arg(long, conflicts_with = "json")]
    tree: bool,
    /// Write one JSON object per span (docs/json.md).
    #[arg(long)]
    json: bool,
    /// Export the spans too, all of them, by the OTEL_* variables.
    #[arg(long)]
    otlp: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    output: Output,
}

/// Shows calls until Ctrl-C or SIGTERM.
pub(super) fn run(args: Args) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let stop = Stop::on_signals()?;
    let sinks = Sinks::default();
    let exporter: MaybeExporter = Arc::new(Mutex::new(None));
    if args.otlp
        && let Ok(mut slot) = exporter.lock()
    {
        *slot = Some(sinks.export(args.output.profile())?);
    }
    let (sender, spans) = sync_channel::<Arc<Span>>(WAITING);
    let sink = Arc::clone(&exporter);
    let mode = match (args.tree, args.json) {
        (true, _) => Mode::Tree,
        (_, true) => Mode::Json,
        _ => Mode::Lines,
    };
    let mut unshown = 0_u64;
    let setup = args
        .output
        .setup(Wanted::everything(args.otlp), &sinks, move |leaving| {
            output::record(&sink, &leaving);
            // A line says that a call has ended, and waits for no parent.
            let shown = match mode {
                Mode::Lines => leaving.ended(),
                Mode::Tree | Mode::Json => leaving.span(),
            };
            if let Some(span) = shown
                && sender.try_send(Arc::clone(span)).is_err()
            {
                unshown += 1;
                // One line in powers of two: a log must not make a slow terminal slower.
                if unshown.is_power_of_two() {
                    tracing::warn!(
                        calls = unshown,
                        "the output is too slow: calls are not shown"
                    );
                }
            }
        });
    let capture = Capture::start(setup)?;
    let terminal = Terminal::of_stdout();
    if mode != Mode::Json {
        let _ = writeln!(
            io::stderr(),
            "Watching every process of this host. Ctrl-C ends."
        );
    }
    let mut view = View::new(
        PatientStdout::new(stop.clone()),
        mode,
        args.filter,
        terminal,
    );
    let shown = show(&mut view, &spans, &sinks, &stop, &capture);
    let stopped = capture.stop();
    let shown = shown.and_then(|()| show_rest(&mut view, &spans, &sinks));
    runtime.block_on(output::finish(&exporter, output::deadline()));
    stopped?;
    match shown {
        // The reader of a pipe went away: `watch | head` is no error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        shown => {
            shown?;
            Ok(0)
        }
    }
}

/// Shows what came while the capture ended.
fn show_rest(
    view: &mut View<PatientStdout>,
    spans: &Receiver<Arc<Span>>,
    sinks: &Sinks,
) -> io::Result<()> {
    while let Ok(span) = spans.try_recv() {
        view.show(&span, &sinks.registry.get(span.process), Clock::measure())?;
    }
    view.finish(Clock::measure())
}

fn show(
    view: &mut View<PatientStdout>,
    spans: &Receiver<Arc<Span>>,
    sinks: &Sinks,
    stop: &Stop,
    capture: &Capture,
) -> io::Result<()> {
    while !stop.is_asked() && capture.is_alive() {
        match spans.recv_timeout(TICK) {
            Ok(span) => {
                let resource = sinks.registry.get(span.process);
                view.show(&span, &resource, Clock::measure())?;
            }
            Err(RecvTimeoutError::Timeout) => view.tick(monotonic_now(), Clock::measure())?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}
