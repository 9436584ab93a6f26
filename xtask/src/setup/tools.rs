//! Tools that cargo builds, of pinned versions, in our own cache.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::apt::{self, Package};
use super::route::{self, Route};
use crate::cmd::{cargo, command, read, run, succeeds, which};
use crate::paths;

const BPF_LINKER: &str = "0.13.0";
const CARGO_DENY: &str = "0.20.2";

/// rustfmt and clippy of the toolchain that runs us.
pub(crate) fn rust_components() -> anyhow::Result<()> {
    let there = |tool: &str| succeeds(cargo().args([tool, "--version"]));
    if there("fmt") && there("clippy") {
        return Ok(());
    }
    if which("rustup").is_none() {
        bail!("rustfmt and clippy are missing, and there is no rustup to add them");
    }
    println!("setup: adding rustfmt and clippy");
    run(command("rustup").args(["component", "add", "rustfmt", "clippy"]))
}

/// bpf-linker, built against the LLVM of `route`.
pub(crate) fn bpf_linker(route: &Route) -> anyhow::Result<()> {
    if is_there("bpf-linker", BPF_LINKER)? {
        return Ok(());
    }
    let llvm = route.llvm();
    let prefix = format!("/usr/lib/llvm-{llvm}");
    if !Path::new(&prefix).join("bin/llvm-config").exists() {
        if let (Ok(linker), Route::Nightly { .. }) = (route::linker(), route) {
            println!(
                "setup: using the bpf-linker that is there: {}",
                linker.display()
            );
            return Ok(());
        }
        let name: &'static str = match llvm {
            21 => "llvm-21-dev",
            22 => "llvm-22-dev",
            23 => "llvm-23-dev",
            _ => bail!("bpf-linker {BPF_LINKER} knows no LLVM {llvm}; please install a newer one"),
        };
        let file = "/no/other/place/will/do";
        apt::install(
            "bpf-linker",
            &[Package {
                name,
                file,
                why: "LLVM's libraries",
            }],
        )?;
    }
    let mut install = cargo_install("bpf-linker", BPF_LINKER)?;
    install.args([
        "--no-default-features",
        "--features",
        &format!("llvm-{llvm}"),
    ]);
    install
        .env("LLVM_PREFIX", &prefix)
        .env("RUSTFLAGS", format!("-L {prefix}/lib"));
    run(&mut install).context("bpf-linker links the kernel programs")
}

/// cargo-deny; it is built without optimisations, for it runs for seconds.
pub(crate) fn cargo_deny() -> anyhow::Result<()> {
    if is_there("cargo-deny", CARGO_DENY)? {
        return Ok(());
    }
    let mut install = cargo_install("cargo-deny", CARGO_DENY)?;
    install
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    run(&mut install)
}

/// Those of our tools that are not installed in their version.
pub(crate) fn missing() -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for (tool, version) in [("bpf-linker", BPF_LINKER), ("cargo-deny", CARGO_DENY)] {
        if !is_there(tool, version)? {
            missing.push(format!("{tool} {version}"));
        }
    }
    Ok(missing)
}

fn is_there(tool: &str, version: &str) -> anyhow::Result<bool> {
    let said = read(command(paths::tool(tool)?).arg("--version"));
    Ok(said.is_ok_and(|said| has_version(&said, version)))
}

fn has_version(said: &str, version: &str) -> bool {
    said.split_whitespace().any(|word| word == version)
}

fn cargo_install(tool: &str, version: &str) -> anyhow::Result<Command> {
    println!("setup: building {tool} {version} (minutes, once)");
    let mut install = cargo();
    install.args([
        "install",
        "--locked",
        "--force",
        "--version",
        version,
        "--root",
    ]);
    install.arg(paths::tools_dir()?).arg(tool);
    // Built in a folder that cargo removes afterwards, not among our own artefacts.
    install
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    Ok(install)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_whole_word() {
        assert!(has_version("bpf-linker 0.13.0\n", "0.13.0"));
        assert!(!has_version("bpf-linker 0.13.01\n", "0.13.0"));
        assert!(!has_version("", "0.13.0"));
    }
}
