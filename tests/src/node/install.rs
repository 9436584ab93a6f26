//! The chart by helm, from the images of `cargo xtask image`, until all of it is ready; and away.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::World;
use crate::chart::helm::RELEASE;
use crate::webhook::cluster::{Cluster, until};
use crate::webhook::setup::HOME;

/// The collector that the chart asks for, which the cluster has.
const COLLECTOR: &str = "ghcr.io/open-telemetry/opentelemetry-collector-releases/\
                         opentelemetry-collector-contrib:0.155.0";
/// Where the backend is.
const BACKEND: &str = "observability";
const SOON: Duration = Duration::from_mins(2);

/// Starts a backend, and installs the chart as the README says.
pub async fn install(world: &World) -> Result<String> {
    backend(world).await?;
    world.cluster.namespace(HOME, &json!({})).await?;
    let endpoint = format!("--set=backend.endpoint=http://backend.{BACKEND}:4317");
    world.helm.on_chart("install", &[&endpoint])?;
    let pods = ready(&world.cluster, HOME, 4).await?;
    Ok(format!("{} pods ready", pods.len()))
}

/// Uninstalls, and waits until no pod and no object of the cluster's own is left.
pub async fn uninstall(world: &World) -> Result<String> {
    world
        .helm
        .run(&["uninstall", RELEASE, "--namespace", HOME])?;
    let pods = format!("/api/v1/namespaces/{HOME}/pods");
    until(SOON, "no pods", async || {
        let list = world.cluster.get(&pods).await?;
        Ok(list["items"].as_array().is_some_and(Vec::is_empty))
    })
    .await?;
    let api = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let left = world.cluster.get(api).await?;
    if left["items"]
        .as_array()
        .is_none_or(|items| !items.is_empty())
    {
        bail!("a webhook configuration is left");
    }
    Ok("nothing is left".to_owned())
}

/// The pods of a namespace, once there are as many and each is ready.
pub async fn ready(cluster: &Cluster, namespace: &str, count: usize) -> Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    let mut last = Vec::new();
    let waited = until(SOON, "pods", async || {
        last = cluster.get(&path).await?["items"]
            .as_array()
            .cloned()
            .context("a list")?;
        Ok(last.len() == count && last.iter().all(ready))
    })
    .await;
    waited.with_context(|| {
        let states = { last.iter() }.map(|pod| {
            format!(
                "{} {}",
                pod["metadata"]["name"], pod["status"]["containerStatuses"]
            )
        });
        states.collect::<Vec<_>>().join("; ")
    })?;
    Ok(last)
}

/// A collector that writes what it gets into the folder.
async fn backend(world: &World) -> Result<()> {
    let cluster = &world.cluster;
    cluster.namespace(BACKEND, &json!({})).await?;
    let config = json!({
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "0.0.0.0:4317"}}}},
        "exporters": {
            "file/traces": {"path": "/out/traces.jsonl", "flush_interval": "100ms"},
            "file/metrics": {"path": "/out/metrics.jsonl", "flush_interval": "100ms"},
        },
        "extensions": {"health_check": {"endpoint": "0.0.0.0:13133"}},
        "service": {
            "extensions": ["health_check"],
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "traces": {"receivers": ["otlp"], "exporters": ["file/traces"]},
                "metrics": {"receivers": ["otlp"], "exporters": ["file/metrics"]},
            },
        },
    });
    let home = format!("/api/v1/namespaces/{BACKEND}");
    let meta = json!({"name": "backend", "namespace": BACKEND, "labels": {"app": "backend"}});
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta,
        "data": {"config.yaml": config.to_string()},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": meta,
        "spec": {"selector": {"app": "backend"}, "ports": [{"port": 4317}]},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": meta,
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "backend",
                "image": COLLECTOR,
                "args": ["--config=/etc/backend/config.yaml"],
                "readinessProbe": {"httpGet": {"path": "/", "port": 13133}, "periodSeconds": 1},
                "volumeMounts": [
                    {"name": "config", "mountPath": "/etc/backend"},
                    {"name": "out", "mountPath": "/out"},
                ],
            }],
            "volumes": [
                {"name": "config", "configMap": {"name": "backend"}},
                {"name": "out", "hostPath": {"path": world.folder}},
            ],
        },
    });
    cluster
        .apply(&format!("{home}/configmaps/backend"), &map)
        .await?;
    cluster
        .apply(&format!("{home}/services/backend"), &service)
        .await?;
    cluster.apply(&format!("{home}/pods/backend"), &pod).await?;
    ready(cluster, BACKEND, 1).await.map(drop)
}
