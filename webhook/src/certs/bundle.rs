//! Whom API servers are told to trust: the `caBundle`s of one webhook configuration.

use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::pair::Authority;
use crate::metrics::{Attempt, Metrics};
use crate::watch::{Patience, failed};

/// What one webhook configuration says.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    version: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    /// Empty where there is nothing, or nothing that can be read.
    authorities: Vec<Authority>,
}

impl Bundle {
    fn read(configuration: &MutatingWebhookConfiguration) -> Self {
        let webhooks = configuration.webhooks.iter().flatten();
        let entries = webhooks.map(|webhook| {
            let pem = webhook.client_config.ca_bundle.as_ref();
            let authorities = pem.and_then(|pem| Authority::read_all(&pem.0).ok());
            Entry {
                name: webhook.name.clone(),
                authorities: authorities.unwrap_or_default(),
            }
        });
        Self {
            version: configuration.resource_version().unwrap_or_default(),
            entries: entries.collect(),
        }
    }

    /// Those that all entries trust.
    #[must_use]
    pub fn common(&self) -> Vec<Authority> {
        let Some((first, others)) = self.entries.split_first() else {
            return Vec::new();
        };
        let everywhere = |it: &&Authority| others.iter().all(|e| e.authorities.contains(it));
        first
            .authorities
            .iter()
            .filter(everywhere)
            .cloned()
            .collect()
    }

    /// A JSON Patch that writes what `wanted` says for each entry's authorities; none if it wants
    /// no change. It fails if somebody else was faster.
    fn patch<F>(&self, wanted: F) -> Option<serde_json::Value>
    where
        F: Fn(&[Authority]) -> Option<Vec<Authority>>,
    {
        let mut operations =
            vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": self.version})];
        for (index, entry) in self.entries.iter().enumerate() {
            let Some(wanted) = wanted(&entry.authorities) else {
                continue;
            };
            let pem: String = wanted.iter().map(Authority::pem).collect();
            let place = format!("/webhooks/{index}");
            operations.extend([
                json!({"op": "test", "path": format!("{place}/name"), "value": entry.name}),
                json!({
                    "op": "add",
                    "path": format!("{place}/clientConfig/caBundle"),
                    "value": BASE64.encode(pem),
                }),
            ]);
        }
        (operations.len() > 1).then_some(operations.into())
    }
}

/// Writes one webhook configuration.
#[derive(Clone, Debug)]
pub struct Writer {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// Writes the configuration called `name`.
    #[must_use]
    pub fn new(client: Client, name: &str, metrics: Arc<Metrics>) -> Self {
        Self {
            api: Api::all(client),
            name: name.to_owned(),
            metrics,
        }
    }

    /// Writes what `wanted` says; says what is there then, or none if there was nothing to do or
    /// somebody else was faster.
    pub async fn write<F>(&self, bundle: &Bundle, wanted: F) -> Result<Option<Bundle>, kube::Error>
    where
        F: Fn(&[Authority]) -> Option<Vec<Authority>>,
    {
        let Some(patch) = bundle.patch(wanted) else {
            return Ok(None);
        };
        let patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
        let patch = Patch::Json::<()>(patch);
        let parameters = PatchParams::default();
        let written = self.api.patch(&self.name, &parameters, &patch).await;
        match written {
            Ok(written) => {
                self.metrics.bundle_write(Attempt::Ok);
                tracing::info!(name = self.name, "Wrote the caBundle.");
                Ok(Some(Bundle::read(&written)))
            }
            // A failed test is 422.
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => {
                self.metrics.bundle_write(Attempt::Conflict);
                Ok(None)
            }
            Err(error) => {
                self.metrics.bundle_write(Attempt::Failed);
                Err(error)
            }
        }
    }
}

/// Watches the webhook configuration called `name`, forever. While the API server is away, what
/// was seen last stays.
pub async fn observe(
    client: Client,
    name: String,
    metrics: Arc<Metrics>,
    seen: watch::Sender<Option<Bundle>>,
) {
    const RESOURCE: &str = "mutatingwebhookconfigurations";
    let api = Api::<MutatingWebhookConfiguration>::all(client);
    let mut events = Box::pin(watcher::watch_object(api, &name).backoff(Patience::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(configuration) => {
                metrics.watch_synced(RESOURCE, true);
                let _ = seen.send_replace(configuration.as_ref().map(Bundle::read));
            }
            Err(error) => failed(RESOURCE, &error, &metrics),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{day, days, pair};
    use super::*;

    fn configuration(bundles: &[Option<&str>]) -> MutatingWebhookConfiguration {
        let webhooks = bundles.iter().enumerate().map(|(i, pem)| {
            json!({
                "name": format!("w{i}.kaos.tools"),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {"caBundle": pem.map(|pem| BASE64.encode(pem))},
            })
        });
        let configuration = json!({
            "metadata": {"name": "w", "resourceVersion": "7"},
            "webhooks": webhooks.collect::<Vec<_>>(),
        });
        serde_json::from_value(configuration).unwrap()
    }

    #[test]
    fn only_what_all_entries_trust_is_common() {
        let (one, other) = (pair(day(1), days(9)), pair(day(2), days(9)));
        let (a, b) = (one.authorities()[0].pem(), other.authorities()[0].pem());
        let both = format!("{a}{b}");
        let common = |bundles: &[Option<&str>]| Bundle::read(&configuration(bundles)).common();
        assert_eq!(common(&[Some(&both)]).len(), 2);
        assert_eq!(common(&[Some(&both), Some(&b)]), other.authorities());
        assert!(common(&[Some(&both), None]).is_empty());
        assert!(common(&[Some("nonsense")]).is_empty());
        assert!(common(&[]).is_empty());
    }

    #[test]
    fn a_patch_touches_only_entries_that_want_it_and_fails_when_late() {
        let pair = pair(day(1), days(9));
        let pem = pair.authorities()[0].pem();
        let bundle = Bundle::read(&configuration(&[Some(&pem), None]));
        let wanted = |told: &[Authority]| told.is_empty().then(|| pair.authorities().to_vec());
        let patch = bundle.patch(wanted).unwrap();
        let expected = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "test", "path": "/webhooks/1/name", "value": "w1.kaos.tools"},
            {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": BASE64.encode(&pem)},
        ]);
        assert_eq!(patch, expected);
        assert!(bundle.patch(|_| None).is_none());
    }
}
