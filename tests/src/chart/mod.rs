//! The chart, by real helm, against a real API server: `cargo xtask cluster run -- e2e chart`.

pub mod collector;
pub mod content;
pub mod helm;
pub mod life;
pub mod manifest;
pub mod rules;
pub mod server;
#[cfg(test)]
mod tests;
pub mod wrong;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;

use crate::built;
use crate::webhook::cluster::Cluster;
use crate::webhook::report::{self, Report};
use crate::webhook::setup::HOME;
use helm::Helm;

/// Options of `e2e chart`.
#[derive(Clone, Debug, Args)]
pub struct ChartArgs {
    /// Only scenarios whose name contains this; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// helm.
    #[arg(long, env = "KAOS_HELM", default_value = "helm")]
    helm: PathBuf,
    /// promtool.
    #[arg(long, env = "KAOS_PROMTOOL", default_value = "promtool")]
    promtool: PathBuf,
    /// The OpenTelemetry Collector.
    #[arg(long, env = "KAOS_COLLECTOR", default_value = "otelcol")]
    collector: PathBuf,
    /// The webhook. The default is the one that was built.
    #[arg(long, env = "KAOS_WEBHOOK")]
    webhook: Option<PathBuf>,
    /// Where logs are kept. The default is a new folder for temporary files.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// What all scenarios share.
pub struct World {
    cluster: Cluster,
    helm: Helm,
    promtool: PathBuf,
    collector: PathBuf,
    webhook: PathBuf,
    folder: PathBuf,
}

impl ChartArgs {
    /// Runs the scenarios, prints the table, and fails unless all hold.
    pub fn run(self) -> Result<()> {
        report::conclude(self.scenarios())
    }

    async fn scenarios(&self) -> Result<Report> {
        let world = World::prepare(self).await?;
        let mut report = Report::default();
        macro_rules! scenario {
            ($name:expr, $future:expr) => {
                if self.only.is_empty() || self.only.iter().any(|only| $name.contains(only)) {
                    report.run($name, $future).await;
                }
            };
        }
        scenario!("lint", async { wrong::lint(&world) });
        scenario!("wrong values are refused", async { wrong::refused(&world) });
        scenario!("prompts stay home", async { content::stays_home(&world) });
        scenario!("a real collector drops prompts", collector::drops(&world));
        scenario!("rules", async { rules::hold(&world) });
        scenario!("agrees with the manifest", async {
            manifest::agrees(&world)
        });
        scenario!("the API server takes it", server::takes(&world));
        scenario!("install to uninstall", life::whole(&world));
        Ok(report)
    }
}

impl World {
    async fn prepare(args: &ChartArgs) -> Result<Self> {
        let folder = args.keep.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("kaos-chart-e2e-{}", std::process::id()))
        });
        std::fs::create_dir_all(&folder).context("make the folder for logs")?;
        eprintln!("logs are in {}", folder.display());
        let webhook = match &args.webhook {
            Some(path) => path.clone(),
            None => built::program("kaos-webhook")?,
        };
        if !webhook.exists() {
            bail!(
                "{} is missing: run `cargo build -p kaos-webhook`",
                webhook.display()
            );
        }
        let cluster = Cluster::connect().await?;
        cluster.namespace(HOME, &json!({})).await?;
        Ok(Self {
            cluster,
            helm: Helm::new(&args.helm, &folder),
            promtool: args.promtool.clone(),
            collector: args.collector.clone(),
            webhook,
            folder,
        })
    }
}
