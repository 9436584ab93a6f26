//! KAOS's custom resources decide what becomes of their pods; their CRDs come when the webhook
//! runs already.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::World;
use super::certificates::{Authority, Validity};
use super::cluster::{Answer, until};
use super::replica::Replica;
use super::setup::{Route, STRIPPED, endpoints, register};
use super::shapes::{Shape, env};

const CRDS: &str = include_str!("../../cluster/kaos-crds.yaml");
const CRD_PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const NAMESPACE: &str = "resources";
/// An endpoint that only resources name, and that is not known to drop prompts.
const OTHER: &str = "http://of-the-resource:4317";
const OFF: &str = "telemetry block without enabled: true";
/// Within this, new CRDs are found, however long they were not there.
const WITHIN: Duration = Duration::from_secs(30);

/// A resource, and what becomes of its pod.
struct Case {
    shape: Shape,
    name: &'static str,
    /// The telemetry block.
    block: Value,
    /// The endpoint that the pod gets, or words of the warning why it gets nothing.
    gets: Result<&'static str, &'static str>,
}

/// All that a block can say, for each kind that has one.
fn cases() -> Vec<Case> {
    let case = |shape, name, block, gets| Case {
        shape,
        name,
        block,
        gets,
    };
    let on = json!({"enabled": true});
    let elsewhere = json!({"enabled": true, "endpoint": OTHER});
    let off = json!({"enabled": false, "endpoint": STRIPPED});
    // The CRD's default makes this one off.
    let unsaid = json!({"endpoint": STRIPPED});
    vec![
        case(Shape::Agent, "none", Value::Null, Ok(STRIPPED)),
        case(Shape::Agent, "on", on.clone(), Ok(STRIPPED)),
        case(Shape::Agent, "off", off.clone(), Err(OFF)),
        case(Shape::Agent, "unsaid", unsaid.clone(), Err(OFF)),
        case(
            Shape::Agent,
            "elsewhere",
            elsewhere.clone(),
            Err("not known to drop them"),
        ),
        case(Shape::McpServer, "none", Value::Null, Ok(STRIPPED)),
        case(Shape::McpServer, "off", off.clone(), Err(OFF)),
        case(Shape::McpServer, "elsewhere", elsewhere.clone(), Ok(OTHER)),
        case(Shape::Proxy, "on", on, Ok(STRIPPED)),
        case(Shape::Proxy, "unsaid", unsaid, Err(OFF)),
        case(Shape::MemoryStore, "off", off, Err(OFF)),
        case(Shape::MemoryStore, "elsewhere", elsewhere, Ok(OTHER)),
    ]
}

/// Before the CRDs, with resources, after a change of one and the end of another.
pub async fn decide(world: &World) -> Result<String> {
    let replica = serving(world).await?;
    world.opted_in(NAMESPACE).await?;
    let cases = cases();
    for case in &cases {
        ensure!(
            case.outcome(world).await? == Ok(STRIPPED.to_owned()),
            "{}: something decides before there is a resource",
            case.title()
        );
    }
    world.cluster.apply_yaml(CRD_PATH, CRDS).await?;
    for case in &cases {
        case.put(world, &case.block).await?;
    }
    for case in &cases {
        case.becomes(world, case.gets).await?;
    }
    closer_levels_win(world, &cases).await?;

    let off = find(&cases, Shape::Agent, "off")?;
    off.put(world, &json!({"enabled": true})).await?;
    off.becomes(world, Ok(STRIPPED)).await?;
    let gone = find(&cases, Shape::McpServer, "elsewhere")?;
    world.cluster.delete(&gone.path()).await?;
    gone.becomes(world, Ok(STRIPPED)).await?;
    drop(replica);
    world.remove(NAMESPACE).await?;
    Ok(format!(
        "{} resources decide, by CRDs that came after the webhook; a change and an end count too",
        cases.len()
    ))
}

async fn serving(world: &World) -> Result<Replica> {
    let authority = Authority::new(NAMESPACE)?;
    let folder = world.folder.join(NAMESPACE);
    authority.write(&folder, world.cluster.address(), Validity::Good)?;
    let mut replica = world.with_files(&folder).start(NAMESPACE)?;
    endpoints(&world.cluster, &[replica.port()]).await?;
    register(world, Route::Service, Some(authority.pem())).await?;
    replica.ready().await?;
    world.settle().await?;
    Ok(replica)
}

