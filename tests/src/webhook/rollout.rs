//! Pods of a Deployment that are older than the opt-in: its owner is told, and by choice its
//! rollout restarted, once, however many replicas look.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::World;
use super::certificates::{Authority, Validity};
use super::cluster::until;
use super::replica::Replica;
use super::setup::{Route, endpoints, register, unregister};
use super::shapes::{Shape, env};

const WITHIN: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "rollout";
const NAME: &str = "agent-late";
const RESTARTS: &str = "kaos_webhook_restarts_total";
const GAUGE: &str = "kaos_webhook_uninjected_pods";

/// A Deployment and a bare pod come before the webhook does.
pub async fn restarted(world: &World) -> Result<String> {
    unregister(world).await?;
    world.opted_in(NAMESPACE).await?;
    let deployments = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}");
    world.cluster.apply(&deployments, &deployment()).await?;
    world
        .create(NAMESPACE, &Shape::McpServer.pod("lone", "lone"))
        .await?;
    until(WITHIN, "a pod of the Deployment", async || {
        Ok(injected(world).await? == vec![false])
    })
    .await?;

    let replicas = two(world).await?;
    until(WITHIN, "an injected pod in its place", async || {
        Ok(injected(world).await? == vec![true])
    })
    .await?;
    // The bare pod is still missed, and still there.
    for replica in &replicas {
        replica.metric_becomes(GAUGE, 1, WITHIN).await?;
    }
    world
        .cluster
        .get(&format!("/api/v1/namespaces/{NAMESPACE}/pods/lone"))
        .await?;

    let mut restarts = 0.0;
    for replica in &replicas {
        restarts += replica.metric(RESTARTS).await?;
    }
    let generation = &world.cluster.get(&deployments).await?["metadata"]["generation"];
    ensure!(
        (restarts - 1.0).abs() < 0.5,
        "{restarts} restarts are counted"
    );
    ensure!(
        *generation == 2,
        "the Deployment was changed: generation {generation}"
    );
    let told = owners(world).await?;
    ensure!(
        told == ["Deployment agent-late", "Pod lone"],
        "Events are on {told:?}"
    );
    world.remove(NAMESPACE).await?;
    Ok("one restart and one Event by two replicas; the bare pod is left alone".to_owned())
}

/// Two replicas that may restart.
async fn two(world: &World) -> Result<Vec<Replica>> {
    let authority = Authority::new("rollout")?;
    let folder = world.folder.join(NAMESPACE);
    authority.write(&folder, world.cluster.address(), Validity::Good)?;
    let mut program = world.with_files(&folder);
    let restart = ["--restart-rollouts", "--restart-pace=1s"];
    program.arguments.extend(restart.map(str::to_owned));
    let mut replicas = vec![program.start("rollout-0")?, program.start("rollout-1")?];
    let ports: Vec<u16> = replicas.iter().map(Replica::port).collect();
    endpoints(&world.cluster, &ports).await?;
    register(world, Route::Service, Some(authority.pem())).await?;
    for replica in &mut replicas {
        replica.ready().await?;
    }
    Ok(replicas)
}

/// `Recreate`, for without a kubelet no new pod is ever ready to take an old one's place.
fn deployment() -> Value {
    let pod = Shape::Agent.pod("x", "late");
    let labels = &pod["metadata"]["labels"];
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": pod["metadata"]["annotations"],
                },
                "spec": pod["spec"],
            },
        },
    })
}

/// Whether each pod of the Deployment is injected into.
async fn injected(world: &World) -> Result<Vec<bool>> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=agent%3Dlate");
    let list = world.cluster.get(&path).await?;
    let pods = list["items"].as_array().context("a list")?;
    let submitted = env(&Shape::Agent.pod("x", "x"), "agent").len();
    let more = pods.iter().map(|pod| env(pod, "agent").len() > submitted);
    Ok(more.collect())
}

/// Whom our Events are on, sorted.
async fn owners(world: &World) -> Result<Vec<String>> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/events");
    let list = world.cluster.get(&path).await?;
    let events = list["items"].as_array().context("a list")?;
    let ours = events
        .iter()
        .filter(|event| event["reason"] == "TelemetryNotInjected");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut owners: Vec<String> = ours
        .map(|event| {
            let object = &event["involvedObject"];
            format!("{} {}", text(&object["kind"]), text(&object["name"]))
        })
        .collect();
    owners.sort_unstable();
    Ok(owners)
}
