//! `kaos-webhook serve`.

mod certificates;
mod missed;
mod stop;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use kaos_webhook::metrics::{self, Metrics};
use kaos_webhook::parts;
use kaos_webhook::readiness::{Condition, Readiness};
use kaos_webhook::serve::{self, Limits, Phase, Reviewer, Served};
use kaos_webhook::watch::{Shared, components, namespaces, settings};
use kaos_webhook::{admin, reconcile};
use kube::Client;
use prometheus_client::registry::Registry;
use rustls::crypto::CryptoProvider;
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use webhook_core::Facts;

use super::duration;

const EXAMPLES: &str = "\
Examples:
  In a pod, with its own authority and the ConfigMap kaos-webhook:
    kaos-webhook serve
  With a certificate of cert-manager's:
    kaos-webhook serve --certs cert-manager --secret kaos-webhook-tls
  Without an API server, from files that may change:
    kaos-webhook serve --no-kube --certs files --cert-dir ./tls --config ./settings.yaml

API servers call without saying who they are, and nobody is asked: keep the port to them by a
NetworkPolicy. An answer holds nothing but what the settings say.";

/// Options of `serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where API servers call
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are, in plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    admin_listen: SocketAddr,
    /// Read the settings from a file, and again when it changes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the settings from config.yaml in this config map where there is no --config
    #[arg(long, value_name = "NAME", default_value = "kaos-webhook")]
    config_map: String,
    /// The namespace of service, secret and config map; that of the pod if not given
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// Do without an API server: settings and certificates from files, nothing is watched
    #[arg(long, requires = "config")]
    no_kube: bool,
    #[command(flatten)]
    certificates: certificates::Args,
    #[command(flatten)]
    missed: missed::Args,
    /// How long to go on serving after SIGTERM, so that all API servers have heard of it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    drain: Duration,
    /// Threads that serve; by default as many as there are processors, at most 4
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
    /// How much to log: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: tracing::Level,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    log_to_stderr(args.log);
    // The text of a panic may quote what was read; the place is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place = place.as_deref(), "Panicked. Please report this.");
    }));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or(processors.min(4), usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start threads")?
        .block_on(serve(args))
}

fn log_to_stderr(level: tracing::Level) {
    // kube's client logs what it cannot parse, and Secrets are among what it reads.
    let targets = Targets::new()
        .with_default(level)
        .with_target("kube", LevelFilter::OFF)
        .with_target("kube_client", LevelFilter::OFF)
        .with_target("kube_runtime", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .init();
}

/// What all parts share.
#[derive(Clone)]
struct Parts {
    facts: Shared,
    metrics: Arc<Metrics>,
    missed: reconcile::Metrics,
    readiness: Readiness,
    served: Arc<Served>,
    provider: Arc<CryptoProvider>,
    running: parts::Parts,
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // kube's client takes the process's default.
    let _only_once = CryptoProvider::install_default((*provider).clone());
    let server = serve::Server::bind(args.listen);
    let server = server.with_context(|| format!("cannot listen on {}", args.listen))?;
    let admin = admin::Server::bind(args.admin_listen).await;
    let admin = admin.with_context(|| format!("cannot listen on {}", args.admin_listen))?;
    let mut registry = Registry::with_prefix(metrics::PREFIX);
    let (running, mut ends) = parts::Parts::new();
    let parts = Parts {
        facts: Arc::new(ArcSwap::from_pointee(Facts::unknown())),
        metrics: Arc::new(Metrics::new(&mut registry)),
        missed: reconcile::Metrics::register(&mut registry),
        readiness: Readiness::of(&conditions(&args)),
        served: Arc::new(Served::default()),
        provider,
        running,
    };
    parts.readiness.set(Condition::Running, Ok(()));
    if args.no_kube {
        parts.facts.rcu(|facts| facts.trusting_the_selector());
        certificates::without_cluster(&args.certificates, &parts)?;
    } else {
        with_cluster(&args, &parts).await?;
    }
    if let Some(path) = args.config.clone() {
        let keeper = keeper(&parts);
        let reading = settings::from_file(path, keeper);
        parts.running.start("settings", reading);
    }
    let readiness = parts.readiness.clone();
    let pages = admin::Pages {
        registry,
        readiness: parts.readiness.clone(),
    };
    let admin_listen = admin.address()?;
    parts.running.start("admin", admin.serve(Arc::new(pages)));

    let tls = serve::config(Arc::clone(&parts.served), Arc::clone(&parts.provider))?;
    let reviewer = Reviewer::new(parts.facts, parts.metrics, Limits::default());
    let (phase, phases) = watch::channel(Phase::Serving);
    tracing::info!(
        listen = %server.address()?,
        admin = %admin_listen,
        version = env!("CARGO_PKG_VERSION"),
        "Serving."
    );
    let mut serving = tokio::spawn(server.serve(tls.into(), Arc::new(reviewer), phases));
    tokio::select! {
        asked = stop::asked(&readiness, &phase, args.drain) => asked?,
        // Whoever started us starts us again.
        part = ends.first() => anyhow::bail!("a part of the program ended by itself: {part}"),
        ended = &mut serving => {
            ended.context("the server failed")?;
            anyhow::bail!("the server ended by itself");
        }
    }
    serving.await.context("the server failed")
}

fn conditions(args: &Args) -> Vec<Condition> {
    let mut conditions = vec![
        Condition::Certificate,
        Condition::Settings,
        Condition::Running,
    ];
    if !args.no_kube {
        conditions.extend([
            Condition::Bundle,
            Condition::Namespaces,
            Condition::Components,
        ]);
    }
    conditions
}

fn keeper(parts: &Parts) -> settings::Keeper {
    settings::Keeper::new(
        Arc::clone(&parts.facts),
        Arc::clone(&parts.metrics),
        parts.readiness.clone(),
    )
}

/// Starts all that watches.
async fn with_cluster(args: &Args, parts: &Parts) -> anyhow::Result<()> {
    let config = kube::Config::infer().await.context(
        "found neither a service account nor a kubeconfig; --no-kube does without an API server",
    )?;
    let namespace = args.namespace.as_deref();
    let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
    let client = Client::try_from(config).context("cannot make a client of the API server")?;

    certificates::with_cluster(&args.certificates, parts, &client, &namespace)?;
    let missed = args.missed.find(parts, &client, &namespace)?;
    parts.running.start("missed pods", missed);
    let (facts, metrics) = (&parts.facts, &parts.metrics);
    let watch = namespaces::run(
        client.clone(),
        Arc::clone(facts),
        Arc::clone(metrics),
        parts.readiness.clone(),
        namespace.clone(),
    );
    parts.running.start("namespaces", watch);
    let listed = Arc::new(components::Listed::new(parts.readiness.clone()));
    for resource in components::RESOURCES {
        let (facts, metrics) = (Arc::clone(facts), Arc::clone(metrics));
        let listed = Arc::clone(&listed);
        let watch = components::run(client.clone(), resource, facts, metrics, listed);
        parts.running.start("components", watch);
    }
    if args.config.is_none() {
        let (keeper, name) = (keeper(parts), args.config_map.clone());
        parts.running.start("settings", async move {
            settings::from_config_map(client, &namespace, &name, keeper).await;
        });
    }
    Ok(())
}
