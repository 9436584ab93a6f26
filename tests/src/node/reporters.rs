//! Who reports a model call: the process's own SDK, the probe, or both (docs/reporters.md).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::World;
use super::call::{all, text};
use super::install::ready;
use super::workloads::{AGENTS, agent, proxy};
use crate::fidelity::span::{Kind, SeenSpan};
use crate::webhook::cluster::until;

const SOON: Duration = Duration::from_mins(1);
/// How often a process is asked until it has connected to its collector, and the probe has seen it.
const ROUNDS: usize = 6;

/// Whom a conversation is with, and which spans of its model call arrive.
struct Row {
    service: &'static str,
    /// Of its own SDK.
    own: usize,
    /// The probe's, of the call that it makes and of the one that it serves.
    client: usize,
    server: usize,
    /// It is LiteLLM, which takes long to start.
    long: bool,
}

/// The rows of the table in docs/reporters.md. An agent serves no model call, but an agent's.
const ROWS: [Row; 5] = [
    Row::new("agent-weather", 1, 0, 1, false),
    Row::new("agent-off", 0, 1, 1, false),
    Row::new("agent-half", 0, 1, 1, false),
    Row::new("modelapi-with", 1, 0, 1, true),
    Row::new("modelapi-without", 0, 1, 1, true),
];

/// Asks each of them, until what arrives is what the table says.
pub async fn hold(world: &World) -> Result<String> {
    start(world).await?;
    let mut wrong = Vec::new();
    for round in 1..=ROUNDS {
        let since = now()?;
        for row in rows(world) {
            ask(world, row.service).await?;
        }
        wrong = compare(world, since, now()?).await?;
        if wrong.is_empty() {
            return Ok(format!("{} rows, in round {round}", rows(world).count()));
        }
    }
    bail!("{}", wrong.join("; "))
}

/// What of the spans that began in a time is not as the table has it.
async fn compare(world: &World, since: u64, end: u64) -> Result<Vec<String>> {
    // Both sides send what they have every five seconds, and in order: what comes later says that
    // nothing is missing.
    ask(world, "agent-weather").await?;
    ask(world, "agent-off").await?;
    until(SOON, "the spans of later calls", async || {
        let spans = all(world)?;
        let is_there = |name: &str, probes: bool| {
            let later = spans
                .iter()
                .filter(|span| span.start > end && is_call(span));
            let mut of_name = later.filter(|span| is_of(span, name));
            of_name.any(|span| is_ours(span) == probes)
        };
        Ok(is_there("weather", false) && is_there("off", true))
    })
    .await?;
    let spans = all(world)?;
    let of_time = spans
        .iter()
        .filter(|span| (since..end).contains(&span.start) && is_call(span));
    let mut found: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for span in of_time {
        let side = match (is_ours(span), span.kind) {
            (false, _) => "own",
            (true, Kind::Client) => "client",
            (true, _) => "server",
        };
        let name = text(&span.resource, "service.name");
        *found.entry((name, side)).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for row in rows(world) {
        let name = row.service.split_once('-').map_or("", |(_, name)| name);
        for (side, want) in [
            ("own", row.own),
            ("client", row.client),
            ("server", row.server),
        ] {
            let count = found.get(&(name.to_owned(), side)).copied().unwrap_or(0);
            if count != want {
                wrong.push(format!(
                    "{}: {count} spans ({side}), not {want}",
                    row.service
                ));
            }
        }
    }
    Ok(wrong)
}

impl Row {
    const fn new(
        service: &'static str,
        own: usize,
        client: usize,
        server: usize,
        long: bool,
    ) -> Self {
        Self {
            service,
            own,
            client,
            server,
            long,
        }
    }
}

fn rows(world: &World) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| world.long || !row.long)
}

fn is_ours(span: &SeenSpan) -> bool {
    text(&span.resource, "telemetry.sdk.name") == "kaos-telemetry"
}

fn is_of(span: &SeenSpan, name: &str) -> bool {
    text(&span.resource, "service.name") == name
}

/// A span of one model call, or of an agent that was asked. An SDK has others around it.
fn is_call(span: &SeenSpan) -> bool {
    let name = span.name.as_str();
    if is_ours(span) {
        return name == "chat tiny" || name.starts_with("invoke_agent");
    }
    name == "litellm_request" || (name == "chat tiny" && span.kind == Kind::Client)
}

/// Starts what is not there yet.
async fn start(world: &World) -> Result<()> {
    let off = json!({"OTEL_SDK_DISABLED": "true"});
    // On, but nobody takes what it exports.
    let half = json!({
        "OTEL_SDK_DISABLED": "false",
        "OTEL_SERVICE_NAME": "half",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
    });
    let mut components = vec![
        agent(world, AGENTS, "off", &off)?,
        agent(world, AGENTS, "half", &half)?,
    ];
    if world.long {
        components.push(proxy(world, "with", r#"{callbacks: ["otel"]}"#)?);
        components.push(proxy(world, "without", "{}")?);
    }
    for component in &components {
        component.apply(world, AGENTS).await?;
    }
    // Beside the first agent and its model.
    let count = 2 + components.len();
    ready(&world.cluster, AGENTS, count).await.map(drop)
}

async fn ask(world: &World, service: &str) -> Result<()> {
    let path =
        format!("/api/v1/namespaces/{AGENTS}/services/{service}:8000/proxy/v1/chat/completions");
    let question = json!({
        "model": "tiny",
        "max_tokens": 8,
        "messages": [{"role": "user", "content": "how is the weather?"}],
    });
    let answer: Value = { world.cluster.send("POST", &path, &question).await? }.object(service)?;
    if !answer["choices"].is_array() {
        bail!("{service}: {answer}");
    }
    Ok(())
}

/// Nanoseconds since the epoch.
pub(super) fn now() -> Result<u64> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(u64::try_from(nanos)?)
}
