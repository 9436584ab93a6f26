//! helm, as a user runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::webhook::setup::{HOME, objects};

/// The release's name.
pub const RELEASE: &str = "kaos-telemetry";

/// The program, with folders of its own.
pub struct Helm {
    program: PathBuf,
    folder: PathBuf,
}

/// What it said.
pub struct Said {
    /// Whether it was content.
    pub success: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Where the chart is.
#[must_use]
pub fn chart() -> PathBuf {
    repository().join("charts/kaos-telemetry")
}

/// Where the values of a backend are.
#[must_use]
pub fn examples() -> PathBuf {
    repository().join("examples")
}

fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

impl Helm {
    /// A helm that keeps its files in a folder.
    #[must_use]
    pub fn new(program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.join("helm"),
        }
    }

    /// Runs it, whatever it says.
    pub fn say(&self, words: &[&str]) -> Result<Said> {
        let mut command = Command::new(&self.program);
        for name in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{name}_HOME"), self.folder.join(name));
        }
        let output = command.args(words).output();
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        Ok(Said {
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it; gives its output. Discontent is an error.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let said = self.say(words)?;
        if !said.success {
            bail!("helm {}: {}", words.join(" "), said.err.trim());
        }
        Ok(said.out)
    }

    /// A command about the release and the chart, with more words behind.
    pub fn on_chart(&self, verb: &str, more: &[&str]) -> Result<String> {
        let chart = chart();
        let chart = chart.to_str().context("the path is UTF-8")?;
        let words = [verb, RELEASE, chart, "--namespace", HOME];
        self.run(&[&words, more].concat())
    }

    /// What the chart makes of values, hooks left out.
    pub fn template(&self, more: &[&str]) -> Result<Vec<Value>> {
        let text = self.on_chart("template", &[&["--no-hooks"], more].concat())?;
        objects(&text).context("read what helm made")
    }
}
