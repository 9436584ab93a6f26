//! `cargo xtask build`: the programs for the kernel, then kaos-probe with them inside.

pub(crate) mod kernel;
mod stamp;

use std::path::PathBuf;

use anyhow::bail;

use crate::cmd::{cargo, run as run_command};
use crate::{paths, setup};

/// The variable that tells `ebpf-probe`'s build script where the kernel programs are.
pub(crate) const OBJECT_VARIABLE: &str = "KAOS_BPF_OBJECT";

/// The most that the stripped program may have.
const MOST_BYTES: u64 = 15_000_000;

/// Options of `build`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Build kaos-probe without optimisation; the kernel programs are always optimised.
    #[arg(long, conflicts_with = "release")]
    pub(crate) debug: bool,
    /// Build kaos-probe with all optimisation (the default).
    #[arg(long)]
    pub(crate) release: bool,
    /// Build the kernel programs only.
    #[arg(long)]
    pub(crate) kernel: bool,
}

pub(crate) fn run(
    Args {
        debug,
        release: _,
        kernel,
    }: &Args,
) -> anyhow::Result<()> {
    let route = setup::for_build()?;
    let object = kernel::build(&route)?;
    println!("build: {}", object.display());
    if !kernel {
        println!("build: {}", probe(!debug)?.display());
    }
    Ok(())
}

/// Builds kaos-probe and gives the file. The kernel programs must have been built.
pub(crate) fn probe(release: bool) -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--package", "ebpf-probe"]);
    build.args(release.then_some("--release"));
    build.env(OBJECT_VARIABLE, paths::kernel_object());
    run_command(&mut build)?;
    let profile = if release { "release" } else { "debug" };
    let file = paths::target_dir().join(profile).join("kaos-probe");
    if release {
        check_size(std::fs::metadata(&file)?.len())?;
    }
    Ok(file)
}

fn check_size(bytes: u64) -> anyhow::Result<()> {
    if bytes > MOST_BYTES {
        bail!("kaos-probe has {bytes} bytes, more than {MOST_BYTES}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_has_grown_too_large_is_refused() {
        assert!(check_size(MOST_BYTES).is_ok());
        assert!(check_size(MOST_BYTES + 1).is_err());
    }
}
