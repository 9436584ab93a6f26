//! The whole on a real node: `cargo xtask cluster test`.

pub mod call;
pub mod install;
pub mod memory;
pub mod moments;
pub mod outages;
pub mod reporters;
pub mod workloads;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::chart::helm::Helm;
use crate::webhook::cluster::Cluster;
use crate::webhook::report::{self, Report};

/// Options of `e2e node`.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// helm.
    #[arg(long, env = "KAOS_HELM", default_value = "helm")]
    helm: PathBuf,
    /// Where `cargo xtask peers` keeps agents and model servers.
    #[arg(long, env = "KAOS_PEERS")]
    peers: PathBuf,
    /// Where logs and spans are kept. The default is a new folder for temporary files.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// What takes minutes too: LiteLLM beside the agents, and longer outages.
    #[arg(long)]
    long: bool,
}

/// What all scenarios share.
pub struct World {
    cluster: Cluster,
    helm: Helm,
    peers: PathBuf,
    folder: PathBuf,
    long: bool,
}

impl NodeArgs {
    /// Runs the scenarios, each on what the one before left, and fails unless all hold.
    pub fn run(self) -> Result<()> {
        report::conclude(self.scenarios())
    }

    async fn scenarios(&self) -> Result<Report> {
        let folder = self.keep.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("kaos-node-e2e-{}", std::process::id()))
        });
        std::fs::create_dir_all(&folder).context("make the folder for spans")?;
        eprintln!("spans are in {}", folder.display());
        let world = World {
            cluster: Cluster::connect().await?,
            helm: Helm::new(&self.helm, &folder),
            peers: self.peers.clone(),
            folder,
            long: self.long,
        };
        let mut report = Report::default();
        report.run("helm install", install::install(&world)).await;
        report.run("workloads", workloads::start(&world)).await;
        report
            .run("a call is seen, and named", call::seen(&world))
            .await;
        report.run("who reports", reporters::hold(&world)).await;
        report
            .run("a pod of a moment", moments::short(&world))
            .await;
        report
            .run("a collector that is away", outages::collector(&world))
            .await;
        report
            .run("a probe that is killed", moments::killed(&world))
            .await;
        report
            .run("helm uninstall", install::uninstall(&world))
            .await;
        Ok(report)
    }
}