/// What the pod says outweighs its resource.
async fn closer_levels_win(world: &World, cases: &[Case]) -> Result<()> {
    let key = "telemetry.kaos.tools/endpoint";
    let elsewhere = find(cases, Shape::McpServer, "elsewhere")?;
    let mut pod = elsewhere.pod();
    pod["metadata"]["annotations"][key] = "http://of-the-pod:4317".into();
    let found = elsewhere.of(dry_run(world, &pod).await?)?;
    ensure!(
        found == Ok("http://of-the-pod:4317".to_owned()),
        "{found:?}"
    );
    let off = find(cases, Shape::Agent, "off")?;
    let mut pod = off.pod();
    pod["metadata"]["annotations"]["telemetry.kaos.tools/inject"] = "enabled".into();
    let found = off.of(dry_run(world, &pod).await?)?;
    ensure!(found == Ok(STRIPPED.to_owned()), "{found:?}");
    Ok(())
}

fn find<'a>(cases: &'a [Case], shape: Shape, name: &str) -> Result<&'a Case> {
    let mut cases = cases.iter();
    let found = cases.find(|case| case.shape == shape && case.name == name);
    found.context("a case of that name")
}

async fn dry_run(world: &World, pod: &Value) -> Result<Answer> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All");
    world.cluster.send("POST", &path, pod).await
}

impl Case {
    fn title(&self) -> String {
        format!("{} {}", self.shape.name(), self.name)
    }

    fn pod(&self) -> Value {
        self.shape.pod("resource", self.name)
    }

    /// Kind and plural of the resource.
    fn kind(&self) -> (&'static str, &'static str) {
        match self.shape {
            Shape::McpServer => ("MCPServer", "mcpservers"),
            Shape::Proxy | Shape::Hosted => ("ModelAPI", "modelapis"),
            Shape::MemoryStore => ("MemoryStore", "memorystores"),
            Shape::Agent | Shape::ForeignAgent | Shape::LlmServer => ("Agent", "agents"),
        }
    }

    fn path(&self) -> String {
        let plural = self.kind().1;
        format!(
            "/apis/kaos.tools/v1alpha1/namespaces/{NAMESPACE}/{plural}/{}",
            self.name
        )
    }

    /// Makes the resource be there with this block. A CRD takes a moment until it is served.
    async fn put(&self, world: &World, block: &Value) -> Result<()> {
        let mut telemetry = json!({});
        if !block.is_null() {
            telemetry = json!({"telemetry": block});
        }
        let spec = match self.shape {
            Shape::Agent => json!({"config": telemetry}),
            _ => telemetry,
        };
        let resource = json!({
            "apiVersion": "kaos.tools/v1alpha1",
            "kind": self.kind().0,
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": spec,
        });
        let path = format!("{}?fieldManager=e2e&force=true", self.path());
        until(WITHIN, &self.title(), async || {
            let answer = world.cluster.send("PATCH", &path, &resource).await?;
            if answer.status == http::StatusCode::NOT_FOUND {
                return Ok(false);
            }
            answer.object("a resource").map(|_| true)
        })
        .await
    }

    /// Waits until its pod gets what is expected.
    async fn becomes(&self, world: &World, wanted: Result<&str, &str>) -> Result<()> {
        let mut last = Err(String::new());
        let result = until(WITHIN, &self.title(), async || {
            last = self.outcome(world).await?;
            Ok(match (&last, wanted) {
                (Ok(found), Ok(wanted)) => found == wanted,
                (Err(found), Err(wanted)) => found.contains(wanted),
                _ => false,
            })
        })
        .await;
        result.with_context(|| format!("wanted {wanted:?}, found {last:?}"))
    }

    async fn outcome(&self, world: &World) -> Result<Result<String, String>> {
        self.of(dry_run(world, &self.pod()).await?)
    }

    /// The endpoint of a created pod, or the warnings why it has none.
    fn of(&self, answer: Answer) -> Result<Result<String, String>> {
        let warnings = answer.warnings.join("; ");
        let created = answer.object(&self.title())?;
        let variables = env(&created, self.shape.container());
        let endpoint = variables
            .iter()
            .find(|it| it["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT");
        let Some(endpoint) = endpoint else {
            let before = self.pod();
            let untouched = variables == env(&before, self.shape.container());
            ensure!(untouched, "{}: variables without endpoint", self.title());
            return Ok(Err(warnings));
        };
        let value = endpoint["value"].as_str().context("a literal")?;
        Ok(Ok(value.to_owned()))
    }
}
