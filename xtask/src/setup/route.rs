//! The compiler for the kernel programs.
//!
//! Their target has no ready-made `core`, so it is built from source, by unstable flags. Two
//! ways lead there: the distribution's compiler with its own copy of the sources, or a rustup
//! nightly with the component `rust-src`. The linker (bpf-linker) must be built against the same
//! LLVM as the compiler.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::apt::{self, Package};
use crate::cmd::{command, read, succeeds, which};
use crate::paths;

/// A compiler that can build for `bpfel-unknown-none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Debian's `rustc-web`, `cargo-web` and `rust-web-src`.
    Distribution,
    /// A rustup nightly with `rust-src`.
    Nightly {
        /// The major version of LLVM inside the compiler.
        llvm: u32,
    },
}

/// Debian's packages for [`Route::Distribution`].
const PACKAGES: [Package; 5] = [
    Package {
        name: "rustc-web",
        file: "/usr/bin/rustc",
        why: "compiler",
    },
    Package {
        name: "cargo-web",
        file: "/usr/bin/cargo",
        why: "its cargo",
    },
    Package {
        name: "rust-web-src",
        file: CORE,
        why: "source of `core`",
    },
    Package {
        name: "rust-web-clippy",
        file: "/usr/bin/cargo-clippy",
        why: "its lints",
    },
    Package {
        name: "llvm-22-dev",
        file: "/usr/lib/llvm-22/bin/llvm-config",
        why: "for bpf-linker",
    },
];

/// The sources of `core`, where Debian puts them.
const CORE: &str = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml";

/// The release of Debian's compiler from which on the kernel programs build.
const DISTRIBUTION_RELEASE: (u32, u32) = (1, 96);

impl Route {
    /// The route that is ready on this machine.
    pub(crate) fn find() -> Option<Self> {
        if Path::new(CORE).exists() && Path::new("/usr/bin/cargo").exists() {
            let version = read(command("/usr/bin/rustc").arg("--version")).unwrap_or_default();
            if release(&version).is_some_and(|release| release >= DISTRIBUTION_RELEASE) {
                return Some(Self::Distribution);
            }
        }
        nightly()
    }

    /// The route that is ready, else one that can be made so.
    pub(crate) fn prepare() -> anyhow::Result<Self> {
        if Self::find() == Some(Self::Distribution) || apt::can_have(&PACKAGES.map(|p| p.name)) {
            apt::install("the kernel programs", &PACKAGES)?;
        } else if Self::find().is_none() && which("rustup").is_some() {
            println!("setup: adding rust-src to the nightly toolchain");
            let args = [
                "60",
                "rustup",
                "component",
                "add",
                "rust-src",
                "--toolchain",
                "nightly",
            ];
            // Where it cannot be fetched, the message below says what to do.
            succeeds(command("timeout").args(args));
        }
        let Some(route) = Self::find() else {
            bail!(
                "no compiler for the kernel programs: they need a nightly Rust with the sources \
                 of `core`; where rustup has its server: rustup toolchain install nightly \
                 --component rust-src; on Debian 12: apt-get install {}",
                PACKAGES.map(|package| package.name).join(" ")
            );
        };
        Ok(route)
    }

    /// The major version of the compiler's LLVM.
    pub(crate) const fn llvm(&self) -> u32 {
        match self {
            Self::Distribution => 22,
            Self::Nightly { llvm } => *llvm,
        }
    }

    /// What `rustc --version` says.
    pub(crate) fn compiler(&self) -> anyhow::Result<String> {
        match self {
            Self::Distribution => read(command("/usr/bin/rustc").arg("--version")),
            Self::Nightly { .. } => {
                read(command("rustup").args(["run", "nightly", "rustc", "--version"]))
            }
        }
    }

    /// The route's cargo, free of what the cargo that runs us has put into the environment.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = match self {
            Self::Distribution => command("/usr/bin/cargo"),
            Self::Nightly { .. } => {
                let mut rustup = command("rustup");
                rustup.args(["run", "nightly", "cargo"]);
                rustup
            }
        };
        self.clean(&mut cargo);
        cargo
    }

    /// The route's clippy as a command of its own, if it is installed.
    pub(crate) fn clippy(&self) -> Option<Command> {
        match self {
            Self::Distribution => {
                // By its path: cargo would take rustup's, which is another release.
                let path = Path::new("/usr/bin/cargo-clippy");
                let mut clippy = command(path);
                clippy.arg("clippy");
                self.clean(&mut clippy);
                clippy.env("CARGO", "/usr/bin/cargo");
                path.exists().then_some(clippy)
            }
            Self::Nightly { .. } => {
                let mut cargo = self.cargo();
                cargo.arg("clippy");
                succeeds(self.cargo().args(["clippy", "--version"])).then_some(cargo)
            }
        }
    }

    fn clean(&self, cargo: &mut Command) {
        for variable in [
            "CARGO",
            "RUSTUP_TOOLCHAIN",
            "RUSTC",
            "RUSTFLAGS",
            "LD_LIBRARY_PATH",
        ] {
            cargo.env_remove(variable);
        }
        if *self == Self::Distribution {
            // A released compiler takes unstable flags only when told so.
            cargo
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", "/usr/bin/rustc");
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Distribution => write!(f, "the distribution's compiler (LLVM 22)"),
            Self::Nightly { llvm } => write!(f, "rustup's nightly compiler (LLVM {llvm})"),
        }
    }
}

/// The linker for the kernel programs: ours of pinned version, else the one on the path.
pub(crate) fn linker() -> anyhow::Result<PathBuf> {
    let ours = paths::tool("bpf-linker")?;
    if ours.exists() {
        return Ok(ours);
    }
    which("bpf-linker").context("bpf-linker is missing; `cargo xtask setup` installs it")
}

fn nightly() -> Option<Route> {
    let rustc = |args: &[&str]| {
        read(
            command("rustup")
                .args(["run", "nightly", "rustc"])
                .args(args),
        )
        .ok()
    };
    let sysroot = rustc(&["--print", "sysroot"])?;
    let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    if !core.exists() {
        return None;
    }
    Some(Route::Nightly {
        llvm: llvm_major(&rustc(&["-vV"])?)?,
    })
}

/// `(1, 96)` of `rustc 1.96.0 (…)`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// `22` of the line `LLVM version: 22.1.4`.
fn llvm_major(verbose_version: &str) -> Option<u32> {
    let line = verbose_version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_rustc_says() {
        assert_eq!(
            release("rustc 1.96.0 (ac68faa20 2026-05-25)"),
            Some((1, 96))
        );
        assert_eq!(
            release("rustc 1.97.0-nightly (f 2026-04-01)"),
            Some((1, 97))
        );
        assert_eq!(release("command not found"), None);
        let verbose = "host: x86_64-unknown-linux-gnu\nrelease: 1.97.0\nLLVM version: 22.1.4\n";
        assert_eq!(llvm_major(verbose), Some(22));
        assert_eq!(llvm_major("host: x"), None);
    }

    #[test]
    fn the_distributions_cargo_sees_none_of_our_toolchain() {
        let cargo = Route::Distribution.cargo();
        let envs: Vec<_> = cargo.get_envs().collect();
        assert!(envs.contains(&("RUSTUP_TOOLCHAIN".as_ref(), None)));
        assert!(envs.contains(&("RUSTC".as_ref(), Some("/usr/bin/rustc".as_ref()))));
    }
}
