//! Settings, from a `ConfigMap` or a file: the last good ones hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};

use super::{Patience, Shared, failed};
use crate::metrics::{Attempt, Metrics};
use crate::readiness::{Condition, Readiness};
use webhook_core::Settings;

/// The key in the `ConfigMap`.
pub const KEY: &str = "config.yaml";

/// How often a file is read.
const PERIOD: Duration = Duration::from_secs(1);

/// Takes good settings into the facts and refuses others.
#[derive(Debug)]
pub struct Keeper {
    facts: Shared,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    /// What came last, good or not.
    last: Option<String>,
    any_good: bool,
}

impl Keeper {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(facts: Shared, metrics: Arc<Metrics>, readiness: Readiness) -> Self {
        Self {
            facts,
            metrics,
            readiness,
            last: None,
            any_good: false,
        }
    }

    /// Takes settings if they are good; says why they are not.
    pub fn offer(&mut self, text: &str) {
        if self.last.as_deref() == Some(text) {
            return;
        }
        self.last = Some(text.to_owned());
        match Settings::from_yaml(text) {
            Ok(settings) => self.take(&settings),
            Err(error) => self.refuse(&error.to_string()),
        }
    }

    /// Nobody gave any: the defaults hold until somebody does, the last good ones after that.
    fn none(&mut self) {
        if self.any_good {
            tracing::warn!("The settings are gone; the last good ones hold.");
        } else {
            self.take(&Settings::default());
        }
        self.last = None;
    }

    fn take(&mut self, settings: &Settings) {
        self.facts
            .rcu(|facts| facts.with_settings(settings.clone()));
        self.any_good = true;
        self.metrics.settings_read(Attempt::Ok);
        self.metrics.settings_generation.inc();
        let hash = settings.hash();
        tracing::info!(%hash, "Took settings.");
        self.readiness.set(Condition::Settings, Ok(()));
    }

    /// `why` has line and reason, and nothing of the text.
    fn refuse(&self, why: &str) {
        self.metrics.settings_read(Attempt::Failed);
        if self.any_good {
            tracing::error!(%why, "Refused settings; the last good ones hold.");
        } else {
            self.readiness.set(Condition::Settings, Err(why.to_owned()));
        }
    }
}

/// Follows one `ConfigMap` forever.
pub async fn from_config_map(client: Client, namespace: &str, name: &str, mut keeper: Keeper) {
    const RESOURCE: &str = "configmaps";
    let api = Api::<ConfigMap>::namespaced(client, namespace);
    let mut events = Box::pin(watcher::watch_object(api, name).backoff(Patience::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(map) => {
                keeper.metrics.watch_synced(RESOURCE, true);
                let data = map.as_ref().and_then(|map| map.data.as_ref());
                match data.and_then(|data| data.get(KEY)) {
                    Some(text) => keeper.offer(text),
                    None => keeper.none(),
                }
            }
            Err(error) => failed(RESOURCE, &error, &keeper.metrics),
        }
    }
}

/// Follows one file forever, by its contents: a mounted `ConfigMap` changes by a symbolic link.
pub async fn from_file(path: PathBuf, mut keeper: Keeper) {
    let mut ticks = tokio::time::interval(PERIOD);
    let mut complained = false;
    loop {
        ticks.tick().await;
        match read(&path) {
            Ok(text) => {
                complained = false;
                keeper.offer(&text);
            }
            Err(error) if !complained => {
                complained = true;
                keeper.refuse(&format!("{}: {error}", path.display()));
            }
            Err(_the_same) => {}
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    // More than a ConfigMap can hold.
    std::fs::File::open(path)?
        .take(2 << 20)
        .read_to_string(&mut text)?;
    Ok(text)
}
