//! `kaos-webhook manifest`.

use std::path::PathBuf;

use anyhow::Context as _;
use kaos_webhook::manifest::{Options, Target, all};

/// Options of `manifest`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the webhook runs
    #[arg(long, value_name = "NAME", default_value = "kaos-telemetry")]
    namespace: String,
    /// Call this URL instead of a Service: for a webhook that runs outside of the cluster
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The port of the Service, and of the pods behind it
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    port: u16,
    /// Whom to trust, in PEM; without it the webhook writes that itself
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Let the webhook restart rollouts (more rights)
    #[arg(long)]
    restart: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let ca = args.ca_file.map(|path| {
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    });
    let options = Options {
        namespace: args.namespace,
        target: args
            .url
            .map_or(Target::Service { port: args.port }, Target::Url),
        ca: ca.transpose()?,
        restart: args.restart,
    };
    let mut text = String::new();
    for object in all(&options) {
        text.push_str("---\n");
        text.push_str(&serde_norway::to_string(&object)?);
    }
    super::print(&text)
}
