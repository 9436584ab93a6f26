//! Ollama, built from its Go module.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::command::quiet;
use super::model::TinyModel;
use super::running::{Ready, Running};
use super::{Cache, Peer, Recipe, Service, Serving, debian, golang, http};

const MODULE: &str = "github.com/ollama/ollama@v0.17.4";
const MODELFILE: &str = include_str!("../../../tests/peers/ollama/Modelfile");
/// The module's zip holds no folder that is called `vendor`, so these headers are missing.
const HEADERS: &[&str] = &["nlohmann-json3-dev", "libstb-dev", "libminiaudio-dev"];

/// `ollama serve` with the tiny model under the name `tiny`.
pub(crate) struct Ollama;

impl Peer for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn about(&self) -> &'static str {
        "Ollama 0.17.4, built from its Go module (six minutes of CPU)"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[MODULE, MODELFILE, &HEADERS.join(" ")],
        };
        cache.entry(&recipe, |folder| {
            let headers = folder.join("headers");
            fs::create_dir(&headers)?;
            debian::unpack("sid", HEADERS, &headers)?;
            let include = headers.join("usr/include");
            symlink(".", include.join("miniaudio"))?;
            let flags = format!("-I{}", include.display());
            // What it says on the wire is tested, not how fast: its C++ takes a third of the time
            // to compile so, and a model of 11 MB is served at once all the same.
            let env = [
                ("CGO_ENABLED", "1"),
                ("CGO_CPPFLAGS", &flags),
                ("CGO_CXXFLAGS", "-O0"),
            ];
            golang::install(MODULE, &folder.join("bin"), &env)?;
            fs::remove_dir_all(headers)?;
            create_model(cache, folder)
        })
    }

    fn service(&self, cache: &Cache, serving: &Serving) -> Result<Option<Service>> {
        let folder = self.install(cache)?;
        Ok(Some(serve(&folder, serving.port)))
    }
}

fn serve(folder: &std::path::Path, port: u16) -> Service {
    let mut command = Command::new(folder.join("bin/ollama"));
    command
        .env("HOME", folder.join("home"))
        .env("OLLAMA_HOST", format!("127.0.0.1:{port}"))
        .env("OLLAMA_MODELS", folder.join("home/models"))
        .env("OLLAMA_KEEP_ALIVE", "30m")
        .env("OLLAMA_NUM_PARALLEL", "2")
        .env("OLLAMA_CONTEXT_LENGTH", "4096")
        .env("OLLAMA_NOHISTORY", "1")
        .env("OLLAMA_NOPRUNE", "1")
        .arg("serve");
    Service {
        command,
        ready: Ready::Http {
            port,
            path: "/api/version",
        },
    }
}

/// Registers the tiny model, by a server that runs for this only.
fn create_model(cache: &Cache, folder: &std::path::Path) -> Result<()> {
    fs::create_dir_all(folder.join("home/models"))?;
    let model = TinyModel::file(cache)?;
    let modelfile = folder.join("Modelfile");
    let path = model.to_str().context("the cache's path is UTF-8")?;
    fs::write(&modelfile, MODELFILE.replace("TINY_GGUF", path))?;
    let port = http::free_port()?;
    let service = serve(folder, port);
    let log = folder.join("create.log");
    let server = Running::start("ollama", service.command, &service.ready, &log)?;
    quiet(
        Command::new(folder.join("bin/ollama"))
            .env("HOME", folder.join("home"))
            .env("OLLAMA_HOST", format!("127.0.0.1:{port}"))
            .args(["create", "tiny", "-f"])
            .arg(modelfile),
    )?;
    server.stop().map(drop)
}
