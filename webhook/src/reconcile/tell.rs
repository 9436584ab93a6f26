//! Tells owners of pods that were missed, and restarts their rollouts where that is wanted.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use http::Request;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::watch::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use super::restart::{Pace, Refused};
use super::rollout::{Tried, Workload, restart};
use super::watch::Options;
use super::{Metrics, Owner, in_time, notice};
use crate::watch::words_of;
use webhook_core::Facts;

const TELL_EVERY: Duration = Duration::from_secs(5);
/// Events are forgotten after an hour; what still holds is said again before.
const SAY_AGAIN: Duration = Duration::from_mins(30);
/// What failed is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_mins(1);
/// A workload that is to be left alone is looked at again after this long.
const LEAVE_ALONE: Duration = Duration::from_mins(10);

/// How many pods were missed, by namespace and owner.
pub(super) type Owners = BTreeMap<(Box<str>, Owner), usize>;

/// One request after the other: it writes, and nobody waits for it.
pub(super) struct Teller {
    client: Client,
    metrics: Metrics,
    options: Options,
    told: HashMap<Key, Told>,
    /// Nothing is restarted before: something was a moment ago.
    restart_from: Instant,
}

/// Namespace and owner.
type Key = (Box<str>, Owner);

/// What was done about one owner.
#[derive(Clone, Copy)]
struct Told {
    /// Of how many pods it was told.
    pods: usize,
    /// When it is to be told again.
    again: Instant,
    /// When it may be looked at for a restart.
    restart_from: Instant,
}

/// What there is to do about one owner.
#[derive(Clone, Copy)]
struct Wish<'p> {
    /// It is to be told of so many pods.
    tell: Option<usize>,
    /// It is to be restarted.
    restart: Option<&'p Pace>,
}

impl Teller {
    pub(super) fn new(client: Client, metrics: Metrics, options: Options) -> Self {
        Self {
            client,
            metrics,
            options,
            told: HashMap::new(),
            restart_from: Instant::now(),
        }
    }

    /// Tells what stands in `owners`, forever.
    pub(super) async fn run(
        mut self,
        facts: &(impl Fn() -> Facts + Sync),
        owners: Receiver<Owners>,
    ) {
        let mut round = interval(TELL_EVERY);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            let all = owners.borrow().clone();
            self.told.retain(|owner, _| all.contains_key(owner));
            for key in all.into_keys() {
                // A round may take minutes: what has changed meanwhile is not said any more.
                let pods = owners.borrow().get(&key).copied();
                if let Some(pods) = pods {
                    self.visit(key, pods, &facts()).await;
                }
            }
        }
    }

    async fn visit(&mut self, key: Key, pods: usize, facts: &Facts) {
        let now = Instant::now();
        let mut told = self.told.get(&key).copied().unwrap_or(Told {
            pods: 0,
            again: now,
            restart_from: now,
        });
        let tell = told.pods != pods || told.again <= now;
        // A restart while nobody could inject would be for nothing.
        let may = now >= self.restart_from.max(told.restart_from)
            && key.1.rollout().is_some()
            && self.options.readiness.is_ready();
        let pace = self.options.restart;
        let wish = Wish {
            tell: tell.then_some(pods),
            restart: pace.as_ref().filter(|_| may),
        };
        if wish.tell.is_none() && wish.restart.is_none() {
            return;
        }
        let done = self.care(&key, wish, facts).await;
        if tell {
            let wait = if done.is_ok() { SAY_AGAIN } else { TRY_AGAIN };
            (told.pods, told.again) = (pods, now + wait);
        }
        match done {
            Ok(None) => {}
            Ok(Some(tried)) => self.tried(tried, &key, &mut told),
            Err(error) => {
                let why = words_of(&error);
                self.metrics.failed("tell an owner of its pods", &why);
                told.restart_from = now + TRY_AGAIN;
            }
        }
        self.told.insert(key, told);
    }

    fn tried(&mut self, tried: Tried, (namespace, owner): &Key, told: &mut Told) {
        let now = Instant::now();
        let between = self
            .options
            .restart
            .and_then(|it| it.between.try_into().ok());
        match tried {
            Tried::Restarted => {
                self.metrics.restarts.inc();
                tracing::info!(%namespace, name = %owner.name, kind = %owner.kind, "rollout restarted");
                told.restart_from = now + LEAVE_ALONE;
                self.restart_from = now + between.unwrap_or(TRY_AGAIN);
            }
            Tried::NotNow => self.restart_from = now + between.unwrap_or(TRY_AGAIN),
            Tried::Refused(why) => {
                if why == Refused::SameSettings {
                    self.metrics.refused_restarts.inc();
                    tracing::warn!(
                        %namespace, name = %owner.name, kind = %owner.kind,
                        "pods are missed again after a restart for the same settings: left alone for now"
                    );
                }
                told.restart_from = now + LEAVE_ALONE;
            }
        }
    }

    /// Does what is wished; what came of a restart, if that was.
    async fn care(
        &self,
        (namespace, owner): &Key,
        wish: Wish<'_>,
        facts: &Facts,
    ) -> Result<Option<Tried>, Error> {
        let path = owner.rollout().map(|plural| {
            format!(
                "/apis/apps/v1/namespaces/{namespace}/{plural}/{}",
                owner.name
            )
        });
        // A pod does not know the uid of its Deployment; of all others it does.
        let look = owner.uid.is_none() || wish.restart.is_some();
        let workload = match path.as_deref().filter(|_| look) {
            Some(path) => Some(request(&self.client, "GET", path, JSON, &Value::Null).await?),
            None => None,
        };
        if let Some(pods) = wish.tell {
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
        let (Some(pace), Some(path), Some(object)) = (wish.restart, &path, &workload) else {
            return Ok(None);
        };
        let workload = Workload {
            path,
            object,
            config: facts.config_hash(),
        };
        let home = &self.options.namespace;
        restart(&self.client, home, pace, &workload).await.map(Some)
    }
}

const JSON: &str = "application/json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";
const APPLY: &str = "fieldManager=kaos-webhook&force=true";

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
    in_time(client.request(request)).await
}
