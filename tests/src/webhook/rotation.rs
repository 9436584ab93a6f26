//! Certificates change and replicas leave, while pods are created all the time.
//!
//! The pods stay: to delete thousands takes as long as to create them, and the cluster goes too.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::World;
use super::cluster::until;
use super::late::{Witness, late_kubeconfig};
use super::load::{Load, creates};
use super::replica::Replica;
use super::setup::{HOME, NAME, Route, endpoints, register};
use super::shapes::{Shape, env};

/// Creates a second.
const RATE: u32 = 200;
/// How long a certificate lives in this test. It is renewed at two thirds; a machine that is too
/// slow for the rest of a renewal in what remains would show nothing but that.
const LIFE: Duration = Duration::from_secs(30);
/// Connections that ended before a request; failed handshakes among them.
const DROPPED: &str = "kaos_webhook_dropped_connections_total";

/// Who else is there while certificates change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// One replica and one who calls are late. They want processor time of their own, so that the
    /// pace is what the machine gives.
    Late,
    /// Nobody: the pace must be held.
    None,
}

/// Authority and certificate change so many times.
pub async fn rotation(world: &World, rotations: u32, company: Company) -> Result<String> {
    let namespace = "rotation";
    let short = [
        format!("--cert-life={}s", LIFE.as_secs()),
        "--cert-overlap=3s".to_owned(),
        "--cert-settle=1500ms".to_owned(),
    ];
    let late = company == Company::Late;
    let mut replicas = if late {
        two_of_which_one_is_late(world, namespace, &short).await?
    } else {
        two(world, namespace, &short).await?
    };
    let before = Counts::read(world, &replicas).await?;
    let witness = late.then(|| Witness::start(world, &replicas));
    let load = Running::start(world, namespace).await?;
    let mut seen = vec![bundle_and_leaf(world).await?];
    let limit = LIFE * (rotations + 1);
    let rotated = until(limit, "all rotations", async || {
        let now = bundle_and_leaf(world).await?;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        Ok(seen.len() > rotations as usize)
    });
    let rotated = rotated.await;
    let load = load.end().await?;
    let handshakes = match witness {
        Some(witness) => witness.end().await,
        None => Ok(0),
    };
    rotated.with_context(|| format!("{} certificates were seen", seen.len()))?;
    let handshakes = handshakes?;
    load.check()?;
    Counts::read(world, &replicas).await?.same_as(&before)?;
    replicas.clear();
    let what = format!("{rotations} rotations, {handshakes} more handshakes");
    let said = said(&load, &what);
    ensure!(late || holds(&load), "{said}");
    Ok(said)
}

/// One of two replicas is told to end.
pub async fn departure(world: &World) -> Result<String> {
    let namespace = "departure";
    let mut replicas = two(world, namespace, &[]).await?;
    let load = Running::start(world, namespace).await?;
    let left = leave(world, &mut replicas).await;
    let load = load.end().await?;
    let (handshakes, drained) = left?;
    load.check()?;
    let what = format!(
        "gone {:.1} s after its endpoint, {handshakes} more handshakes",
        drained.as_secs_f64()
    );
    Ok(said(&load, &what))
}

/// The first replica leaves. Nothing fails: no handshake with it while it may still be called, none
/// with the other one, and no review. How many handshakes there were, and how long it took.
async fn leave(world: &World, replicas: &mut Vec<Replica>) -> Result<(u64, Duration)> {
    let before = Counts::read(world, replicas).await?;
    let staying_before = Counts::read(world, &replicas[1..]).await?;
    let witness = Witness::start(world, replicas);
    let enough = witness.enough().await;
    let told = tell_to_end(world, replicas).await;
    let with_both = witness.end().await;
    enough.and(told)?;
    Counts::read(world, replicas).await?.same_as(&before)?;
    let mut leaving = replicas.remove(0);
    let witness = Witness::start(world, replicas);
    let start = Instant::now();
    let ended = leaving.ended(Duration::from_secs(30)).await;
    let drained = start.elapsed();
    let enough = witness.enough().await;
    let with_one = witness.end().await;
    enough?;
    let code = ended?;
    ensure!(code == Some(0), "it ended with {code:?}");
    let staying = Counts::read(world, replicas).await?;
    staying.same_as(&staying_before)?;
    Ok((with_both? + with_one?, drained))
}

