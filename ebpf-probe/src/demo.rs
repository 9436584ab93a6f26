//! Shows and exports a few made-up spans: to look at the views and to try a collector by hand.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use probe_core::ids::ProcessId;
use probe_core::span::{Attribute, Span, SpanKind, Summary, Value};
use probe_core::trace_context::{SpanId, TraceId};

use crate::export::clock::{Clock, monotonic_now};
use crate::export::config::Config;
use crate::export::http::{Readiness, Server};
use crate::export::identity::{self, Facts};
use crate::export::metrics::Profile;
use crate::export::resource::Registry;
use crate::export::selfmetrics::{self, Counters};
use crate::export::{Exporter, Setup};
use crate::view::filter::Filter;
use crate::view::summary::Totals;
use crate::view::{Mode, Terminal, View};

/// Options.
#[derive(Debug, Parser)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Options {
    /// Calls under their parents.
    #[arg(long)]
    tree: bool,
    /// One JSON object per line.
    #[arg(long, conflicts_with = "tree")]
    json: bool,
    /// Export by the `OTEL_*` variables.
    #[arg(long)]
    otlp: bool,
    /// The names of the development conventions.
    #[arg(long)]
    gen_ai_dev: bool,
    /// Serve `/metrics` at this address until interrupted.
    #[arg(long)]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    filter: Filter,
}

/// Runs the demonstration.
pub(crate) async fn run(options: Options) -> Result<()> {
    let config = if options.otlp {
        Config::from_env(|name| std::env::var(name).ok()).context("cannot read OTEL_*")?
    } else {
        Config::nothing()
    };
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    let (registry, counters) = (Arc::new(Registry::default()), Counters::default());
    let profile = if options.gen_ai_dev {
        Profile::GenAiDev
    } else {
        Profile::V1_41
    };
    let exporter = Exporter::start(Setup {
        config,
        profile,
        registry: Arc::clone(&registry),
        counters: counters.clone(),
    })?;
    show(&options, &exporter, &registry)?;
    counters.cell(&selfmetrics::RECORDS).raise_to(12);
    registry.ended(process(43), monotonic_now());
    counters.cell(&selfmetrics::CONNECTIONS).set(2);
    if let Some(address) = options.listen {
        serve(address, &exporter).await?;
    }
    let lost = exporter.shutdown(Duration::from_secs(5)).await;
    if lost > 0 {
        eprintln!("{lost} spans were not exported");
    }
    Ok(())
}

fn show(options: &Options, exporter: &Exporter, registry: &Registry) -> Result<()> {
    let mode = match (options.tree, options.json) {
        (true, _) => Mode::Tree,
        (_, true) => Mode::Json,
        _ => Mode::Lines,
    };
    let terminal = Terminal::of_stdout();
    let mut view = View::new(std::io::stdout(), mode, options.filter.clone(), terminal);
    let mut totals = Totals::default();
    let clock = Clock::measure();
    for span in spans() {
        let facts = Facts {
            executable: Some("python3.11".to_owned()),
            script: Some(
                if span.process.tgid == 42 {
                    "agent.py"
                } else {
                    "litellm"
                }
                .to_owned(),
            ),
            ..Facts::default()
        };
        let resource = Arc::new(identity::resource(span.process, &facts));
        registry.insert(span.process, Arc::clone(&resource));
        exporter.record(&span);
        view.show(&span, &resource, clock)?;
        view.tick(monotonic_now(), clock)?;
        totals.add(&span, &resource);
    }
    view.finish(clock)?;
    eprint!("{}", totals.render());
    Ok(())
}

async fn serve(address: SocketAddr, exporter: &Exporter) -> Result<()> {
    let server = Server::bind(address).await?;
    eprintln!("http://{}/metrics", server.address()?);
    let readiness = Readiness::default();
    readiness.set(true);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(server.serve(exporter.scrape(), readiness, stopped));
    tokio::signal::ctrl_c().await?;
    stop.send(true)?;
    Ok(serving.await?)
}

/// An agent's request with a model call through a proxy, and a tool that fails.
fn spans() -> Vec<Arc<Span>> {
    let (agent, proxy) = (process(42), process(43));
    let mut tool = span(
        3,
        Some(1),
        agent,
        SpanKind::Client,
        "execute_tool",
        "search",
    );
    tool.error = Some(Cow::Borrowed(""));
    Arc::make_mut(&mut tool.summary).error = Some("tool_error".to_owned());
    let mut model = span(2, Some(1), agent, SpanKind::Client, "chat", "gpt-4o");
    let mut proxied = span(4, Some(2), proxy, SpanKind::Server, "chat", "gpt-4o");
    for span in [&mut model, &mut proxied] {
        let summary = Arc::make_mut(&mut span.summary);
        summary.input_tokens = Some(1200);
        summary.output_tokens = Some(345);
        summary.stream = true;
        summary.time_to_first_chunk = Some(0.08);
        summary.finish_reasons = vec!["stop".to_owned()];
        summary.counts = span.kind == SpanKind::Client;
    }
    let root = span(1, None, agent, SpanKind::Server, "invoke_agent", "planner");
    [proxied, model, tool, root].map(Arc::new).into()
}

fn process(tgid: u32) -> ProcessId {
    ProcessId { tgid, start: 1 }
}

fn span(
    id: u8,
    parent: Option<u8>,
    process: ProcessId,
    kind: SpanKind,
    operation: &'static str,
    target: &str,
) -> Span {
    let attribute = |name, value| Attribute { name, value };
    let end = monotonic_now();
    Span {
        trace: TraceId([0xab; 16]),
        id: SpanId([id; 8]),
        parent: parent.map(|id| SpanId([id; 8])),
        parent_is_remote: false,
        trace_state: String::new(),
        flags: 1,
        kind,
        name: format!("{operation} {target}"),
        start: end.saturating_sub(u64::from(9 - id) * 150_000_000),
        end,
        error: None,
        attributes: vec![
            attribute("gen_ai.operation.name", Value::Static(operation)),
            attribute("gen_ai.provider.name", Value::Static("openai")),
            attribute("gen_ai.request.model", Value::String(target.to_owned())),
        ],
        events: Vec::new(),
        links: Vec::new(),
        process,
        summary: Arc::new(Summary {
            operation: operation.to_owned(),
            target: Some(target.to_owned()),
            status: Some(200),
            link: "peer",
            ..Summary::default()
        }),
    }
}
