//! Where threads run.

use std::process::Command;

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

/// A command that runs `program` on one processor. The program replaces `taskset`, so the
/// process that is started is the program's.
pub(crate) fn pinned(cpu: usize, program: &std::path::Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(cpu.to_string()).arg(program);
    command
}
