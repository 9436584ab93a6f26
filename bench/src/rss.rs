//! `kaos-bench rss`: the probe's memory and size.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;

use crate::Programs;
use crate::load::Transport;
use crate::load::clients::Clients;
use crate::load::server::Server;
use crate::memory::Group;
use crate::probe::Probe;

/// Options of `rss`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: Programs,
    /// Streams that are open at once.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
}

pub(crate) fn run(Args { programs, streams }: &Args) -> anyhow::Result<()> {
    crate::cpu::pin(crate::cpu::OTHERS)?;
    file(&programs.probe)?;
    let idle = Probe::start(&programs.probe, &[])?;
    sleep(Duration::from_secs(2));
    report("idle", idle.pid(), 20.0)?;
    drop(idle);
    let server = Server::start(&programs.fake)?;
    let selectors = ["--pid".to_owned(), server.pid().to_string()];
    let group = Group::new()?;
    let probe = group.hold(|| Probe::start(&programs.probe, &selectors))?;
    let clients = Clients::connect(server.address(Transport::Plain), Transport::Plain, *streams)?;
    clients.go("fake-n160-i50-b80");
    sleep(Duration::from_secs(5));
    println!("{:.0} records read so far", probe.seen()?.records);
    report(&format!("{streams} open streams"), probe.pid(), 64.0)?;
    println!(
        "{streams} open streams: kernel memory {:.1} MiB by its control group's account (goal 48)",
        mib(group.kernel_bytes()?)
    );
    clients.finish()?;
    sleep(Duration::from_secs(2));
    report("after them", probe.pid(), 64.0)
}

fn file(program: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(program)?.len();
    println!("kaos-probe: {:.1} MiB on disk (goal 15)", mib(bytes));
    let needs = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot run ldd")?;
    for line in String::from_utf8_lossy(&needs.stdout).lines() {
        let library = line.split_whitespace().next().unwrap_or_default();
        println!("kaos-probe needs {library}");
    }
    Ok(())
}

fn report(when: &str, pid: u32, goal: f64) -> anyhow::Result<()> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| number(&status, name).unwrap_or(0);
    println!(
        "{when}: RSS {:.1} MiB (goal {goal}), of it {:.1} anonymous, {:.1} of files, {:.1} shared",
        mib(kib("VmRSS:") << 10),
        mib(kib("RssAnon:") << 10),
        mib(kib("RssFile:") << 10),
        mib(kib("RssShmem:") << 10),
    );
    let (maps, programs) = kernel_memory(pid)?;
    println!(
        "{when}: kernel memory {:.1} MiB in maps and rings, {:.1} MiB in programs (goal 48)",
        mib(maps),
        mib(programs)
    );
    Ok(())
}

/// Bytes that the kernel accounts for maps, and for programs, of the process's descriptors.
fn kernel_memory(pid: u32) -> anyhow::Result<(u64, u64)> {
    let (mut maps, mut programs) = (0, 0);
    let mut counted = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A descriptor may be closed meanwhile.
        let Ok(info) = std::fs::read_to_string(entry?.path()) else {
            continue;
        };
        let memory = number(&info, "memlock:").unwrap_or(0);
        let (sum, id) = if let Some(id) = number(&info, "map_id:") {
            (&mut maps, (0, id))
        } else if let Some(id) = number(&info, "prog_id:") {
            (&mut programs, (1, id))
        } else {
            continue;
        };
        // A link names the program that it runs, and a map may have two descriptors.
        if memory > 0 && !counted.contains(&id) {
            counted.push(id);
            *sum += memory;
        }
    }
    Ok((maps, programs))
}

/// The number after `name` at the beginning of a line.
pub(crate) fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_names() {
        let text = "VmRSS:\t   1234 kB\nmap_id:\t7\nmemlock:\t4096\n";
        assert_eq!(number(text, "VmRSS:"), Some(1234));
        assert_eq!(number(text, "map_id:"), Some(7));
        assert_eq!(number(text, "prog_id:"), None);
    }
}
