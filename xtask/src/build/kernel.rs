//! The programs for the kernel: another target, another compiler, a workspace of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::stamp::Stamp;
use crate::cmd::run;
use crate::paths;
use crate::setup::{Route, linker};

const TARGET: &str = "bpfel-unknown-none";
const BINARY: &str = "kaos-probe-kernel";
/// What `bench` compares with; the probe does not carry it.
const FLOOR: &str = "kaos-bench-floor";

/// The folder of the kernel package.
pub(crate) fn package() -> PathBuf {
    paths::root().join("ebpf-probe/kernel")
}

/// Builds the kernel programs if their sources, compiler or flags have changed, and gives the
/// object.
pub(crate) fn build(route: &Route) -> anyhow::Result<PathBuf> {
    let object = paths::kernel_object();
    let flags = flags()?;
    let mut stamp = Stamp::new();
    stamp.tree(&package())?;
    stamp.tree(&paths::root().join("probe-common"))?;
    stamp.text(&route.compiler()?);
    stamp.text(&flags);
    let stamp_file = object.with_extension("stamp");
    let floor = paths::floor_object();
    if object.exists() && floor.exists() && stamp.is_in(&stamp_file) {
        return Ok(object);
    }
    let mut cargo = route.cargo();
    arguments(cargo.arg("build"), &flags);
    run(&mut cargo).context("the kernel programs do not build")?;
    let built = build_dir().join(TARGET).join("release");
    keep(&built.join(BINARY), &object)?;
    keep(&built.join(FLOOR), &floor)?;
    stamp.write(&stamp_file)?;
    Ok(object)
}

/// The command that checks the kernel programs, if the route has a clippy.
pub(crate) fn clippy(route: &Route) -> anyhow::Result<Option<Command>> {
    let Some(mut clippy) = route.clippy() else {
        return Ok(None);
    };
    arguments(&mut clippy, &flags()?);
    clippy.args(["--", "-D", "warnings"]);
    Ok(Some(clippy))
}

/// The target, the profile and where to build, for cargo's `build` and `clippy` alike.
fn arguments(cargo: &mut Command, flags: &str) {
    cargo
        .args(["-Z", "build-std=core", "--target", TARGET, "--release"])
        .current_dir(package())
        .env("CARGO_TARGET_DIR", build_dir())
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
}

/// Rustc's flags, separated as cargo wants them.
fn flags() -> anyhow::Result<String> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "kernel programs are known for x86-64 only, and this is {}",
            std::env::consts::ARCH
        );
    }
    let linker = linker()?;
    let linker = linker.to_str().context("the linker's path is not UTF-8")?;
    Ok([
        // aya-ebpf reads registers by the layout of the machine that will run the programs.
        "--cfg=bpf_target_arch=\"x86_64\"",
        // BTF is made of debug information; the kernel wants it for its maps and for messages.
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        &format!("-Clinker={linker}"),
    ]
    .join("\u{1f}"))
}

/// Copies `built` to `object`, unless it is the same: cargo would build the probe again.
fn keep(built: &Path, object: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(object).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(dir) = object.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    fs::write(object, bytes).with_context(|| format!("cannot write {}", object.display()))
}

fn build_dir() -> PathBuf {
    paths::target_dir().join("bpf/build")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_object_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("xtask-kernel-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (built, object) = (dir.join("built"), dir.join("deep/object"));
        fs::write(&built, "one").unwrap();
        keep(&built, &object).unwrap();
        let mut old = fs::metadata(&object).unwrap().permissions();
        old.set_readonly(true);
        fs::set_permissions(&object, old).unwrap();
        let before = fs::metadata(&object).unwrap().modified().unwrap();
        keep(&built, &object).unwrap();
        assert_eq!(fs::metadata(&object).unwrap().modified().unwrap(), before);
        fs::remove_file(&object).unwrap();
        fs::write(&built, "two").unwrap();
        keep(&built, &object).unwrap();
        assert_eq!(fs::read(&object).unwrap(), b"two");
        fs::remove_dir_all(dir).unwrap();
    }
}
