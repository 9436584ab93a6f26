//! The rim of the reconciler: watches pods, asks the decision, tells owners.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Error};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{MissedTickBehavior, interval};

use super::judge::is_missed;
use super::ledger::{Candidate, Grounds, Ledger, Source};
use super::rollout::{Workload, restart};
use super::{Metrics, Owner, Pace, notice};
use webhook_core::Facts;

/// The labels that the webhook's own selector knows, one watch for each: selectors have no "or".
const SELECTORS: [&str; 2] = [
    "app in (agent,mcpserver,modelapi,memorystore)",
    "telemetry.kaos.tools/component",
];
/// Pods that have ended need no telemetry.
const LIVING: &str = "status.phase!=Succeeded,status.phase!=Failed";
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pods that are read in one look; the rest waits for the next one.
const PODS_PER_LOOK: usize = 250;
const READS_AT_ONCE: usize = 4;
/// Events are forgotten after an hour; what still holds is said again before.
const SAY_AGAIN: Duration = Duration::from_mins(30);
/// What failed is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// How the reconciler behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The webhook's own namespace, for the ticket of restarts.
    pub namespace: String,
    /// Restart rollouts whose pods were missed, at this pace; none leaves them alone.
    pub restart: Option<Pace>,
}

/// Watches for as long as it is polled. `facts` gives the snapshot of the moment.
///
/// It needs no leader: each replica counts for itself, and what it writes is the same.
pub async fn run(client: Client, facts: impl Fn() -> Facts, metrics: Metrics, options: Options) {
    let mut pods = watch(&client);
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reconciler = Reconciler {
        client,
        metrics,
        options,
        ledger: Ledger::default(),
        told: HashMap::new(),
    };
    loop {
        tokio::select! {
            Some((source, event)) = pods.next() => reconciler.note(source, event),
            _ = look.tick() => reconciler.look(&facts()).await,
        }
    }
}

type PodEvent = Result<Event<PartialObjectMeta<Pod>>, watcher::Error>;

/// Metadata only: that is all that is looked at of most pods.
fn watch(client: &Client) -> BoxStream<'static, (Source, PodEvent)> {
    let watches = SELECTORS.iter().zip(0..).map(|(selector, number)| {
        let api = Api::<PartialObjectMeta<Pod>>::all(client.clone());
        let config = watcher::Config::default().labels(selector).fields(LIVING);
        watcher(api, config)
            .default_backoff()
            .map(move |event| (Source(number), event))
            .boxed()
    });
    stream::select_all(watches).boxed()
}

struct Reconciler {
    client: Client,
    metrics: Metrics,
    options: Options,
    ledger: Ledger,
    /// What owners were told: of how many pods, and when they are to be told again.
    told: HashMap<(Box<str>, Owner), (usize, Instant)>,
}

