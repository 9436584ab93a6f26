//! Where threads run, and what processes have had of processors.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_setaffinity};

/// The processor of what is measured.
pub(crate) const MEASURED: usize = 0;
/// The processor of everything else.
pub(crate) const OTHERS: usize = 1;

/// Keeps the current thread, and those that it makes later, on one processor.
pub(crate) fn pin(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on processor {cpu}"))
}

/// A command that runs `program` on one processor, or where the kernel puts it.
pub(crate) fn placed(cpu: Option<usize>, program: &std::path::Path) -> Command {
    cpu.map_or_else(|| Command::new(program), |cpu| pinned(cpu, program))
}

/// A command that runs `program` on one processor. The program replaces `taskset`, so the
/// process that is started is the program's.
pub(crate) fn pinned(cpu: usize, program: &std::path::Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(cpu.to_string()).arg(program);
    command
}

/// Processor time that a process has had, in user space and in the kernel.
pub(crate) fn spent(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    of_stat(&stat).context("/proc/PID/stat has other fields than known")
}

/// `utime` and `stime`, fields 14 and 15 (proc(5)), in ticks of 10 ms. The name before them may
/// hold blanks and brackets.
fn of_stat(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(10 * (user + system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_the_sum_of_both_kinds() {
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(of_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(of_stat("42 (x) S 1"), None);
    }
}
