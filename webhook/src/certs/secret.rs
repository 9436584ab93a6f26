//! Certificates from a Secret, read by the API: a mounted one lags by up to 90 seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;

use super::bundle::{Bundle, Writer};
use super::issue::issue;
use super::keeper::Keeper;
use super::pair::{BadPair, Pair, Texts};
use super::plan::{self, Former, Generation, Known, Serve, Since, Step, Times};
use crate::metrics::Attempt;
use crate::watch::{Patience, failed, words, words_of};

const NEWEST: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];
const PREVIOUS: [&str; 3] = ["previous.tls.crt", "previous.tls.key", "previous.ca.crt"];

/// How long an API server may take: while we wait, nobody looks at the clock.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to leave an API server alone that refused or failed.
const PAUSE: Duration = Duration::from_secs(2);

/// What it takes to issue, and to have it trusted.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Writes the webhook configuration.
    pub bundle: Writer,
    /// The names to issue for.
    pub names: Vec<String>,
    /// When.
    pub times: Times,
}

/// Serves what is in one Secret.
#[derive(Debug)]
pub struct Store {
    api: Api<Secret>,
    name: String,
    keeper: Keeper,
    /// None where somebody else issues, and tells whom to trust.
    renewal: Option<Renewal>,
    /// None until it was looked for.
    seen: Option<Contents>,
    /// What was served last: it outlives a Secret that somebody deletes or spoils.
    served: Slot,
    since: Since,
    leave_alone_until: Option<Instant>,
    trouble: Option<String>,
}

/// The Secret as it was seen last.
#[derive(Debug, Default)]
struct Contents {
    /// None if there is no Secret.
    version: Option<String>,
    newest: Slot,
    previous: Slot,
}

/// One generation in it.
#[derive(Clone, Debug, Default)]
struct Slot {
    texts: Option<Texts>,
    pair: Option<Arc<Pair>>,
    why_not: Option<String>,
}

impl Slot {
    /// What was read before is not read again: it would count again. `ours` is of no use without
    /// its authority, for we tell API servers to trust that.
    fn read(secret: &Secret, keys: [&str; 3], before: &Self, keeper: &Keeper, ours: bool) -> Self {
        let data = secret.data.as_ref();
        let [cert, key, ca] = keys.map(|key| {
            let bytes = data.and_then(|data| data.get(key));
            bytes.map(|bytes| bytes.0.clone()).unwrap_or_default()
        });
        let texts = Texts { cert, key, ca };
        if texts == Texts::default() {
            return Self::default();
        }
        if before.texts.as_ref() == Some(&texts) {
            return before.clone();
        }
        let read = keeper.read(&texts).and_then(|pair| {
            let trusted = !ours || !pair.authorities().is_empty();
            if trusted {
                Ok(pair)
            } else {
                Err(BadPair::NoAuthority)
            }
        });
        if let Err(error) = &read {
            tracing::warn!(%error, key = keys[0], "Refused a certificate in the Secret.");
        }
        Self {
            why_not: read.as_ref().err().map(ToString::to_string),
            pair: read.ok(),
            texts: Some(texts),
        }
    }

    fn generation(&self) -> Generation<'_> {
        match (&self.pair, &self.texts) {
            (Some(pair), _) => Generation::Read(pair),
            (None, Some(_)) => Generation::Bad,
            (None, None) => Generation::Absent,
        }
    }
}