impl Reconciler {
    fn note(&mut self, source: Source, event: PodEvent) {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                self.ledger.seen(source, &pod.metadata);
            }
            Ok(Event::Delete(pod)) => self.ledger.gone(source, &pod.metadata),
            Ok(Event::Init) => self.ledger.relisting(source),
            Ok(Event::InitDone) => self.ledger.relisted(source),
            Err(error) => self.failed("watch pods", &error),
        }
    }

    async fn look(&mut self, facts: &Facts) {
        self.judge(facts).await;
        let missed = self.ledger.missed();
        let metrics = &self.metrics;
        metrics
            .uninjected_pods
            .set(i64::try_from(missed).unwrap_or(i64::MAX));
        let overflow = i64::try_from(self.ledger.overflow()).unwrap_or(i64::MAX);
        metrics.unfollowed_pods.set(overflow);
        let owners = self.ledger.missed_by_owner();
        self.told.retain(|owner, _| owners.contains_key(owner));
        for (key, pods) in owners {
            let now = Instant::now();
            let told = self.told.get(&key);
            let tell = told.is_none_or(|(count, next)| *count != pods || *next <= now);
            if !tell && self.options.restart.is_none() {
                continue;
            }
            let next = match self.care(&key.0, &key.1, tell.then_some(pods)).await {
                Ok(()) => now + SAY_AGAIN,
                Err(error) => {
                    self.failed("tell an owner of its pods", &error);
                    now + TRY_AGAIN
                }
            };
            if tell {
                self.told.insert(key, (pods, next));
            }
        }
    }

    async fn judge(&mut self, facts: &Facts) {
        let now = Instant::now();
        let grounds = |namespace: &str| Grounds {
            config_hash: facts.config_hash().into(),
            namespace: facts.namespace(namespace).cloned(),
        };
        let mut due = self.ledger.due(now, grounds);
        due.truncate(PODS_PER_LOOK);
        let reads = due.into_iter().map(|candidate| {
            let client = self.client.clone();
            async move { (read(&client, &candidate).await, candidate) }
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        while let Some((pod, candidate)) = reads.next().await {
            let Candidate { uid, namespace, .. } = candidate;
            let missed = match pod {
                Ok(Some(pod)) => is_missed(&pod, &namespace, facts),
                // Gone meanwhile; the watch will say so too.
                Ok(None) => false,
                Err(error) => {
                    self.metrics.errors.inc();
                    tracing::warn!(%error, "cannot read a pod");
                    continue;
                }
            };
            self.ledger.judge(&uid, missed, grounds(&namespace), now);
        }
    }

    /// Tells an owner of so many pods, if any, and restarts its rollout if that is wanted.
    async fn care(&self, namespace: &str, owner: &Owner, tell: Option<usize>) -> Result<(), Error> {
        let path = owner.rollout().map(|plural| {
            format!(
                "/apis/apps/v1/namespaces/{namespace}/{plural}/{}",
                owner.name
            )
        });
        // A pod does not know the uid of its Deployment; of all others it does.
        let look = owner.uid.is_none() || self.options.restart.is_some();
        let workload = match path.as_deref().filter(|_| look) {
            Some(path) => Some(request(&self.client, "GET", path, JSON, &Value::Null).await?),
            None => None,
        };
        if let Some(pods) = tell {
            let uid = workload
                .as_ref()
                .and_then(|it| it["metadata"]["uid"].as_str());
            if let Some(uid) = uid.or(owner.uid.as_deref()) {
                let event = notice::event(namespace, owner, uid, pods, Timestamp::now());
                let name = notice::name(owner, uid);
                let at = format!("/api/v1/namespaces/{namespace}/events/{name}?{APPLY}");
                request(&self.client, "PATCH", &at, APPLY_PATCH, &event).await?;
            }
        }
        if let (Some(pace), Some(path), Some(object)) = (&self.options.restart, &path, &workload) {
            let workload = Workload { path, object };
            if restart(&self.client, &self.options.namespace, pace, &workload).await? {
                self.metrics.restarts.inc();
                tracing::info!(namespace, name = %owner.name, kind = %owner.kind, "rollout restarted");
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: &dyn std::error::Error) {
        self.metrics.errors.inc();
        tracing::warn!(%error, "cannot {what}; will try again");
    }
}

const JSON: &str = "application/json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";
const APPLY: &str = "fieldManager=kaos-webhook&force=true";

/// The pod as it is now; none if it is gone, or if another one has its name.
async fn read(client: &Client, candidate: &Candidate) -> Result<Option<Box<RawValue>>, Error> {
    let Candidate {
        uid,
        namespace,
        name,
        ..
    } = candidate;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let request = Request::get(path)
        .body(Vec::new())
        .map_err(Error::HttpError)?;
    // As text: what the client cannot parse it writes to the log, and pods hold secrets.
    let text = match client.request_text(request).await {
        Ok(text) => text,
        Err(Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta: PartialObjectMeta<Pod> = serde_json::from_str(&text).map_err(Error::SerdeError)?;
    if meta.metadata.uid.as_deref() != Some(uid) {
        return Ok(None);
    }
    RawValue::from_string(text)
        .map(Some)
        .map_err(Error::SerdeError)
}

/// A request with a body in JSON; [`Value::Null`] is none.
pub(super) async fn request(
    client: &Client,
    method: &str,
    path: &str,
    content_type: &str,
    body: &Value,
) -> Result<Value, Error> {
    let bytes = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, content_type)
        .body(bytes)
        .map_err(Error::HttpError)?;
    client.request(request).await
}
