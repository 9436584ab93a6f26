//! Tells owners of pods that were missed, and restarts their rollouts where that is wanted.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use http::Request;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::watch::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use super::rollout::{Workload, restart};
use super::watch::Options;
use super::{Metrics, Owner, notice};
use crate::watch::words_of;
use webhook_core::Facts;

const TELL_EVERY: Duration = Duration::from_secs(5);
/// Events are forgotten after an hour; what still holds is said again before.
const SAY_AGAIN: Duration = Duration::from_mins(30);
/// What failed is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// How many pods were missed, by namespace and owner.
pub(super) type Owners = BTreeMap<(Box<str>, Owner), usize>;

/// One request after the other: it writes, and nobody waits for it.
pub(super) struct Teller {
    client: Client,
    metrics: Metrics,
    options: Options,
    /// What owners were told: of how many pods, and when they are to be told again.
    told: HashMap<(Box<str>, Owner), (usize, Instant)>,
}

impl Teller {
    pub(super) fn new(client: Client, metrics: Metrics, options: Options) -> Self {
        Self {
            client,
            metrics,
            options,
            told: HashMap::new(),
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

    async fn visit(&mut self, key: (Box<str>, Owner), pods: usize, facts: &Facts) {
        let now = Instant::now();
        let told = self.told.get(&key);
        let tell = told.is_none_or(|(count, next)| *count != pods || *next <= now);
        if !tell && self.options.restart.is_none() {
            return;
        }
        let next = match self.care(&key, tell.then_some(pods), facts).await {
            Ok(()) => now + SAY_AGAIN,
            Err(error) => {
                let why = words_of(&error);
                self.metrics.failed("tell an owner of its pods", &why);
                now + TRY_AGAIN
            }
        };
        if tell {
            self.told.insert(key, (pods, next));
        }
    }

    /// Tells an owner of so many pods, if any, and restarts its rollout if that is wanted.
    async fn care(
        &self,
        (namespace, owner): &(Box<str>, Owner),
        tell: Option<usize>,
        facts: &Facts,
    ) -> Result<(), Error> {
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
            let config = facts.config_hash();
            let workload = Workload {
                path,
                object,
                config,
            };
            if restart(&self.client, &self.options.namespace, pace, &workload).await? {
                self.metrics.restarts.inc();
                tracing::info!(%namespace, name = %owner.name, kind = %owner.kind, "rollout restarted");
            }
        }
        Ok(())
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
    client.request(request).await
}