impl Store {
    /// The Secret `name` in `namespace`; renewed by us with `renewal`, by somebody else without.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        keeper: Keeper,
        renewal: Option<Renewal>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            keeper,
            renewal,
            seen: None,
            served: Slot::default(),
            since: Since::default(),
            leave_alone_until: None,
            trouble: None,
        }
    }

    /// Watches and, where we are the issuer, renews; forever.
    ///
    /// Time is the wall clock, looked at often: monotonic clocks stand still while a machine is
    /// suspended, and certificates go on.
    pub async fn run(mut self, mut bundle: watch::Receiver<Option<Bundle>>) {
        const RESOURCE: &str = "secrets";
        let events = watcher::watch_object(self.api.clone(), &self.name);
        let mut events = Box::pin(events.backoff(Patience::default()));
        let mut ticks = tokio::time::interval(self.period());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(event) = events.next() => match event {
                    Ok(secret) => {
                        self.keeper.metrics.watch_synced(RESOURCE, true);
                        self.see(secret.as_ref());
                    }
                    Err(error) => {
                        failed(RESOURCE, &error, &self.keeper.metrics);
                        self.trouble = Some(format!("cannot watch the Secret: {}", words(&error)));
                    }
                },
                Ok(()) = bundle.changed() => {}
                _ = ticks.tick() => {}
            }
            let told = bundle.borrow_and_update().clone();
            self.turn(told, SystemTime::now()).await;
        }
    }

    fn period(&self) -> Duration {
        let settle = self.renewal.as_ref().map(|it| it.times.settle);
        (settle.unwrap_or(Duration::MAX) / 4)
            .clamp(Duration::from_millis(100), Duration::from_secs(5))
    }

    fn see(&mut self, secret: Option<&Secret>) {
        let Some(secret) = secret else {
            self.seen = Some(Contents::default());
            return;
        };
        let before = self.seen.take().unwrap_or_default();
        let (keeper, ours) = (&self.keeper, self.renewal.is_some());
        self.seen = Some(Contents {
            newest: Slot::read(secret, NEWEST, &before.newest, keeper, ours),
            previous: Slot::read(secret, PREVIOUS, &before.previous, keeper, ours),
            version: secret.resource_version(),
        });
    }

    /// Serves, and takes the next step.
    async fn turn(&mut self, told: Option<Bundle>, now: SystemTime) {
        let common = told.as_ref().map(Bundle::common);
        let (newest, previous) = match &self.seen {
            Some(seen) => (seen.newest.clone(), seen.previous.clone()),
            None => (Slot::default(), Slot::default()),
        };
        let (newest_now, previous_now) = (newest.generation(), previous.generation());
        self.since
            .look(newest_now, previous_now, common.as_deref(), now);
        let served = self.served.clone();
        let known = Known {
            newest: newest_now,
            previous: previous_now,
            served: served.pair.as_deref(),
            bundle: common.as_deref(),
            covered_since: self.since.covered(),
            alone_since: self.since.alone(),
            now,
        };
        self.publish(&known, &newest, &previous);
        // What was left for something better is nothing that anybody must go on trusting.
        let served = self.served.clone();
        let known = Known {
            served: served.pair.as_deref(),
            ..known
        };
        let written = self.write(&known, told.as_ref());
        if tokio::time::timeout(PATIENCE, written).await.is_err() {
            self.leave_alone_until = Some(Instant::now() + PAUSE);
            self.complain("cannot write: the API server does not answer".to_owned());
        }
        let trouble = self.trouble.as_deref().or(newest.why_not.as_deref());
        let trouble = trouble.unwrap_or("the Secret holds none yet");
        self.keeper.judge(common.as_deref(), Some(trouble), now);
    }

    fn publish(&mut self, known: &Known<'_>, newest: &Slot, previous: &Slot) {
        let serve = match &self.renewal {
            Some(Renewal { times, .. }) => plan::serve(known, times),
            None => plan::serve_only(known),
        };
        let slot = match serve {
            Serve::Newest => newest,
            Serve::Previous => previous,
            Serve::Last => return,
        };
        if let Some(pair) = &slot.pair {
            self.keeper.serve(pair);
            self.served = slot.clone();
        }
    }

    async fn write(&mut self, known: &Known<'_>, told: Option<&Bundle>) {
        let Some(renewal) = &self.renewal else {
            return;
        };
        let waiting = self
            .leave_alone_until
            .is_some_and(|until| Instant::now() < until);
        if waiting || self.seen.is_none() {
            return;
        }
        let written = match plan::step(known, &renewal.times) {
            Step::Keep => {
                let Some(told) = told else { return };
                let wanted = |entry: &[_]| plan::bundle(known, &renewal.times, entry);
                renewal.bundle.write(told, wanted).await.map(drop)
            }
            step => match self.replacement(step, renewal, known.now) {
                Ok(data) => self.put(data).await,
                Err(error) => return self.complain(format!("cannot issue a certificate: {error}")),
            },
        };
        match written {
            Ok(()) => (self.trouble, self.leave_alone_until) = (None, None),
            Err(error) => {
                let jitter = fastrand::u64(..PAUSE.as_millis() as u64);
                let pause = PAUSE + Duration::from_millis(jitter);
                self.leave_alone_until = Some(Instant::now() + pause);
                self.complain(format!("cannot write: {}", words_of(&error)));
            }
        }
    }

    /// What to write for a step; `null` deletes.
    fn replacement(
        &self,
        step: Step,
        Renewal { names, times, .. }: &Renewal,
        now: SystemTime,
    ) -> Result<serde_json::Value, rcgen::Error> {
        let mut data = serde_json::Map::new();
        let mut put = |keys: [&str; 3], texts: Option<Texts>| {
            let bytes = match texts {
                None => [json!(null), json!(null), json!(null)],
                Some(Texts { cert, key, ca }) => [cert, key, ca].map(|it| json!(ByteString(it))),
            };
            data.extend(keys.map(str::to_owned).into_iter().zip(bytes));
        };
        let newest = self
            .seen
            .as_ref()
            .and_then(|seen| seen.newest.texts.clone());
        match step {
            Step::Keep => {}
            Step::DropPrevious => put(PREVIOUS, None),
            Step::Replace { previous } => {
                put(NEWEST, Some(issue(names, now, times.life)?));
                match previous {
                    Former::Absent => put(PREVIOUS, None),
                    Former::Stored => {}
                    Former::Served => put(PREVIOUS, self.served.texts.clone()),
                }
            }
            Step::Rotate => {
                put(NEWEST, Some(issue(names, now, times.life)?));
                put(PREVIOUS, newest);
            }
        }
        Ok(data.into())
    }

    /// Writes if nobody else has written since we looked; otherwise looks again.
    async fn put(&mut self, data: serde_json::Value) -> Result<(), kube::Error> {
        let version = self.seen.as_ref().and_then(|seen| seen.version.as_ref());
        let written = if let Some(version) = version {
            let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
            let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
            self.api.patch(&self.name, &parameters, &patch).await
        } else {
            let secret = fresh(&self.name, data)?;
            self.api.create(&PostParams::default(), &secret).await
        };
        let metrics = &self.keeper.metrics;
        match written {
            Ok(secret) => {
                metrics.secret_write(Attempt::Ok);
                tracing::info!(secret = self.name, "Wrote certificates.");
                self.see(Some(&secret));
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                metrics.secret_write(Attempt::Conflict);
                let secret = self.api.get_opt(&self.name).await?;
                self.see(secret.as_ref());
                Ok(())
            }
            Err(error) => {
                metrics.secret_write(Attempt::Failed);
                Err(error)
            }
        }
    }

    fn complain(&mut self, why: String) {
        if self.trouble.as_ref() != Some(&why) {
            tracing::warn!(secret = self.name, "{why}");
            self.trouble = Some(why);
        }
    }
}

