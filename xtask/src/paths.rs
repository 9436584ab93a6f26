//! Where things are: the repository, its target folder, our cache.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context as _;

static OURSELVES: OnceLock<PathBuf> = OnceLock::new();

/// The path of this program, as it was at the start.
///
/// Kept because a build of the whole workspace puts a new xtask in the place of the one that
/// runs; the kernel then names that one "(deleted)", which is no path.
///
/// # Errors
///
/// If the kernel does not say which program we are (no /proc).
pub(crate) fn ourselves() -> anyhow::Result<&'static Path> {
    if let Some(path) = OURSELVES.get() {
        return Ok(path);
    }
    let path = std::env::current_exe().context("cannot find xtask itself; is /proc mounted?")?;
    Ok(OURSELVES.get_or_init(|| path))
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    // xtask is a direct child of the root; cargo gives the folder of the manifest.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Cargo's target folder for the workspace.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The folder for what is installed or built once for all clones: `$KAOS_CACHE`, else
/// `kaos-telemetry` in `$XDG_CACHE_HOME`, else `~/.cache/kaos-telemetry`.
pub(crate) fn cache_dir() -> anyhow::Result<PathBuf> {
    if let Some(dir) = non_empty("KAOS_CACHE") {
        return Ok(dir);
    }
    if let Some(dir) = non_empty("XDG_CACHE_HOME") {
        return Ok(dir.join("kaos-telemetry"));
    }
    let home = non_empty("HOME").context("neither KAOS_CACHE, XDG_CACHE_HOME nor HOME is set")?;
    Ok(home.join(".cache/kaos-telemetry"))
}

/// The folder given to `cargo install --root` for tools of pinned versions.
pub(crate) fn tools_dir() -> anyhow::Result<PathBuf> {
    Ok(cache_dir()?.join("tools"))
}

/// A tool of pinned version, installed by `setup`.
pub(crate) fn tool(name: &str) -> anyhow::Result<PathBuf> {
    Ok(tools_dir()?.join("bin").join(name))
}

/// The object with the programs for the kernel, as `build` leaves it.
pub(crate) fn kernel_object() -> PathBuf {
    target_dir().join("bpf/kaos-probe.o")
}

/// The object with the floor's programs, which `bench` compares the probe with.
pub(crate) fn floor_object() -> PathBuf {
    target_dir().join("bpf/kaos-bench-floor.o")
}

fn non_empty(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
