//! `kaos-probe run`: a command under observation.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use probe_common::maps::POLICY_HEADS;

use super::capture::Capture;
use super::descriptors;
use super::output::{self, MaybeExporter, Output, Sinks, Wanted};
use crate::discover::proc;
use crate::export::clock::Clock;
use crate::view::filter::Filter;
use crate::view::summary::Totals;
use crate::view::{Mode, Terminal, View};

/// How long records of the last calls may take after the command has ended.
const GRACE: Duration = Duration::from_millis(150);

/// Options of `run`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Write each span as a JSON object on a line of this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Stop the command at each new library until that is hooked, so that not even the first
    /// TLS bytes are missed. If kaos-probe itself is killed by SIGKILL meanwhile, a child may
    /// stay stopped: continue it by `kill -CONT`.
    #[arg(long)]
    hold: bool,
    /// Export the spans too, by the OTEL_* variables.
    #[arg(long)]
    otlp: bool,
    #[command(flatten)]
    output: Output,
    /// The command and its arguments.
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Options of the gate.
#[derive(clap::Args)]
pub(super) struct GateArgs {
    /// How many files the command may have open.
    #[arg(long)]
    files: Option<u64>,
    /// The pipe that says when to go on.
    pipe: PathBuf,
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Runs the command; returns its exit code, or 128 and the signal that ended it.
pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let sinks = Sinks::default();
    let exporter: MaybeExporter = Arc::new(Mutex::new(None));
    if args.otlp
        && let Ok(mut slot) = exporter.lock()
    {
        *slot = Some(sinks.export(args.output.profile())?);
    }
    let mut file = args.json.as_ref().map(|path| json_file(path)).transpose()?;
    let totals = Arc::new(Mutex::new(Totals::default()));
    let (sum, sink, registry) = (
        Arc::clone(&totals),
        Arc::clone(&exporter),
        Arc::clone(&sinks.registry),
    );
    let wanted = Wanted {
        selectors: Vec::new(),
        policy: POLICY_HEADS,
        hold: args.hold,
        node: None,
        exports: args.otlp,
    };
    let setup = args.output.setup(wanted, &sinks, move |leaving| {
        output::record(&sink, &leaving);
        let Some(span) = leaving.span() else {
            return;
        };
        let resource = registry.get(span.process);
        if let Some(view) = &mut file
            && let Err(error) = view.show(span, &resource, Clock::measure())
        {
            tracing::warn!(%error, "cannot write the file");
        }
        if let Ok(mut totals) = sum.lock() {
            totals.add(span, &resource);
        }
    });
    // What we raise for ourselves is not the command's.
    let files = descriptors::limit();
    let capture = Capture::start(setup)?;
    // Neither end is inherited: the gate opens the one by its path, and the command finds none.
    // Both stay open here until the command has ended, since the gate may open its end late.
    let (wait, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let mut child = spawn(&args.command, &wait, files)?;
    capture.opt_in(child.id())?;
    let mut go = File::from(go);
    go.write_all(b"\n")
        .context("the command's process is gone")?;
    let status = runtime.block_on(wait_for(&mut child))?;
    std::thread::sleep(GRACE);
    // The exit code is the command's, whatever became of us.
    if let Err(error) = capture.stop() {
        tracing::error!("calls are missing: {error:#}");
    }
    runtime.block_on(output::finish(&exporter, output::deadline()));
    if let Ok(totals) = totals.lock() {
        let _ = write!(std::io::stderr(), "{}", totals.render());
    }
    Ok(code(status))
}

/// Waits until it is told to go on, then becomes the command.
pub(super) fn gate(args: &GateArgs) -> anyhow::Result<u8> {
    // The command may be stopped at a library when the probe is killed: the kernel lets it go on.
    set_parent_process_death_signal(Some(Signal::CONT))?;
    let mut wait = File::open(&args.pipe).context("kaos-probe is gone")?;
    let mut byte = [0];
    wait.read_exact(&mut byte).context("kaos-probe is gone")?;
    drop(wait);
    descriptors::set(args.files);
    let (program, rest) = args.command.split_first().context("no command")?;
    let error = Command::new(program).args(rest).exec();
    let program = program.display();
    eprintln!("kaos-probe: cannot run {program}: {error}");
    // What a shell says of a command that it cannot run.
    Ok(if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    })
}

fn json_file(path: &Path) -> anyhow::Result<View<File>> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(View::new(
        file,
        Mode::Json,
        Filter::default(),
        Terminal::plain(),
    ))
}

fn spawn(command: &[OsString], wait: &OwnedFd, files: Option<u64>) -> anyhow::Result<Child> {
    Command::new("/proc/self/exe")
        .arg("gate")
        .args(files.map(|files| format!("--files={files}")))
        .arg(proc::own_descriptor(wait.as_raw_fd()))
        .arg("--")
        .args(command)
        .spawn()
        .context("cannot start a process")
}

/// Waits for the command, and passes on what is asked of us meanwhile.
async fn wait_for(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut ended = signal(SignalKind::child())?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pass_on = |signal| pid.map(|pid| kill_process(pid, signal));
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        tokio::select! {
            _ = ended.recv() => {}
            // The terminal has told the command already.
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            // So may it have here, but who hangs up twice says nothing new.
            _ = hangup.recv() => {
                let _ = pass_on(Signal::HUP);
            }
            _ = terminate.recv() => {
                let _ = pass_on(Signal::TERM);
            }
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
