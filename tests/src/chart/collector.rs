//! The chart's configuration in a real collector: prompts that are sent to it never leave it,
//! and all else does.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::World;
use super::content::{DROPPED, KEPT};
use super::wrong::example_files;
use crate::fidelity::peers::free_port;
use crate::webhook::cluster::until;

/// What every piece of content that is sent holds.
const CANARY: &str = "canary-4be1";
const SOON: Duration = Duration::from_secs(30);
/// Where the chart's collector takes OTLP over HTTP.
const PORT: u16 = 4318;

/// Names by which libraries of these years have sent prompts, answers and tool arguments.
const CONTENT: [&str; 20] = [
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.prompt.0.content",
    "gen_ai.completion.0.tool_calls.0.arguments",
    "llm.prompts.0.content",
    "llm.input_messages.0.message.content",
    "input.value",
    "output.value",
    "traceloop.entity.input",
    "pydantic_ai.all_messages",
    "all_messages_events",
    "tool_arguments",
    "tool_response",
    "events",
];

/// Examples with parts that our collector is built without.
const FOREIGN: [&str; 1] = ["clickhouse.yaml"];

/// Holds every configuration against the collector's own check, and two against what is sent.
pub async fn drops(world: &World) -> Result<String> {
    let mut valid = 0;
    let contents = ["drop", "hash", "keep"].map(|it| format!("--set=collector.content={it}"));
    let examples = example_files()?;
    let known = |file: &&String| !FOREIGN.iter().any(|it| file.ends_with(it));
    let examples = examples
        .iter()
        .filter(known)
        .map(|file| format!("--values={file}"));
    for values in contents.into_iter().chain(examples) {
        let config = rendered(world, &[&values, BACKEND_BY_HTTP[0], BACKEND_BY_HTTP[1]])?;
        validate(world, &config).with_context(|| values)?;
        valid += 1;
    }
    let dropped = sent(world, "drop").await?;
    ensure!(
        !dropped.contains(CANARY),
        "content left the collector: {dropped}"
    );
    let hashed = sent(world, "hash").await?;
    ensure!(
        !hashed.contains(CANARY),
        "content left the collector: {hashed}"
    );
    let message = "gen_ai.input.messages";
    ensure!(hashed.contains(message), "of {message} no digest is left");
    ensure!(!dropped.contains(message), "{message} is named");
    Ok(format!(
        "{valid} configurations; {} names of content",
        CONTENT.len() + DROPPED.len()
    ))
}

const BACKEND_BY_HTTP: [&str; 2] = [
    "--set=backend.protocol=http/protobuf",
    "--set=backend.endpoint=http://backend.observability:4318",
];

/// The file that the chart gives its collector.
fn rendered(world: &World, values: &[&str]) -> Result<PathBuf> {
    let objects = world.helm.template(values)?;
    let map = objects
        .iter()
        .find(|it| it["kind"] == "ConfigMap" && it["metadata"]["name"] == "kaos-collector");
    let text = map.context("a ConfigMap")?["data"]["config.yaml"].as_str();
    let file = world.folder.join("collector.yaml");
    fs::write(&file, text.context("a configuration")?)?;
    Ok(file)
}

