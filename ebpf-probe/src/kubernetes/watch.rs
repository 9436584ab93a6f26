//! Asks the API server for the pods of this node and for what namespaces say, and nothing else.
//!
//! Two watches: no list of the cluster's pods, no look-up for a pod's owners. While the API server
//! is away what was known last holds.

use std::collections::HashSet;

use anyhow::Context as _;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use kube::{Client, ResourceExt as _};
use webhook_core::NamespaceFacts;

use super::Node;
use super::pods::Pod;
use super::wire::ApiPod;
use crate::export::selfmetrics::{Cell, Counters, KUBERNETES_ERRORS};

/// What it takes to watch.
pub(crate) struct Watch {
    /// The node's name, as the API server has it.
    pub(crate) name: String,
    /// What is filled in.
    pub(crate) node: Node,
    /// The probe's own counters.
    pub(crate) counters: Counters,
    /// Called after each change that may change a decision or a name.
    pub(crate) changed: Box<dyn Fn() + Send + Sync>,
}

impl Watch {
    /// Watches for as long as it is polled. Fails at once where no API server is configured.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // kube takes the process's default. Whoever came first wanted the same.
        let provider = rustls::crypto::ring::default_provider();
        let _only_once = provider.install_default();
        let client = Client::try_default()
            .await
            .context("found neither a service account nor a kubeconfig")?;
        self.node.change(|pods| pods.set_node(&self.name));
        let of_this_node = Config::default().fields(&format!("spec.nodeName={}", self.name));
        let pods = watcher(Api::<ApiPod>::all(client.clone()), of_this_node);
        let namespaces = Api::<PartialObjectMeta<Namespace>>::all(client);
        let namespaces = watcher(namespaces, Config::default());
        let errors = |resource| self.counters.labelled(&KUBERNETES_ERRORS, resource);
        let (of_pods, of_namespaces) = (errors("pods"), errors("namespaces"));
        tokio::join!(
            self.pods(pods.default_backoff(), &of_pods),
            self.namespaces(namespaces.default_backoff(), &of_namespaces),
        );
        Ok(())
    }

    async fn pods(&self, events: impl Stream<Item = Result<Event<ApiPod>, Error>>, errors: &Cell) {
        let mut events = std::pin::pin!(events);
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(pod)) => {
                    if let Some(pod) = Pod::of(&pod) {
                        listed.insert(pod.uid.clone());
                        self.node.change(|pods| {
                            pods.set(pod);
                        });
                    }
                }
                Ok(Event::InitDone) => {
                    self.node
                        .change(|pods| pods.retain(|uid| listed.contains(uid)));
                    (self.changed)();
                }
                Ok(Event::Apply(pod)) => {
                    let mut is_news = false;
                    if let Some(pod) = Pod::of(&pod) {
                        self.node.change(|pods| is_news = pods.set(pod));
                    }
                    if is_news {
                        (self.changed)();
                    }
                }
                Ok(Event::Delete(pod)) => {
                    let uid = pod.metadata.uid.unwrap_or_default();
                    self.node.change(|pods| pods.remove(&uid));
                }
                Err(error) => failed("pods", &error, errors),
            }
        }
    }

    async fn namespaces(
        &self,
        events: impl Stream<Item = Result<Event<PartialObjectMeta<Namespace>>, Error>>,
        errors: &Cell,
    ) {
        let mut events = std::pin::pin!(events);
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(namespace)) => {
                    listed.insert(namespace.name_any());
                    self.take(&namespace);
                }
                Ok(Event::InitDone) => {
                    let keep = |name: &str| listed.contains(name);
                    self.node.change(|pods| pods.retain_namespaces(keep));
                    (self.changed)();
                }
                Ok(Event::Apply(namespace)) => {
                    if self.take(&namespace) {
                        (self.changed)();
                    }
                }
                Ok(Event::Delete(namespace)) => {
                    self.node
                        .change(|pods| pods.remove_namespace(&namespace.name_any()));
                    (self.changed)();
                }
                Err(error) => failed("namespaces", &error, errors),
            }
        }
    }

    /// Takes a namespace up; whether anything that matters of it is new.
    fn take(&self, namespace: &PartialObjectMeta<Namespace>) -> bool {
        let labels = namespace.labels().iter();
        let annotations = namespace.annotations().iter();
        let facts = NamespaceFacts::new(
            labels.map(|(key, value)| (key.as_str(), value.as_str())),
            annotations.map(|(key, value)| (key.as_str(), value.as_str())),
        );
        let mut is_news = false;
        let name = namespace.name_any();
        self.node
            .change(|pods| is_news = pods.set_namespace(&name, facts));
        is_news
    }
}

