//! A small OpenTelemetry Collector.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::command::quiet;
use super::running::Ready;
use super::{Cache, Peer, Recipe, Service, Serving, golang};

const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder@v0.155.0";
const MANIFEST: &str = include_str!("../../../tests/peers/collector/builder.yaml");
const CONFIG: &str = include_str!("../../../tests/peers/collector/config.yaml");
/// What the generated main needs beside the manifest's modules, of the same release.
const CORE: [&str; 4] = [
    "go.opentelemetry.io/collector/otelcol@v0.155.0",
    "go.opentelemetry.io/collector/service@v0.155.0",
    "go.opentelemetry.io/collector/component@v1.61.0",
    "go.opentelemetry.io/collector/confmap@v1.61.0",
];

/// A collector with OTLP in and files out: `traces.jsonl`, `metrics.jsonl`, `logs.jsonl` in its
/// folder. OTLP/HTTP is on its port, OTLP/gRPC on the next, health on the one after.
pub(crate) struct Collector;

impl Peer for Collector {
    fn name(&self) -> &'static str {
        "collector"
    }

    fn about(&self) -> &'static str {
        "OpenTelemetry Collector 0.155.0, built from Go modules (four minutes of CPU)"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[BUILDER, MANIFEST, &CORE.join(" ")],
        };
        cache.entry(&recipe, |folder| {
            golang::install(BUILDER, folder, &[])?;
            fs::write(folder.join("builder.yaml"), MANIFEST)?;
            quiet(
                Command::new(folder.join("builder"))
                    .current_dir(folder)
                    .args(["--config", "builder.yaml"])
                    .args(["--skip-get-modules", "--skip-compilation"]),
            )?;
            compile(folder)
        })
    }

    fn service(&self, cache: &Cache, serving: &Serving) -> Result<Option<Service>> {
        let port = serving.port;
        let dir = serving.dir.to_str().context("the path is UTF-8")?;
        let text = CONFIG
            .replace("DIR", dir)
            .replace("PORT_HTTP", &port.to_string())
            .replace("PORT_GRPC", &(port + 1).to_string())
            .replace("PORT_HEALTH", &(port + 2).to_string());
        let config = serving.dir.join("collector.yaml");
        fs::write(&config, text)?;
        let mut command = Command::new(self.install(cache)?.join("otelcol"));
        command.arg("--config").arg(config);
        Ok(Some(Service {
            command,
            ready: Ready::Http {
                port: port + 2,
                path: "/",
            },
        }))
    }
}

/// Compiles what the builder wrote. Its own way ends in `go mod tidy`, which asks for modules
/// that only tests of tests need and that are not to be had everywhere.
fn compile(folder: &std::path::Path) -> Result<()> {
    let source = folder.join("_build");
    for file in ["go.mod", "go.sum"] {
        if source.join(file).exists() {
            fs::remove_file(source.join(file))?;
        }
    }
    let run = |args: &[&str]| quiet(golang::go()?.current_dir(&source).args(args));
    run(&["mod", "init", "example.invalid/otelcol"])?;
    let listed = MANIFEST
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- gomod: "))
        .map(|module| module.trim().replace(' ', "@"));
    for module in listed.chain(CORE.map(str::to_owned)) {
        run(&["mod", "edit", &format!("-require={module}")])?;
    }
    run(&[
        "build",
        "-mod=mod",
        "-trimpath",
        "-ldflags=-s -w",
        "-o",
        "../otelcol",
        ".",
    ])?;
    fs::remove_dir_all(source)?;
    fs::remove_file(folder.join("builder"))?;
    Ok(())
}
