//! Long builds, begun while the first steps run: the linker and single large crates leave a
//! processor idle for minutes.

use std::fs::File;
use std::process::{Child, Stdio};

use anyhow::Context as _;

use super::{fuzz, system};
use crate::cmd::command;
use crate::paths;

/// What takes minutes to build or to fetch, in the order in which steps ask for it.
const PEERS: [&str; 6] = [
    "ollama",
    "litellm",
    "collector",
    "kubernetes",
    "coredns",
    "helm",
];

/// The builds; none goes on once this is dropped.
pub(super) struct Ahead {
    children: Vec<Child>,
}

impl Ahead {
    /// Nothing is built ahead.
    pub(super) const fn nothing() -> Self {
        Self {
            children: Vec::new(),
        }
    }

    /// Begins, with the lowest priority. What fails here fails again, and is told, in the step that
    /// wants it.
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut ahead = Self::nothing();
        ahead.begin("ahead.log", &[&["peers", "install"], &PEERS[..]].concat())?;
        ahead.begin("ahead-ours.log", &["test", "--build-ahead"])?;
        Ok(ahead)
    }

    fn begin(&mut self, log: &str, args: &[&str]) -> anyhow::Result<()> {
        let log = paths::target_dir().join(log);
        let to = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut child = command("nice");
        child
            .args(["-n", "19"])
            .arg(paths::ourselves()?)
            .args(args)
            .stdout(Stdio::from(to.try_clone().context("cannot share a file")?))
            .stderr(Stdio::from(to));
        self.children
            .push(child.spawn().context("cannot run nice")?);
        println!("built ahead: {}; see {}", args.join(" "), log.display());
        Ok(())
    }

    /// Waits for the end: nothing is to run beside what is measured.
    pub(super) fn wait(&mut self) {
        for mut child in self.children.drain(..) {
            if !matches!(child.try_wait(), Ok(Some(_))) {
                println!("waiting for what is built ahead");
            }
            // Whatever came of it: who wants a program builds it if it is not there.
            drop(child.wait());
        }
    }
}

/// Builds our programs that later steps run, in the order in which they do.
pub(super) fn build() -> anyhow::Result<()> {
    fuzz::build()?;
    system::e2e_and_webhook()?;
    Ok(())
}

impl Drop for Ahead {
    fn drop(&mut self) {
        for mut child in self.children.drain(..) {
            // It may have ended.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