/// Counts and says a failure. What cannot be read is quoted by the library, and may be a pod's
/// environment: only the kind of failure is said.
fn failed(resource: &'static str, error: &Error, errors: &Cell) {
    errors.add(1);
    let (Error::InitialListFailed(inner)
    | Error::WatchStartFailed(inner)
    | Error::WatchFailed(inner)) = error
    else {
        tracing::warn!(resource, "cannot watch; what was known last holds");
        return;
    };
    let why = match inner {
        kube::Error::SerdeError(_) => "the API server's answer cannot be read".to_owned(),
        other => other.to_string(),
    };
    tracing::warn!(resource, why, "cannot watch; what was known last holds");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;
    use probe_common::maps::{POLICY_FULL, POLICY_OFF};
    use serde_json::{Value, json};

    use super::*;
    use crate::discover::cgroup::Place;

    fn watch() -> (Watch, Arc<AtomicUsize>) {
        let changes = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&changes);
        let watch = Watch {
            name: "n".to_owned(),
            node: Node::default(),
            counters: Counters::default(),
            changed: Box::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
            }),
        };
        (watch, changes)
    }

    fn pod(uid: &str) -> ApiPod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "agents", "uid": uid,
                         "labels": {"app": "agent", "agent": "a"}},
            "spec": {"containers": [{"name": "agent"}]},
        }))
        .unwrap()
    }

    fn namespace(labels: &Value) -> PartialObjectMeta<Namespace> {
        serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": "agents", "labels": labels},
        }))
        .unwrap()
    }

    fn policy(watch: &Watch, uid: &str) -> Option<u32> {
        let place = Place {
            pod: Some(uid.to_owned()),
            container: None,
        };
        watch.node.known(&place).map(|known| known.policy)
    }

    #[tokio::test]
    async fn lists_and_changes_are_taken_up() {
        let (watch, changes) = watch();
        let errors = Cell::default();
        let pods = vec![
            Ok(Event::Init),
            Ok(Event::InitApply(pod("1"))),
            Ok(Event::InitApply(pod("2"))),
            Ok(Event::InitDone),
            Ok(Event::Apply(pod("2"))),
            Ok(Event::Delete(pod("1"))),
            Err(Error::NoResourceVersion),
        ];
        watch.pods(stream::iter(pods), &errors).await;
        assert_eq!(
            (policy(&watch, "1"), policy(&watch, "2")),
            (None, Some(POLICY_OFF))
        );
        // The list; what came again was no news, and what went needs no look.
        assert_eq!(changes.load(Ordering::Relaxed), 1);
        assert_eq!(errors.get(), 1);

        let label = json!({"telemetry.kaos.tools/inject": "enabled"});
        let namespaces = vec![Ok(Event::Apply(namespace(&label)))];
        watch.namespaces(stream::iter(namespaces), &errors).await;
        assert_eq!(policy(&watch, "2"), Some(POLICY_FULL));
        let namespaces = vec![Ok(Event::Apply(namespace(&json!({}))))];
        watch.namespaces(stream::iter(namespaces), &errors).await;
        assert_eq!(policy(&watch, "2"), Some(POLICY_OFF));
        assert_eq!(changes.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_list_after_an_outage_replaces_what_was_known() {
        let (watch, _) = watch();
        let errors = Cell::default();
        let list = |uid| {
            vec![
                Ok(Event::Init),
                Ok(Event::InitApply(pod(uid))),
                Ok(Event::InitDone),
            ]
        };
        watch.pods(stream::iter(list("1")), &errors).await;
        watch.pods(stream::iter(list("2")), &errors).await;
        assert_eq!(
            (policy(&watch, "1"), policy(&watch, "2")),
            (None, Some(POLICY_OFF))
        );
    }
}
