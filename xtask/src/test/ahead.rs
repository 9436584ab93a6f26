//! Third parties' long builds, begun while the first steps run: the linker and single large crates
//! leave a processor idle for minutes.

use std::fs::File;
use std::process::{Child, Stdio};

use anyhow::Context as _;

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

/// The builds; none is begun any more once this is dropped.
pub(super) struct Ahead {
    child: Option<Child>,
}

impl Ahead {
    /// Nothing is built ahead.
    pub(super) const fn nothing() -> Self {
        Self { child: None }
    }

    /// Begins, with the lowest priority. What fails here fails again, and is told, in the step that
    /// wants it.
    pub(super) fn start() -> anyhow::Result<Self> {
        let log = paths::target_dir().join("ahead.log");
        let to = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut install = command("nice");
        install
            .args(["-n", "19"])
            .arg(paths::ourselves()?)
            .args(["peers", "install"])
            .args(PEERS)
            .stdout(Stdio::from(to.try_clone().context("cannot share a file")?))
            .stderr(Stdio::from(to));
        let child = install.spawn().context("cannot run nice")?;
        println!(
            "third parties' programs are built ahead; see {}",
            log.display()
        );
        Ok(Self { child: Some(child) })
    }

    /// Waits for the end: nothing is to run beside what is measured.
    pub(super) fn wait(&mut self) {
        if let Some(mut child) = self.child.take() {
            if !matches!(child.try_wait(), Ok(Some(_))) {
                println!("waiting for third parties' programs");
            }
            // Whatever came of it: who wants a program installs it if it is not there.
            drop(child.wait());
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
