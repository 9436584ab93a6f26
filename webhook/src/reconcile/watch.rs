//! The rim of the reconciler: watches pods and asks the decision which were missed.
//!
//! To count and to tell are two tasks: a slow API server that takes Events one by one must not
//! keep the count back.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Error};
use serde_json::value::RawValue;
use tokio::sync::watch::{Sender, channel};
use tokio::time::{MissedTickBehavior, interval};

use super::judge::is_missed;
use super::ledger::{Candidate, Grounds, Ledger, Source};
use super::tell::{Owners, Teller};
use super::{Metrics, Pace, in_time};
use crate::readiness::{Condition, Readiness};
use crate::watch::{words, words_of};
use webhook_core::{Facts, NamespaceFacts};

/// The labels that the webhook's own selector knows, one watch for each: selectors have no "or".
const SELECTORS: [&str; 2] = [
    "app in (agent,mcpserver,modelapi,memorystore)",
    "telemetry.kaos.tools/component",
];
/// Pods that have ended need no telemetry.
const LIVING: &str = "status.phase!=Succeeded,status.phase!=Failed";
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pods that are read in one look. Where more wait for their first verdict, the next look follows
/// at once.
const PODS_PER_LOOK: usize = 250;
/// Pods may be large, and somebody may make many such.
const READS_AT_ONCE: usize = 8;

/// How the reconciler behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The webhook's own namespace, for the ticket of restarts.
    pub namespace: String,
    /// Restart rollouts whose pods were missed, at this pace; none leaves them alone.
    pub restart: Option<Pace>,
    /// Nothing is judged before the custom resources are known, and nothing restarted while this
    /// replica could not inject into what follows.
    pub readiness: Readiness,
}

/// Watches for as long as it is polled. `facts` gives the snapshot of the moment.
///
/// It needs no leader: each replica counts for itself, and what it writes is the same.
pub async fn run<F>(client: Client, facts: F, metrics: Metrics, options: Options)
where
    F: Fn() -> Facts + Sync,
{
    let (found, owners) = channel(Owners::default());
    let counter = Counter {
        client: client.clone(),
        metrics: metrics.clone(),
        readiness: options.readiness.clone(),
        ledger: Ledger::default(),
        found,
    };
    let teller = Teller::new(client, metrics, options);
    // Neither has an end; a panic of one is that of both.
    tokio::join!(counter.run(&facts), teller.run(&facts, owners));
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

struct Counter {
    client: Client,
    metrics: Metrics,
    readiness: Readiness,
    ledger: Ledger,
    found: Sender<Owners>,
}

impl Counter {
    async fn run(mut self, facts: &(impl Fn() -> Facts + Sync)) {
        let mut pods = watch(&self.client);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some((source, event)) = pods.next() => self.note(source, event),
                _ = look.tick() => {
                    if self.look(&facts()).await {
                        look.reset_immediately();
                    }
                    if self.ledger.makes_room() {
                        // A new list names those that there was no room for.
                        pods = watch(&self.client);
                    }
                }
            }
        }
    }

    fn note(&mut self, source: Source, event: PodEvent) {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                self.ledger.seen(source, &pod.metadata);
            }
            Ok(Event::Delete(pod)) => self.ledger.gone(source, &pod.metadata),
            Ok(Event::Init) => self.ledger.relisting(source),
            Ok(Event::InitDone) => self.ledger.relisted(source),
            Err(error) => self.metrics.failed("watch pods", &words(&error)),
        }
    }

    /// Judges some pods and says how many were missed; true if the next look should follow at once.
    async fn look(&mut self, facts: &Facts) -> bool {
        // Nobody wished for what the defaults would give, nor for what a resource turns off.
        if !facts.settings_known() || !self.readiness.is_good(Condition::Components) {
            return false;
        }
        let opted_in = |namespace: &str| {
            let known = facts.namespace(namespace);
            known.is_some_and(NamespaceFacts::opted_in)
        };
        self.ledger.forget(opted_in);
        let more = self.judge(facts).await;
        let gauge = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let metrics = &self.metrics;
        metrics.uninjected_pods.set(gauge(self.ledger.missed()));
        metrics.unfollowed_pods.set(gauge(self.ledger.unfollowed()));
        // Owners are told once the count of their pods stands.
        if !more {
            let _kept_for_whoever_looks = self.found.send_replace(self.ledger.missed_by_owner());
        }
        more
    }

    /// True if more pods wait for their first verdict, and the API server gives what is asked for.
    async fn judge(&mut self, facts: &Facts) -> bool {
        let now = Instant::now();
        let due = self.ledger.due(now, PODS_PER_LOOK, facts);
        let mut more = due.more;
        let reads = due.pods.into_iter().map(|candidate| {
            let client = self.client.clone();
            async move { (read(&client, &candidate).await, candidate) }
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        while let Some((pod, candidate)) = reads.next().await {
            let grounds = Grounds::of(&candidate, facts);
            let Candidate {
                uid,
                namespace,
                mark,
                ..
            } = candidate;
            let missed = match pod {
                Ok(Some(pod)) => {
                    let missed = is_missed(&pod, &namespace, mark.is_some(), facts);
                    // Whether it is missed nobody knows; it is looked at again with the others.
                    missed.unwrap_or_else(|_panicked| {
                        self.metrics.errors.inc();
                        false
                    })
                }
                // Gone meanwhile; the watch will say so too.
                Ok(None) => false,
                Err(error) => {
                    self.metrics.failed("read a pod", &words_of(&error));
                    more = false;
                    continue;
                }
            };
            self.ledger.judge(&uid, missed, grounds, now);
        }
        more
    }
}

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
    let text = match in_time(client.request_text(request)).await {
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
