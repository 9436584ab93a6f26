//! A browser without a window, for pictures of the UI.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::command::{quiet, which};
use super::{Cache, Peer, terminal};

/// Debian's chromium, installed by apt: the only peer that the machine itself gets.
pub(crate) struct Chromium;

impl Peer for Chromium {
    fn name(&self) -> &'static str {
        "chromium"
    }

    fn about(&self) -> &'static str {
        "Debian's chromium by apt, for pictures of the UI"
    }

    fn install(&self, _cache: &Cache) -> Result<PathBuf> {
        if let Some(program) = which("chromium") {
            return Ok(program);
        }
        eprintln!("installing chromium: {}", self.about());
        quiet(Command::new("apt-get").args(["-q", "update"]))?;
        quiet(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["-q", "install", "-y", "--no-install-recommends", "chromium"]),
        )?;
        Ok(PathBuf::from("/usr/bin/chromium"))
    }
}

/// Draws a page of loopback into a PNG file.
pub(crate) fn picture(cache: &Cache, url: &str, file: &Path) -> Result<()> {
    draw(cache, url, (1600, 900), file)
}

/// Draws what stands in a file as a terminal would show it.
pub(crate) fn terminal(cache: &Cache, text: &Path, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(text)?;
    let page = std::env::temp_dir().join(format!("terminal-{}.html", std::process::id()));
    std::fs::write(&page, terminal::page(&text))?;
    let url = format!("file://{}", page.display());
    let drawn = draw(cache, &url, terminal::size(&text), file);
    std::fs::remove_file(page)?;
    drawn
}

fn draw(cache: &Cache, url: &str, (width, height): (usize, usize), file: &Path) -> Result<()> {
    let program = Chromium.install(cache)?;
    quiet(
        Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--hide-scrollbars", "--virtual-time-budget=20000"])
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--screenshot={}", file.display()))
            .arg(url),
    )
}
