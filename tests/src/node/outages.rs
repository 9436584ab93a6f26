//! Something that the probe needs is away for a while: what is lost is counted, and nothing is
//! that need not be.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::World;
use super::call::{ask, ours, text};
use super::install::ready;
use super::reporters::now;
use super::workloads::AGENTS;
use crate::fidelity::span::Kind;
use crate::webhook::cluster::{sum, until};
use crate::webhook::setup::HOME;

const SOON: Duration = Duration::from_mins(2);
/// How many conversations there are meanwhile.
const ASKED: usize = 3;

/// The collector goes away and comes back: every span of meanwhile is there in the end.
pub async fn collector(world: &World) -> Result<String> {
    let away = Duration::from_secs(if world.long { 600 } else { 3 });
    let before = losses(world).await?;
    scale(world, 0).await?;
    let start = Instant::now();
    let since = now()?;
    for _ in 0..ASKED {
        ask(world, AGENTS, "meanwhile").await?;
    }
    until(SOON, "a failed export", async || {
        Ok(losses(world).await?.0 > before.0)
    })
    .await?;
    sleep(away.saturating_sub(start.elapsed())).await;
    let waiting = seen(world, since)?;
    ensure!(waiting == 0, "{waiting} spans arrived without a collector");
    scale(world, 1).await?;
    let gone = start.elapsed().as_secs_f64();
    until(SOON, "the spans of meanwhile", async || {
        Ok(seen(world, since)? == ASKED)
    })
    .await?;
    let after = losses(world).await?;
    ensure!(after.1 <= before.1, "{} spans were dropped", after.1);
    let failed = after.0 - before.0;
    Ok(format!(
        "{ASKED} conversations arrived after {gone:.0} s without it, {failed} failures counted"
    ))
}

/// How many of the model server's calls have arrived that began after a time.
fn seen(world: &World, since: u64) -> Result<usize> {
    let spans = ours(world)?.into_iter();
    let of_model = spans.filter(|span| {
        span.start > since
            && span.kind == Kind::Server
            && text(&span.resource, "k8s.deployment.name") == "modelapi-tiny"
    });
    Ok(of_model.count())
}

/// The probe's failed exports, and the spans that it dropped.
async fn losses(world: &World) -> Result<(f64, f64)> {
    let pods = format!("/api/v1/namespaces/{HOME}/pods");
    let list = world.cluster.get(&pods).await?;
    let names = list["items"].as_array().into_iter().flatten();
    let mut names = names.filter_map(|pod| pod["metadata"]["name"].as_str());
    let name = { names.find(|name| name.contains("probe")) }.context("the probe's pod")?;
    let path = format!("{pods}/{name}:9464/proxy/metrics");
    let metrics = world.cluster.text(&path).await?;
    Ok((
        sum(&metrics, "kaos_probe_exports_failed_total"),
        sum(&metrics, "kaos_probe_spans_dropped_total"),
    ))
}

/// Makes the chart's collector be there or not.
async fn scale(world: &World, replicas: usize) -> Result<()> {
    let deployments = format!("/apis/apps/v1/namespaces/{HOME}/deployments");
    let list = world.cluster.get(&deployments).await?;
    let names = list["items"].as_array().into_iter().flatten();
    let mut names = names.filter_map(|it: &Value| it["metadata"]["name"].as_str());
    let name = { names.find(|name| name.contains("collector")) }.context("the collector")?;
    let path = format!("{deployments}/{name}");
    let wanted = json!({"spec": {"replicas": replicas}});
    world
        .cluster
        .send("PATCH", &path, &wanted)
        .await?
        .object("scale")?;
    ready(&world.cluster, HOME, 3 + replicas).await.map(drop)
}