/// SIGTERM to the first replica, until its endpoint is gone.
async fn tell_to_end(world: &World, replicas: &[Replica]) -> Result<()> {
    let [leaving, staying @ ..] = replicas else {
        bail!("nobody is there");
    };
    leaving.signal(Signal::TERM)?;
    // Kubernetes takes an endpoint out when readiness has failed, and API servers hear of it a
    // while later.
    until(
        Duration::from_secs(5),
        "not ready after SIGTERM",
        async || Ok(!leaving.is_ready().await),
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    endpoints(&world.cluster, &ports(staying)).await
}

/// The same load without the webhook: what this machine can do.
pub async fn baseline(world: &World) -> Result<String> {
    let namespace = "baseline";
    world
        .cluster
        .namespace(namespace, &serde_json::json!({}))
        .await?;
    let submitted = env(&Shape::Agent.pod("x", "x"), Shape::Agent.container()).len();
    let load = Running::of(world, namespace, submitted);
    tokio::time::sleep(Duration::from_secs(8)).await;
    let load = load.end().await?;
    load.check()?;
    Ok(said(&load, "no webhook"))
}

/// Two replicas behind the Service, with their own authority.
pub async fn two(world: &World, namespace: &str, more: &[String]) -> Result<Vec<Replica>> {
    start(world, namespace, more, [&world.kubeconfig; 2]).await
}

/// The same; the second one hears of everything late.
pub async fn two_of_which_one_is_late(
    world: &World,
    namespace: &str,
    more: &[String],
) -> Result<Vec<Replica>> {
    let late = late_kubeconfig(world).await?;
    start(world, namespace, more, [&world.kubeconfig, &late]).await
}

async fn start(
    world: &World,
    namespace: &str,
    more: &[String],
    kubeconfigs: [&PathBuf; 2],
) -> Result<Vec<Replica>> {
    world.opted_in(namespace).await?;
    // A Secret of another scenario's may have a certificate of another life.
    let secret = format!("/api/v1/namespaces/{HOME}/secrets/{NAME}-tls");
    world.cluster.delete(&secret).await?;
    register(world, Route::Service, None).await?;
    let mut program = world.program();
    program
        .arguments
        .push(format!("--dns-name={}", world.cluster.address()));
    program.arguments.extend_from_slice(more);
    let mut replicas = Vec::new();
    for (number, kubeconfig) in kubeconfigs.into_iter().enumerate() {
        program.kubeconfig.clone_from(kubeconfig);
        let mut replica = program.start(&format!("{namespace}-{number}"))?;
        replica.ready().await?;
        replicas.push(replica);
    }
    endpoints(&world.cluster, &ports(&replicas)).await?;
    world.settle().await?;
    Ok(replicas)
}

fn ports(replicas: &[Replica]) -> Vec<u16> {
    replicas.iter().map(Replica::port).collect()
}

/// A load that runs until it is told to end.
pub struct Running {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Load>>,
}

impl Running {
    /// Begins; the first pod says how many variables a complete one has.
    pub async fn start(world: &World, namespace: &str) -> Result<Self> {
        let pod = Shape::Agent.pod("first", "load");
        let first = world.create(namespace, &pod).await?;
        let wanted = env(&first, Shape::Agent.container()).len();
        ensure!(
            wanted > env(&pod, "agent").len(),
            "the first pod is not injected into"
        );
        Ok(Self::of(world, namespace, wanted))
    }

    /// Pods with so many variables are complete.
    fn of(world: &World, namespace: &str, wanted: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let load = creates(
            world.cluster.clone(),
            namespace.to_owned(),
            RATE,
            wanted,
            Arc::clone(&stop),
        );
        Self {
            task: tokio::spawn(load),
            stop,
        }
    }

    /// Ends it; what came of it.
    pub async fn end(self) -> Result<Load> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

/// What must not move.
pub struct Counts {
    fail_open: f64,
    dropped: Vec<f64>,
}

impl Counts {
    /// As they are now.
    pub async fn read(world: &World, replicas: &[Replica]) -> Result<Self> {
        let mut dropped = Vec::new();
        for replica in replicas {
            dropped.push(replica.metric(DROPPED).await?);
        }
        Ok(Self {
            fail_open: world.fail_open().await?,
            dropped,
        })
    }

    /// An error if one moved.
    pub fn same_as(&self, before: &Self) -> Result<()> {
        let opened = self.fail_open - before.fail_open;
        if opened.abs() > 0.5 {
            bail!("the API server went on without the webhook {opened} times");
        }
        for (now, before) in self.dropped.iter().zip(&before.dropped) {
            ensure!(
                (now - before).abs() < 0.5,
                "{} handshakes failed",
                now - before
            );
        }
        Ok(())
    }
}

/// The certificate that is kept; both authority and leaf change with it.
async fn bundle_and_leaf(world: &World) -> Result<(String, String)> {
    let secret = format!("/api/v1/namespaces/{HOME}/secrets/{NAME}-tls");
    let secret = world.cluster.get(&secret).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((
        text(&secret["data"]["tls.crt"]),
        text(&secret["data"]["tls.key"]),
    ))
}

/// What is to be read in the table. The pace says as much of the machine as of the webhook.
#[must_use]
pub fn said(load: &Load, what: &str) -> String {
    let pace = if holds(load) {
        ""
    } else {
        " (the pace was not held)"
    };
    format!(
        "{what}; {} pods at {:.0}/s{pace}, all complete, median {} ms, p99 {} ms",
        load.created,
        load.rate(),
        load.percentile(50).as_millis(),
        load.percentile(99).as_millis()
    )
}

fn holds(load: &Load) -> bool {
    load.rate() > f64::from(RATE) * 0.95
}
