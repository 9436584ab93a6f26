//! `kaos-probe agent`: the daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::capture::Capture;
use super::file::{self, CommandLine, Settings};
use super::output::{self, MaybeExporter, Output, Sinks, Wanted};
use super::select::Select;
use super::stop::Stop;
use crate::discover::Request;
use crate::export::http::{Readiness, Server};
use crate::kubernetes::Node;
use crate::kubernetes::watch::Watch;

/// How often the reader is looked after.
const LOOK: Duration = Duration::from_secs(1);

/// Options of `agent`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Serve /metrics, /livez and /readyz on this address; `none` to serve nothing.
    #[arg(
        long,
        env = "KAOS_PROBE_LISTEN",
        default_value = "127.0.0.1:9464",
        value_name = "ADDRESS"
    )]
    listen: String,
    /// Capture the containers of this Kubernetes node's pods, by the labels of their namespaces
    /// and by their own: the name that the API server has for it.
    #[arg(long, env = "KAOS_PROBE_NODE", value_name = "NAME")]
    node: Option<String>,
    /// Read options from this YAML file; the command line wins.
    #[arg(long, env = "KAOS_PROBE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the options that hold, as YAML, and end.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    output: Output,
}

/// Exports calls until SIGTERM; then what waits goes out first. `is_given` tells which options
/// are not just defaults.
pub(super) fn run(args: &Args, is_given: &dyn Fn(&str) -> bool) -> anyhow::Result<u8> {
    let given = CommandLine {
        listen: &args.listen,
        node: args.node.as_deref(),
        select: &args.select,
        output: &args.output,
        is_given,
        variable: &|name| std::env::var(name).ok(),
    };
    let (settings, output) = file::read(args.config.as_deref())?.under(&given)?;
    if args.print_config {
        print!("{}", settings.print()?);
        return Ok(0);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(serve(&settings, &output))
}

async fn serve(settings: &Settings, output: &Output) -> anyhow::Result<u8> {
    let stop = Stop::on_signals()?;
    let sinks = Sinks::default();
    let exporter = sinks.export_by(output.profile(), |name| settings.variable(name))?;
    let readiness = Readiness::default();
    let (end, ended) = watch::channel(false);
    let server = match settings.listen.as_deref() {
        None | Some("none") => None,
        Some(address) => {
            let address: SocketAddr = address
                .parse()
                .with_context(|| format!("{address} is no address with a port"))?;
            let server = Server::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?;
            Some(tokio::spawn(server.serve(
                exporter.scrape(),
                readiness.clone(),
                ended,
            )))
        }
    };
    let exporter: MaybeExporter = Arc::new(Mutex::new(Some(exporter)));
    let selectors = settings.select.selectors();
    let node = settings.node.as_ref().map(|_| Node::default());
    if selectors.is_empty() && node.is_none() {
        tracing::warn!("no selector: nothing is captured (see `kaos-probe agent --help`)");
    }
    let wanted = Wanted {
        selectors,
        policy: settings.select.policy(),
        hold: false,
        node: node.clone(),
        exports: true,
    };
    let sink = Arc::clone(&exporter);
    let setup = output.setup(wanted, &sinks, move |leaving| {
        output::record(&sink, &leaving);
    });
    let capture = Capture::start(setup)?;
    let mut watch = watch(settings, node, &sinks, &capture);
    readiness.set(true);
    tracing::info!("capturing");
    let mut watched = Ok(());
    while !stop.is_asked() && capture.is_alive() {
        tokio::select! {
            ended = &mut watch, if !watch.is_finished() => {
                watched = ended?;
                break;
            }
            _ = tokio::time::timeout(LOOK, stop.asked()) => {}
        }
    }
    watch.abort();
    // It asks discovery for as long as it is there.
    drop(watch.await);
    readiness.set(false);
    // What was captured goes first: to detach many hooks takes the kernel seconds.
    let deadline = output::deadline();
    let (drained, hooks) = tokio::task::spawn_blocking(move || capture.drain()).await?;
    output::finish(&exporter, deadline).await;
    let detached = tokio::task::spawn_blocking(move || hooks.detach_until(deadline)).await?;
    let _ = end.send(true);
    if let Some(server) = server {
        server.await?;
    }
    drained.and(detached).and(watched).map(|()| 0)
}

/// Follows the pods of the node, if there is one; else waits for ever.
fn watch(
    settings: &Settings,
    node: Option<Node>,
    sinks: &Sinks,
    capture: &Capture,
) -> JoinHandle<anyhow::Result<()>> {
    let (Some(name), Some(node)) = (settings.node.clone(), node) else {
        return tokio::spawn(std::future::pending());
    };
    let requests = capture.requests();
    let watch = Watch {
        name,
        node,
        counters: sinks.counters.clone(),
        changed: Box::new(move || {
            requests.send(Request::Pods);
        }),
    };
    tokio::spawn(watch.run())
}
