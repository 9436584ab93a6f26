//! `kaos-probe doctor`: what can be seen, and why.

use std::io::Write as _;

use crate::discover::host;
use crate::discover::inspect::{self, MappedFile, Report};
use crate::kernel::{self, Tap};
use crate::view::escape::escape;

/// Options of `doctor`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Look at this process too.
    pid: Option<u32>,
    /// Try this socket tap instead of the best one.
    #[arg(long, value_enum)]
    tap: Option<Tap>,
}

/// Says what can be seen; the exit code is 0 only if all is well.
pub(super) fn run(args: &Args) -> u8 {
    let mut well = true;
    say("This host");
    for finding in host::findings() {
        well &= finding.ok;
        line(finding.ok, finding.what, &finding.found, finding.advice);
    }
    let programs = kernel::load(1 << 20, args.tap);
    let loads = programs.is_ok();
    match programs {
        Ok((_, control)) => {
            line(true, "programs", "the kernel takes them", "");
            line(
                true,
                "process tap",
                "tracepoints sched_process_exec, _fork, _exit",
                "",
            );
            socket_tap(&control);
            line(
                true,
                "TLS tap",
                "uprobes in OpenSSL and Go's crypto/tls, at the cheapest proven instructions",
                "",
            );
        }
        Err(error) => {
            well = false;
            refused(&error);
        }
    }
    if let Some(pid) = args.pid {
        well &= process(pid, loads);
    }
    u8::from(!well)
}

const HTTP2: &str = "not read: its connections are counted (kaos_probe_http2_connections_total) and named by --log info";

/// Says which socket tap was taken, and why not a better one.
fn socket_tap(control: &kernel::Control) {
    let (tap, refused) = control.tap();
    let hooks = match tap {
        Tap::Fentry => "fentry and fexit of tcp_sendmsg, tcp_recvmsg and ksys_mmap_pgoff",
        Tap::Kprobe => "kprobe and kretprobe of tcp_sendmsg, tcp_recvmsg and ksys_mmap_pgoff",
        Tap::Syscalls => "tracepoint sys_exit: it works on kernels without kprobes too",
    };
    line(true, "socket tap", &format!("{}: {hooks}", tap.name()), "");
    for (better, why) in refused {
        let why = why.lines().next().unwrap_or_default();
        line(true, "", &format!("not {}: {why}", better.name()), "");
    }
}

/// Says why the programs were not taken; the verifier's log has many lines.
fn refused(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    line(false, "programs", first, "");
    for more in lines {
        say(&format!("      {}", escape(more)));
    }
    say(&format!("      {:<16} to do: see the lines above", ""));
}

/// Says what is seen of a process, if the programs load; whether all is.
fn process(pid: u32, loads: bool) -> bool {
    say(&format!("\nProcess {pid}"));
    let Some(report) = inspect::process(pid) else {
        line(false, "process", "there is none of this number", "see `ps`");
        return false;
    };
    let executable = report.process.executable.as_ref();
    let executable = executable.map_or_else(|| "unknown".into(), |path| path.to_string_lossy());
    line(true, "executable", &executable, "");
    line(true, "runtime", &report.runtime, "");
    if let Some(container) = &report.process.place.container {
        line(true, "container", container, "");
    }
    if let Some(agent) = &report.process.environment.agent_name {
        line(true, "agent", &format!("{agent} (AGENT_NAME)"), "");
    }
    let mut well = plain(&report, loads);
    line(true, "HTTP/2", HTTP2, "");
    let hooked = if report.is_hooked {
        "hooks have been hit in it: somebody observes it"
    } else {
        "no hook has been hit in it so far"
    };
    line(true, "hooks", hooked, "");
    for (path, why) in &report.unread {
        well = false;
        let found = format!("{path} cannot be looked at: {why}");
        line(
            false,
            "file",
            &found,
            "run as root, in the host's pid namespace",
        );
    }
    if report.is_bare {
        well = false;
        line(
            false,
            "files",
            "no file of a program can be seen",
            "nothing, if it is a kernel thread or has just ended; else run as root",
        );
    }
    report
        .files
        .iter()
        .map(file)
        .fold(well, |well, file| well & file)
}

/// Says whether plain connections are seen; whether they are.
fn plain(report: &Report, loads: bool) -> bool {
    let (found, advice) = if !loads {
        ("not seen: the programs do not load", "see the lines above")
    } else if report.is_32_bit {
        (
            "not seen: system calls of 32-bit programs are not followed",
            "run a 64-bit build",
        )
    } else {
        ("seen", "")
    };
    let seen = found == "seen";
    line(seen, "plain HTTP/1", found, advice);
    seen
}

/// Says what is seen of one mapped file; whether all is.
fn file(file: &MappedFile) -> bool {
    say(&format!("  {}", escape(&file.path)));
    for one in &file.coverage {
        let verdict = match one.covered {
            // There is nothing to cover.
            true if one.library.starts_with("none") => "",
            true => ": covered",
            false => ": not covered",
        };
        let found = format!("{}{verdict}. {}", one.library, one.reason);
        line(one.covered, "  TLS", &found, &one.advice);
    }
    if let Some(hooks) = &file.hooks {
        line(true, "  hooks", hooks, "");
    }
    file.coverage.iter().all(|one| one.covered)
}

fn line(ok: bool, what: &str, found: &str, advice: &str) {
    let mark = if ok { "ok" } else { "!!" };
    say(&format!("  {mark}  {what:<16} {}", escape(found)));
    if !ok && !advice.is_empty() {
        say(&format!("      {:<16} to do: {}", "", escape(advice)));
    }
}

/// Writes a line. A reader that has gone away, as in `doctor | head`, changes nothing of the
/// verdict.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
