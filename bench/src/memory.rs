//! What the kernel accounts to a process for memory of its own: maps, rings, programs, tables.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// A memory control group; what is started by [`Group::hold`] is born in it. It is removed with
/// this value, once the processes in it are gone.
pub(crate) struct Group {
    folder: PathBuf,
    parent: PathBuf,
}

impl Group {
    /// A group below this process's own.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mine = std::fs::read_to_string("/proc/self/cgroup")?;
        let parent = of_memory(&mine).context("no memory control group here")?;
        let folder = parent.join(format!("kaos-bench-{}", std::process::id()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder, parent })
    }

    /// Does something inside: processes that it starts stay, this one comes back.
    pub(crate) fn hold<T>(&self, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        enter(&self.folder)?;
        let started = start();
        enter(&self.parent)?;
        started
    }

    /// Bytes of kernel memory now.
    pub(crate) fn kernel_bytes(&self) -> anyhow::Result<u64> {
        let one = |file: &str| std::fs::read_to_string(self.folder.join(file));
        if let Ok(bytes) = one("memory.kmem.usage_in_bytes") {
            return Ok(bytes.trim().parse()?);
        }
        let stat = one("memory.stat")?;
        crate::rss::number(&stat, "kernel ").context("memory.stat has no kernel line")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that still ends keeps it; it is empty then, and the next boot removes it.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

fn enter(group: &Path) -> anyhow::Result<()> {
    let file = group.join("cgroup.procs");
    std::fs::write(&file, std::process::id().to_string())
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The folder of the memory controller's group in the text of `/proc/PID/cgroup`.
fn of_memory(groups: &str) -> Option<PathBuf> {
    let path = |line: &str, prefix: &str| {
        let (_, rest) = line.split_once(':')?;
        Some(
            rest.strip_prefix(prefix)?
                .trim_start_matches('/')
                .to_owned(),
        )
    };
    let old = groups.lines().find_map(|line| path(line, "memory:"));
    if let Some(old) = old {
        return Some(Path::new(ROOT).join("memory").join(old));
    }
    let new = groups.lines().find_map(|line| path(line, ":"))?;
    Some(Path::new(ROOT).join(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_controller_is_found_in_both_hierarchies() {
        let hybrid = "5:cpu:/a\n4:memory:/b/c\n0::/d\n";
        assert_eq!(
            of_memory(hybrid),
            Some(PathBuf::from("/sys/fs/cgroup/memory/b/c"))
        );
        assert_eq!(
            of_memory("0::/d\n"),
            Some(PathBuf::from("/sys/fs/cgroup/d"))
        );
        assert_eq!(of_memory(""), None);
    }
}
