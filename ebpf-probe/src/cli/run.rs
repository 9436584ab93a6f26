//! `kaos-probe run`: a command under observation.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::output::{Output, Outputs};

/// How long records of the last calls may take after the command has ended.
const GRACE: Duration = Duration::from_millis(150);

/// Options of `run`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Write each span as a JSON object on a line of this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    /// The command and its arguments.
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Options of the gate.
#[derive(clap::Args)]
pub(super) struct GateArgs {
    /// The descriptor that says when to go on.
    descriptor: i32,
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

/// Runs the command; returns its exit code, or 128 and the signal that ended it.
pub(super) fn run(args: Args) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let json = args.json.as_ref().map(|path| {
        File::create(path).with_context(|| format!("cannot write {}", path.display()))
    });
    let mut json = json.transpose()?.map(BufWriter::new);
    let outputs = Arc::new(Mutex::new(Outputs::new(&args.output)?));
    let sink = Arc::clone(&outputs);
    let registry = args.output.registry();
    let names = Arc::clone(&registry);
    let setup = args.output.setup(registry, Vec::new(), true, move |span| {
        if let Some(file) = &mut json {
            let line = super::output::json(&span, &names);
            let _ = writeln!(file, "{line}").and_then(|()| file.flush());
        }
        if let Ok(mut outputs) = sink.lock() {
            outputs.take(&span);
        }
    });
    let capture = super::capture::Capture::start(setup)?;
    let (go, wait) = rustix::pipe::pipe().map(|(wait, go)| (go, wait))?;
    let mut child = spawn(&args.command, &wait)?;
    drop(wait);
    capture.opt_in(child.id())?;
    File::from(go).write_all(b"\n").context("the command's process is gone")?;
    let status = runtime.block_on(wait_for(&mut child))?;
    std::thread::sleep(GRACE);
    capture.stop()?;
    if let Ok(mut outputs) = outputs.lock() {
        runtime.block_on(outputs.finish());
        eprint!("{}", outputs.summary());
    }
    Ok(code(status))
}

/// Waits until it is told to go on, then becomes the command.
pub(super) fn gate(args: GateArgs) -> anyhow::Result<u8> {
    let mut wait = File::open(format!("/proc/self/fd/{}", args.descriptor))?;
    let mut byte = [0];
    wait.read_exact(&mut byte).context("kaos-probe is gone")?;
    drop(wait);
    let (program, rest) = args.command.split_first().context("no command")?;
    let error = Command::new(program).args(rest).exec();
    eprintln!("kaos-probe: cannot run {program}: {error}");
    // What a shell says of a command that it cannot run.
    Ok(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

fn spawn(command: &[String], wait: &OwnedFd) -> anyhow::Result<Child> {
    Command::new("/proc/self/exe")
        .arg("gate")
        .arg(wait.as_raw_fd().to_string())
        .arg("--")
        .args(command)
        .spawn()
        .context("cannot start a process")
}

/// Waits for the command, and passes on what is asked of us meanwhile.
async fn wait_for(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ended = signal(SignalKind::child())?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        tokio::select! {
            _ = ended.recv() => {}
            // The terminal has told the command already.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                if let Some(pid) = pid {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
