//! The webhook is away in each way that it can be: pods are created all the same, and counted
//! afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;

use super::World;
use super::blackhole::Blackhole;
use super::certificates::{Authority, Validity};
use super::cluster::until;
use super::replica::Replica;
use super::setup::{Route, endpoints, register};
use super::shapes::{Shape, env};

/// How the webhook is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The process is gone: connections are refused.
    Killed,
    /// Its certificate has run out.
    Expired,
    /// Packets to it vanish.
    Blackholed,
    /// It takes connections and requests, and says nothing.
    Silent,
}

/// Pods that are created during an outage.
const PODS: usize = 5;
/// What a create may take beside the webhook's timeout; two cores are shared with a lot.
const SLACK: Duration = Duration::from_secs(2);
/// Within this, a missed pod must be counted.
const COUNTED_WITHIN: Duration = Duration::from_mins(1);
const GAUGE: &str = "kaos_webhook_uninjected_pods";

/// Runs one outage from a working webhook to a working webhook.
pub async fn run(world: &World, outage: Outage) -> Result<String> {
    let namespace = format!("outage-{outage:?}").to_lowercase();
    world.opted_in(&namespace).await?;
    let authority = Authority::new("outages")?;
    let folder = world.folder.join(&namespace);
    authority.write(&folder, world.cluster.address(), Validity::Good)?;
    let program = world.with_files(&folder);
    let mut replica = program.start(&namespace)?;
    let port = replica.port();
    // Ready only when the API server is told to trust it.
    let timeout = reach(world, &authority, port).await?;
    replica.ready().await?;
    let pod = Shape::Agent.pod("before", "a");
    let pod = world.create(&namespace, &pod).await?;
    if env(&pod, "agent").len() == submitted() {
        bail!("the webhook was there, and injected nothing");
    }

    // Away.
    let mut hole = None;
    match outage {
        Outage::Killed => replica.signal(Signal::KILL)?,
        Outage::Silent => {
            replica.signal(Signal::STOP)?;
            let stopped = async || replica.is_stopped();
            until(Duration::from_secs(5), "all threads stop", stopped).await?;
        }
        Outage::Blackholed => {
            let port = hole.insert(Blackhole::open()?).port();
            let url = format!("https://{}:{port}", world.cluster.address());
            register(world, Route::Url(&url), Some(authority.pem())).await?;
            world.fails_open().await?;
        }
        Outage::Expired => {
            replica.signal(Signal::KILL)?;
            replica.ended(Duration::from_secs(5)).await?;
            authority.write(&folder, world.cluster.address(), Validity::Expired)?;
            replica = program.start_on(&format!("{namespace}-expired"), port)?;
            replica.listens().await?;
        }
    }
    let before = world.fail_open().await?;
    let slowest = missed(world, &namespace, timeout).await?;
    let opened = world.fail_open().await? - before;
    if (opened - PODS as f64).abs() > 0.5 {
        bail!("{PODS} pods were missed, the API server counts {opened}");
    }

    // Back.
    let back = Instant::now();
    match outage {
        Outage::Silent => replica.signal(Signal::CONT)?,
        Outage::Killed => replica = restart(world, &folder, &namespace, port).await?,
        Outage::Blackholed => {
            reach(world, &authority, port).await?;
        }
        // No restart: a good certificate is taken up by itself.
        Outage::Expired => {
            authority.write(&folder, world.cluster.address(), Validity::Good)?;
        }
    }
    replica.ready().await?;
    replica.metric_becomes(GAUGE, PODS, COUNTED_WITHIN).await?;
    let counted = back.elapsed();
    told(world, &namespace).await?;
    // What is made now is injected again.
    let pod = Shape::Agent.pod("after", "a");
    let pod = world.create(&namespace, &pod).await?;
    if env(&pod, "agent").len() == submitted() {
        bail!("the webhook is back, and injects nothing");
    }
    world.remove(&namespace).await?;
    replica.metric_becomes(GAUGE, 0, COUNTED_WITHIN).await?;
    Ok(format!(
        "{PODS} of {PODS} pods created, the slowest in {:.2} s of {timeout}; all counted {:.1} s \
         after the return",
        slowest.as_secs_f64(),
        counted.as_secs_f64()
    ))
}

/// Lets the API server call a replica; gives how long it waits for an answer, in seconds.
async fn reach(world: &World, authority: &Authority, port: u16) -> Result<u64> {
    endpoints(&world.cluster, &[port]).await?;
    let timeout = register(world, Route::Service, Some(authority.pem())).await?;
    world.settle().await?;
    Ok(timeout)
}

async fn restart(
    world: &World,
    folder: &std::path::Path,
    name: &str,
    port: u16,
) -> Result<Replica> {
    let mut replica = world
        .with_files(folder)
        .start_on(&format!("{name}-again"), port)?;
    replica.ready().await?;
    Ok(replica)
}

/// Creates pods while nobody answers, all at once, for each waits as long as the API server does;
/// gives the longest time that one took.
async fn missed(world: &World, namespace: &str, timeout: u64) -> Result<Duration> {
    let limit = Duration::from_secs(timeout) + SLACK;
    let mut creates = JoinSet::new();
    for number in 0..PODS {
        let (cluster, namespace) = (world.cluster.clone(), namespace.to_owned());
        let pod = Shape::Agent.pod(&format!("missed-{number}"), "a");
        creates.spawn(async move { cluster.create_pod(&namespace, &pod).await });
    }
    let mut slowest = Duration::ZERO;
    while let Some(answer) = creates.join_next().await {
        let answer = answer??;
        let took = answer.took;
        let pod = answer.object("a pod while the webhook is away")?;
        if took > limit {
            bail!("a create took {took:?}");
        }
        if env(&pod, "agent").len() != submitted() {
            bail!("the webhook is away, and yet it injected");
        }
        slowest = slowest.max(took);
    }
    Ok(slowest)
}

/// Each missed pod belongs to nobody, so the Event is on the pod itself.
async fn told(world: &World, namespace: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/events");
    until(COUNTED_WITHIN, "an Event on each missed pod", async || {
        let events = world.cluster.get(&path).await?;
        let items = events["items"].as_array().context("a list")?;
        let ours = |event: &&Value| event["reason"] == "TelemetryNotInjected";
        Ok(items.iter().filter(ours).count() == PODS)
    })
    .await
}

/// How many variables the operator gives an agent.
fn submitted() -> usize {
    let pod = Shape::Agent.pod("x", "x");
    env(&pod, "agent").len()
}
