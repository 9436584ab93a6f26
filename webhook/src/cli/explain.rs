//! `kaos-webhook explain`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kaos_webhook::manifest::{HOME, excludes};
use kaos_webhook::watch::settings::KEY;
use webhook_core::{
    Facts, Settings, SettingsError, component_from_text, explain, namespace_from_text,
};

const EXAMPLE: &str = "\
Example: a pod that runs, by the configuration and the namespace that hold now
  kubectl get pod NAME --namespace YOURS --output yaml | kaos-webhook explain -f - \\
    --config <(kubectl get configmap kaos-webhook --namespace kaos-telemetry --output yaml) \\
    --namespace-file <(kubectl get namespace YOURS --output yaml)";

/// Options of `explain`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// A Pod or a List of pods, YAML or JSON; `-` is the standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// The pods' Namespace, YAML or JSON; without it, it counts as opted in.
    #[arg(long, value_name = "FILE")]
    namespace_file: Vec<PathBuf>,
    /// The component's custom resource, YAML or JSON; without it, it says nothing.
    #[arg(long, value_name = "FILE")]
    resource_file: Vec<PathBuf>,
    /// The configuration, or the config map that holds it; without it the defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut facts = match &args.config {
        None => Facts::unknown(),
        Some(path) => Facts::new(
            settings(&text_of(path)?).with_context(|| format!("{} is refused", path.display()))?,
        ),
    };
    for path in &args.namespace_file {
        let text = text_of(path)?;
        let (name, mut namespace) = namespace_from_text(&text)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let labels = serde_norway::from_str::<Namespace>(&text).ok();
        let labels = labels.and_then(|it| it.metadata.labels).unwrap_or_default();
        if excludes(&name, &labels, HOME) {
            namespace = namespace.excluded();
        }
        facts = facts.with_namespace(&name, namespace);
    }
    for path in &args.resource_file {
        let (kind, namespace, name, component) = component_from_text(&text_of(path)?)
            .with_context(|| format!("cannot read {}", path.display()))?;
        facts = facts.with_component(kind, &namespace, &name, component);
    }
    let report = explain(&text_of(&args.file)?, &facts)
        .with_context(|| format!("cannot explain {}", args.file.display()))?;
    super::print(&report)
}

/// As the webhook reads them: from the text, or from that of a `ConfigMap` in YAML or JSON.
fn settings(text: &str) -> Result<Settings, SettingsError> {
    let map = serde_norway::from_str::<ConfigMap>(text).ok();
    let within = map.and_then(|it| it.data?.remove(KEY));
    Settings::from_yaml(within.as_deref().unwrap_or(text))
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|all| text = all)
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}