fn validate(world: &World, config: &Path) -> Result<()> {
    let output = Command::new(&world.collector)
        .arg("validate")
        .arg("--config")
        .arg(config)
        // Variables that a backend's key would be in.
        .envs(["LANGFUSE_AUTHORIZATION", "UPTRACE_DSN"].map(|name| (name, "it")))
        .output()
        .context("run the collector")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

/// What arrives behind the collector of what is sent to it: OTLP as JSON.
async fn sent(world: &World, content: &str) -> Result<String> {
    let folder = world.folder.join(format!("collector-{content}"));
    fs::create_dir_all(&folder)?;
    let (backend, health) = (free_port()?, free_port()?);
    let arrived = folder.join("traces.jsonl");
    let config = json!({
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": format!("127.0.0.1:{backend}")}}}},
        "exporters": {"file": {"path": arrived, "flush_interval": "50ms"}},
        "extensions": {"health_check": {"endpoint": format!("127.0.0.1:{health}")}},
        "service": {
            "extensions": ["health_check"],
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
        },
    });
    let file = folder.join("backend.yaml");
    fs::write(&file, config.to_string())?;
    let _backend = Collector::start(world, &file, &folder.join("backend.log"), health).await?;
    let ours = rendered(
        world,
        &[
            &format!("--set=collector.content={content}"),
            &format!("--set=backend.endpoint=http://127.0.0.1:{backend}"),
        ],
    )?;
    let _ours = Collector::start(world, &ours, &folder.join("ours.log"), 13133).await?;
    let status = post(PORT, "/v1/traces", &spans().to_string())?;
    ensure!(status == 200, "the collector answers {status}");
    let read = || fs::read_to_string(&arrived).unwrap_or_default();
    until(SOON, "the span behind the collector", async || {
        Ok(read().ends_with('\n'))
    })
    .await?;
    let text = read();
    for name in KEPT {
        ensure!(
            text.contains(&format!("{name}\"")),
            "{name} is gone: {text}"
        );
    }
    for what in ["chat tiny", "weather", "the-span-event"] {
        ensure!(text.contains(what), "{what} is gone: {text}");
    }
    Ok(text)
}

/// A span with everything by which content was ever sent.
fn spans() -> Value {
    let text = |value: &str| json!({"stringValue": value});
    let said = format!("say {CANARY}");
    // One of them stands in both lists: an attribute that comes twice is no less content.
    let mut attributes: Vec<Value> = { CONTENT.iter().chain(&DROPPED) }
        .map(|name| json!({"key": name, "value": text(&said)}))
        .collect();
    attributes.extend(KEPT.map(|name| json!({"key": name, "value": text("figure")})));
    let structured = json!({"arrayValue": {"values": [{"kvlistValue": {"values": [
        {"key": "content", "value": text(&said)},
    ]}}]}});
    attributes.push(json!({"key": "gen_ai.input.messages.structured", "value": structured}));
    let url = format!("http://model/v1?prompt={CANARY}#{CANARY}");
    attributes.push(json!({"key": "url.full", "value": text(&url)}));
    let event = json!({
        "name": "the-span-event",
        "timeUnixNano": "1",
        "attributes": [
            {"key": "exception.message", "value": text(&said)},
            {"key": "gen_ai.event.content", "value": text(&said)},
            {"key": "exception.type", "value": text("Error")},
        ],
    });
    let command = json!({"key": "process.command_args", "value": text(&said)});
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": text("weather")}, command]},
        "scopeSpans": [{"scope": {"name": "it"}, "spans": [{
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "eee19b7ec3c1b174",
            "name": "chat tiny",
            "kind": 3,
            "startTimeUnixNano": "1",
            "endTimeUnixNano": "2",
            "attributes": attributes,
            "events": [event],
            "status": {"code": 2, "message": said},
        }]}],
    }]})
}

/// A collector that runs; dropping it ends it.
struct Collector(Child);

impl Collector {
    async fn start(world: &World, config: &Path, log: &Path, health: u16) -> Result<Self> {
        let log = fs::File::create(log)?;
        let child = Command::new(&world.collector)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("run the collector")?;
        let mut this = Self(child);
        until(SOON, "the collector", async || {
            if let Some(status) = this.0.try_wait()? {
                bail!("the collector ended: {status}");
            }
            Ok(get(health).is_ok_and(|status| status == 200))
        })
        .await?;
        Ok(this)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn get(port: u16) -> Result<u16> {
    talk(
        port,
        "GET / HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n",
    )
}

fn post(port: u16, path: &str, body: &str) -> Result<u16> {
    let length = body.len();
    talk(
        port,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

/// The status of the answer.
fn talk(port: u16, request: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut head = String::new();
    stream.take(4096).read_to_string(&mut head)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.context("no status")
}
