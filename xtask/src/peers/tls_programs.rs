//! Programs that carry their own TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::command::{quiet, which};
use super::{Cache, Peer, Recipe, golang};

const BUN: &str = "1.4.5";
const GO_TLS: &str = include_str!("../../../tests/peers/go-tls/main.go");
const GO_HTTP: &str = include_str!("../../../tests/peers/go-http/main.go");

/// Bun, which has a BoringSSL without symbols in it: `bun`.
pub(crate) struct Bun;

impl Peer for Bun {
    fn name(&self) -> &'static str {
        "bun"
    }

    fn about(&self) -> &'static str {
        "Bun 1.4.5 from npm: a BoringSSL without symbols"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let package = match std::env::consts::ARCH {
            "aarch64" => "bun-linux-aarch64",
            _ => "bun-linux-x64",
        };
        let package = format!("@oven/{package}");
        let pinned = format!("{package}@{BUN}");
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[&pinned],
        };
        cache.entry(&recipe, |folder| {
            if which("npm").is_none() {
                bail!("there is no npm: install Node 20 or newer (https://nodejs.org)");
            }
            quiet(Command::new("npm").current_dir(folder).args([
                "install",
                "--prefix=.",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--no-save",
                &pinned,
            ]))?;
            let program = folder.join("node_modules").join(&package).join("bin/bun");
            fs::rename(program, folder.join("bun"))?;
            fs::remove_dir_all(folder.join("node_modules"))?;
            Ok(())
        })
    }
}

/// A small static Go program with `crypto/tls`: `go-tls`.
pub(crate) struct GoTls;

impl Peer for GoTls {
    fn name(&self) -> &'static str {
        "go-tls"
    }

    fn about(&self) -> &'static str {
        "a static Go program with TLS, built from one file"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[GO_TLS],
        };
        cache.entry(&recipe, |folder| {
            build(folder, GO_TLS, "go-tls", &["-ldflags=-s -w"])
        })
    }
}

/// A Go server and client with HTTP and TLS, with symbols and without: `go-http`.
pub(crate) struct GoHttp;

impl Peer for GoHttp {
    fn name(&self) -> &'static str {
        "go-http"
    }

    fn about(&self) -> &'static str {
        "a Go server that asks a model, with symbols and without"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[GO_HTTP],
        };
        cache.entry(&recipe, |folder| {
            build(folder, GO_HTTP, "go-http", &[])?;
            build(folder, GO_HTTP, "go-http-stripped", &["-ldflags=-s -w"])
        })
    }
}

/// Compiles a Go program of one file.
fn build(folder: &Path, source: &str, name: &str, flags: &[&str]) -> Result<()> {
    fs::write(folder.join("main.go"), source)?;
    let mut go = golang::go()?;
    go.current_dir(folder).env("CGO_ENABLED", "0");
    quiet(
        go.args(["build", "-trimpath"])
            .args(flags)
            .args(["-o", name, "main.go"]),
    )
}
