//! Prompts stay home: a real KAOS agent, started with what the webhook gave its pod.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::World;
use super::certificates::{Authority, Validity};
use super::cluster::until;
use super::replica::Replica;
use super::setup::{Route, endpoints, register};
use super::shapes::{Shape, env};
use super::sink::Sink;
use crate::fidelity::peers::PeerServer;
use crate::fidelity::process::FakeServer;

/// What nobody but the model may read.
const CANARY: &str = "canary-9d1f3c-do-not-export";
const EXPORTED_WITHIN: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "canary";

/// Runs an agent for each endpoint that its pod may get.
pub async fn stays_home(world: &World) -> Result<String> {
    world.opted_in(NAMESPACE).await?;
    let model = FakeServer::start(&world.folder, "model")?;
    let (stripping, keeping) = (Sink::open()?, Sink::open()?);
    let known = json!({
        "endpoint": stripping.endpoint(),
        "contentStripped": [stripping.endpoint()],
    });
    let replica = serving(world, "default", &known).await?;

    // To an endpoint that is known to strip, the agent exports: what it strips is its affair.
    let pod = created(world, "known", None).await?;
    let agent = Agent::start(world, &pod, &model)?;
    agent.ask().await?;
    reaches(&stripping, "the endpoint that strips").await?;
    drop(agent);

    // To any other, nothing: not one variable, and so not one byte.
    let pod = created(world, "unknown", Some(&keeping.endpoint())).await?;
    let given = injected(&pod);
    ensure!(given.is_empty(), "the agent got {:?}", given.keys());
    let agent = Agent::start(world, &pod, &model)?;
    agent.ask().await?;
    drop(agent);
    ensure!(
        keeping.is_empty(),
        "the backend got {} bytes",
        keeping.len()
    );

    // Nor is an export completed that the pod's own endpoint would begin.
    own_endpoint(world, &keeping.endpoint()).await?;
    drop(replica);

    // Whoever allows it gets it: this test can see a canary.
    let allow = json!({"endpoint": stripping.endpoint(), "agentContent": "allow"});
    let _replica = serving(world, "allow", &allow).await?;
    let pod = created(world, "allowed", Some(&keeping.endpoint())).await?;
    let agent = Agent::start(world, &pod, &model)?;
    agent.ask().await?;
    reaches(&keeping, "the endpoint that is allowed").await?;
    drop(agent);
    world.remove(NAMESPACE).await?;
    Ok(
        "0 bytes to a backend not known to strip; seen where it strips and where allowed"
            .to_owned(),
    )
}

/// A replica with settings of its own, called by Service.
async fn serving(world: &World, name: &str, settings: &Value) -> Result<Replica> {
    let file = world.folder.join(format!("canary-{name}.yaml"));
    std::fs::write(&file, settings.to_string())?;
    let authority = Authority::new("canary")?;
    let folder = world.folder.join(format!("canary-{name}"));
    authority.write(&folder, world.cluster.address(), Validity::Good)?;
    let mut program = world.with_files(&folder);
    program.arguments.retain(|it| !it.starts_with("--config="));
    program
        .arguments
        .push(format!("--config={}", file.display()));
    let mut replica = program.start(&format!("canary-{name}"))?;
    endpoints(&world.cluster, &[replica.port()]).await?;
    register(world, Route::Service, Some(authority.pem())).await?;
    replica.ready().await?;
    world.settle().await?;
    Ok(replica)
}

async fn created(world: &World, name: &str, endpoint: Option<&str>) -> Result<Value> {
    let mut pod = Shape::Agent.pod(name, name);
    if let Some(endpoint) = endpoint {
        pod["metadata"]["annotations"]["telemetry.kaos.tools/endpoint"] = endpoint.into();
    }
    world.create(NAMESPACE, &pod).await
}

async fn own_endpoint(world: &World, endpoint: &str) -> Result<()> {
    let mut pod = Shape::Agent.pod("own", "own");
    let list = pod["spec"]["containers"][0]["env"].as_array_mut();
    let own = json!({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint});
    list.context("an agent has variables")?.push(own);
    let created = world.create(NAMESPACE, &pod).await?;
    let left = env(&created, "agent").len() == env(&pod, "agent").len();
    ensure!(left, "the webhook completed an export of prompts");
    Ok(())
}

async fn reaches(sink: &Sink, what: &str) -> Result<()> {
    until(
        EXPORTED_WITHIN,
        &format!("the canary at {what}"),
        async || Ok(sink.has(CANARY)),
    )
    .await
}

/// What the webhook gave to the agent's container, with references resolved as a kubelet does.
fn injected(pod: &Value) -> BTreeMap<String, String> {
    let before = Shape::Agent.pod("x", "x");
    let own: Vec<&Value> = env(&before, "agent").iter().map(|it| &it["name"]).collect();
    let mut values = BTreeMap::<String, String>::new();
    for entry in env(pod, "agent") {
        let Some(name) = entry["name"]
            .as_str()
            .filter(|_| !own.contains(&&entry["name"]))
        else {
            continue;
        };
        let mut value = entry["value"].as_str().unwrap_or("resolved").to_owned();
        for (known, text) in &values {
            value = value.replace(&format!("$({known})"), text);
        }
        values.insert(name.to_owned(), value);
    }
    values
}

/// The server that KAOS runs in an agent's pod.
struct Agent {
    server: PeerServer,
}

impl Agent {
    fn start(world: &World, pod: &Value, model: &FakeServer) -> Result<Self> {
        let mut given = injected(pod);
        // Spans leave at once: else an agent that ends early would prove nothing.
        given.insert("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "100".to_owned());
        let folder: &Path = &world.folder;
        let base = model.base(false);
        let server = PeerServer::start_with("agent", Some(&base), false, folder, &given)?;
        Ok(Self { server })
    }

    /// Sends the canary and waits for the whole answer.
    async fn ask(&self) -> Result<()> {
        let body = json!({
            "model": "agent",
            "messages": [{"role": "user", "content": CANARY}],
        });
        let body = body.to_string();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.server.port())).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(
            answer.starts_with("HTTP/1.1 200"),
            "the agent answered {answer}"
        );
        Ok(())
    }
}
