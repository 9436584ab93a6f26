//! Namespaces: which are opted in, and what their annotations wish.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use kube::{Client, ResourceExt as _};

use super::{Change, Patience, Shared, follow};
use crate::manifest;
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use webhook_core::NamespaceFacts;

/// Follows all namespaces, by their metadata alone, forever. `home` is the webhook's own.
pub async fn run(
    client: Client,
    facts: Shared,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    home: String,
) {
    let api = Api::<PartialObjectMeta<Namespace>>::all(client);
    let events = watcher(api, Config::default()).backoff(Patience::default());
    follow(
        events,
        "namespaces",
        &metrics,
        |it| trim(&it, &home),
        |change| {
            if matches!(change, Change::All(_)) {
                readiness.set(Condition::Namespaces, Ok(()));
            }
            apply(&facts, change);
        },
    )
    .await;
}

/// Labels of a namespace that API servers never ask about are as good as none: whoever counts
/// missed pods would count those for good.
pub(super) fn trim(
    namespace: &PartialObjectMeta<Namespace>,
    home: &str,
) -> (String, NamespaceFacts) {
    let pair = |(key, value): (&'_ String, &'_ String)| (key.clone(), value.clone());
    let excluded = manifest::excludes(&namespace.name_any(), namespace.labels(), home);
    let labels: Vec<_> = namespace.labels().iter().map(pair).collect();
    let annotations: Vec<_> = namespace.annotations().iter().map(pair).collect();
    let facts = NamespaceFacts::new(
        labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
        annotations
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    );
    let facts = if excluded { facts.excluded() } else { facts };
    (namespace.name_any(), facts)
}

pub(super) fn apply(facts: &Shared, change: Change<(String, NamespaceFacts)>) {
    match change {
        Change::All(all) => {
            let all = || all.iter().map(|(name, it)| (name.as_str(), it.clone()));
            facts.rcu(|facts| facts.with_all_namespaces(all()));
        }
        Change::One((name, it)) => drop(facts.rcu(|facts| facts.with_namespace(&name, it.clone()))),
        Change::Gone((name, _)) => drop(facts.rcu(|facts| facts.without_namespace(&name))),
        // Namespaces always exist; an API server that denies it is not to be believed.
        Change::NoSuchResource => {}
    }
}
