//! Python environments, made by uv from lock files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::command::{output, quiet, which};
use super::{Cache, Peer, Recipe};

/// pip resolves some of the peers for ten minutes and more; uv takes seconds.
const UV_VERSION: &str = "0.13.9";

/// The package manager that makes the Python peers; by pip.
pub(crate) struct Uv;

impl Peer for Uv {
    fn name(&self) -> &'static str {
        "uv"
    }

    fn about(&self) -> &'static str {
        "uv 0.13.9, which installs the Python peers"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[UV_VERSION],
        };
        cache.entry(&recipe, |folder| {
            if which("python3").is_none() {
                bail!("there is no python3: apt-get install python3 python3-venv");
            }
            let venv = Command::new("python3")
                .args(["-m", "venv"])
                .arg(folder)
                .status()
                .context("cannot run python3")?;
            if !venv.success() {
                bail!("python3 has no venv: apt-get install python3-venv");
            }
            quiet(
                Command::new(folder.join("bin/pip"))
                    .args(["install", "-q", "--disable-pip-version-check"])
                    .arg(format!("uv=={UV_VERSION}")),
            )
        })
    }
}

/// A recipe's virtual environment with exactly the packages of a lock file, compiled.
pub(crate) fn venv(cache: &Cache, recipe: &Recipe<'_>, lock: &str) -> Result<PathBuf> {
    cache.entry(recipe, |folder| {
        let uv = Uv.install(cache)?.join("bin/uv");
        make(&uv, folder, lock)
    })
}

fn make(uv: &Path, folder: &Path, lock: &str) -> Result<()> {
    let mut create = Command::new(uv);
    create.args(["venv", "-q", "--allow-existing"]).arg(folder);
    match python_3_12() {
        Some(python) => create.arg("-p").arg(python),
        None => create.args(["--managed-python", "-p", "3.12"]),
    };
    quiet(&mut create)?;
    let file = folder.join("requirements.txt");
    std::fs::write(&file, lock)?;
    // Without compiled bytecode the servers start five to ten times slower.
    quiet(
        Command::new(uv)
            .args([
                "pip",
                "install",
                "-q",
                "--no-deps",
                "--compile-bytecode",
                "-p",
            ])
            .arg(folder.join("bin/python"))
            .arg("-r")
            .arg(&file),
    )
}

/// A Python 3.12 of this machine that runs, if there is one.
///
/// It is preferred to one that uv could fetch because it uses the system's libssl, as the
/// images do that people run; uv's has OpenSSL inside. A pyenv shim may be on the path and yet
/// refuse, so each candidate is asked.
fn python_3_12() -> Option<PathBuf> {
    let mut candidates: Vec<PathBuf> = which("python3.12").into_iter().collect();
    let pyenv = std::env::var_os("PYENV_ROOT").map_or_else(
        || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv")),
        |root| Some(root.into()),
    );
    if let Some(entries) = pyenv.and_then(|root| root.join("versions").read_dir().ok()) {
        let installed = entries.flatten().map(|entry| entry.path());
        candidates.extend(installed.map(|path| path.join("bin/python3.12")));
    }
    candidates.into_iter().find(|python| {
        output(Command::new(python).args(["-c", "import ssl, sys; print(sys.version_info[:2])"]))
            .is_ok_and(|version| version.trim() == "(3, 12)")
    })
}
