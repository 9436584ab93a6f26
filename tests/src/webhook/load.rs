//! Many pods, created at a steady pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::cluster::Cluster;
use super::shapes::{Shape, env};

/// Creates that may be under way at once. Where that does not give the pace, the machine is too slow
/// for it, and more at once would only wait for each other until the API server gives the webhook up.
const AT_ONCE: usize = 16;

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Pods that were created.
    pub created: u64,
    /// Those among them that lack variables.
    pub incomplete: u64,
    /// Pods that were refused, with the first refusal.
    pub refused: u64,
    /// Why the first one was refused.
    pub first_refusal: Option<String>,
    /// How long each create took, sorted.
    pub took: Vec<Duration>,
    /// From the first to the last.
    pub lasted: Duration,
}

/// Creates agents in a namespace until `stop` is set, `rate` a second.
///
/// A pod is complete if its agent has as many variables as `wanted`.
pub async fn creates(
    cluster: Cluster,
    namespace: String,
    rate: u32,
    wanted: usize,
    stop: Arc<AtomicBool>,
) -> Result<Load> {
    let mut pace = interval(Duration::from_secs(1) / rate);
    // A late create is made up for: the rate is an average.
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let numbers = AtomicU64::new(0);
    let mut running = JoinSet::new();
    let mut load = Load::default();
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let permit = Arc::clone(&room).acquire_owned().await.context("room")?;
        let name = format!("load-{}", numbers.fetch_add(1, Ordering::Relaxed));
        let (cluster, namespace) = (cluster.clone(), namespace.clone());
        running.spawn(async move {
            let pod = Shape::Agent.pod(&name, "load");
            let answer = cluster.create_pod(&namespace, &pod).await;
            drop(permit);
            answer
        });
        while let Some(done) = running.try_join_next() {
            load.count(done?, wanted);
        }
    }
    while let Some(done) = running.join_next().await {
        load.count(done?, wanted);
    }
    load.lasted = start.elapsed();
    load.took.sort_unstable();
    Ok(load)
}

impl Load {
    /// How many a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.created as f64 / self.lasted.as_secs_f64()
    }

    /// The time within which this part of a hundred was created.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.took.len() * percent / 100).min(self.took.len().saturating_sub(1));
        self.took.get(at).copied().unwrap_or_default()
    }

    /// An error unless every pod was created with all its variables.
    pub fn check(&self) -> Result<()> {
        if self.refused > 0 || self.incomplete > 0 || self.created == 0 {
            bail!(
                "{} pods were created, {} of them incomplete; {} were refused ({})",
                self.created,
                self.incomplete,
                self.refused,
                self.first_refusal.as_deref().unwrap_or("none"),
            );
        }
        Ok(())
    }

    fn count(&mut self, answer: Result<super::cluster::Answer>, wanted: usize) {
        match answer.and_then(|answer| Ok((answer.took, answer.object("a pod")?))) {
            Ok((took, pod)) => {
                self.created += 1;
                self.took.push(took);
                let complete = env(&pod, Shape::Agent.container()).len() == wanted;
                self.incomplete += u64::from(!complete);
            }
            Err(error) => {
                self.refused += 1;
                self.first_refusal
                    .get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }
}