/// Without a type, as the chart writes it: types cannot be changed, and whoever applies a manifest
/// with another one would fail for good.
fn fresh(name: &str, data: serde_json::Value) -> Result<Secret, kube::Error> {
    let data: BTreeMap<String, Option<ByteString>> =
        serde_json::from_value(data).map_err(kube::Error::SerdeError)?;
    let data = data.into_iter().filter_map(|(key, it)| Some((key, it?)));
    let mut secret = Secret {
        data: Some(data.collect()),
        ..Secret::default()
    };
    secret.metadata.name = Some(name.to_owned());
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{day, days, keeper, texts};
    use super::*;

    /// As `kubectl create secret tls` makes it, or somebody who writes half a Secret.
    #[test]
    fn a_pair_of_ours_without_its_authority_is_of_no_use() {
        let Texts { cert, key, .. } = texts(day(1), days(9));
        let data = [("tls.crt", cert), ("tls.key", key), ("ca.crt", Vec::new())];
        let data = data.map(|(key, bytes)| (key.to_owned(), ByteString(bytes)));
        let secret = Secret {
            data: Some(data.into()),
            ..Secret::default()
        };
        let read = |ours| Slot::read(&secret, NEWEST, &Slot::default(), &keeper(), ours);
        assert!(matches!(read(true).generation(), Generation::Bad));
        assert_eq!(read(true).why_not.as_deref(), Some("ca.crt is empty"));
        assert!(matches!(read(false).generation(), Generation::Read(_)));
    }

    #[test]
    fn a_fresh_secret_has_the_type_that_manifests_without_one_have() {
        let data = json!({"tls.crt": ByteString(b"x".to_vec()), "tls.key": null});
        let secret = fresh("kaos-webhook-tls", data).unwrap();
        assert_eq!((secret.type_, secret.data.unwrap().len()), (None, 1));
    }
}
