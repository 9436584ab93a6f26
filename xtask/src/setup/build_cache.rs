//! Cargo's intermediate files of CI, kept in our cache from one clone to the next.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::cmd::read;
use crate::paths;

/// Tells cargo where its intermediate files go (since 1.91).
pub(crate) const VARIABLE: &str = "CARGO_BUILD_BUILD_DIR";

/// Each clone leaves the files of its own crates, which nobody needs again: beyond this all goes.
const MOST_KIB: u64 = 12 << 20;

/// The folder, under CI alone: there each run starts in a fresh clone, while third-party crates
/// are the same in all of them.
pub(crate) fn dir() -> Option<PathBuf> {
    let set = |variable| std::env::var_os(variable).is_some();
    if !set("CI") || set(VARIABLE) {
        return None;
    }
    Some(paths::cache_dir().ok()?.join("cargo"))
}

/// Empties the folder if it has grown too large.
pub(super) fn bound() -> anyhow::Result<()> {
    let Some(dir) = dir().filter(|dir| dir.exists()) else {
        return Ok(());
    };
    let said = read(Command::new("du").arg("-sk").arg(&dir))?;
    let kib = said.split_whitespace().next().unwrap_or_default();
    let kib: u64 = kib.parse().context("du printed no number")?;
    if kib > MOST_KIB {
        println!(
            "setup: {} has grown to {} MiB: emptied",
            dir.display(),
            kib >> 10
        );
        fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    Ok(())
}
