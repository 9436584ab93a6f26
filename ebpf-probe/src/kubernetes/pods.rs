//! The pods of this node, as small as they are needed.

use std::collections::HashMap;

use webhook_core::names::{
    CAPTURE, COMPONENT, CONTAINERS, EXCLUDE_CONTAINERS, INJECT, SERVICE_NAME,
};
use webhook_core::{Kind, NamespaceFacts, Settings};

use super::names::{self, Names, Workload};
use super::policy::{self, Capture, Verdict};
use super::wire::{ApiPod, ContainerStatus};

/// A kubelet runs no more pods by far.
const MOST_PODS: usize = 4096;

/// A pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pod {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) uid: Box<str>,
    pub(super) workloads: Vec<Workload>,
    /// None if no label says that it is a component.
    pub(super) component: Option<Component>,
    pub(super) capture: Option<Capture>,
    pub(super) opted_out: bool,
    pub(super) service_name: Option<Box<str>>,
    /// Names of its containers, those of its beginning left out.
    pub(super) containers: Vec<Box<str>>,
    /// Those of them that are not captured.
    left_out: Vec<Box<str>>,
    /// Names by id, as far as the kubelet told them.
    ids: Vec<(Box<str>, Box<str>)>,
}

/// What a pod runs, by its labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Component {
    pub(super) kind: Kind,
    /// The name of its custom resource; none for other products.
    pub(super) resource: Option<Box<str>>,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Pods {
    node: String,
    namespaces: HashMap<Box<str>, NamespaceFacts>,
    by_uid: HashMap<Box<str>, Pod>,
}

impl Pods {
    /// What is decided about a process in a pod, and what it is called; `None` if there is no
    /// such pod.
    pub(super) fn find(&self, uid: &str, container: Option<&str>) -> Option<(Verdict, Names)> {
        let pod = self.by_uid.get(uid)?;
        let name = container.and_then(|id| pod.container(id));
        let verdict = policy::decide(self.namespaces.get(&pod.namespace), pod, name);
        Some((verdict, names::names(pod, name, &self.node)))
    }

    pub(super) fn set_node(&mut self, name: &str) {
        name.clone_into(&mut self.node);
    }

    /// Whether that is news.
    pub(super) fn set_namespace(&mut self, name: &str, facts: NamespaceFacts) -> bool {
        if self.namespaces.get(name) == Some(&facts) {
            return false;
        }
        self.namespaces.insert(name.into(), facts);
        true
    }

    pub(super) fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    pub(super) fn retain_namespaces(&mut self, keep: impl Fn(&str) -> bool) {
        self.namespaces.retain(|name, _| keep(name));
    }

    /// Whether that is news. Heartbeats and the like are none.
    pub(super) fn set(&mut self, pod: Pod) -> bool {
        let known = self.by_uid.get(&pod.uid);
        if known == Some(&pod) || (known.is_none() && self.by_uid.len() >= MOST_PODS) {
            return false;
        }
        self.by_uid.insert(pod.uid.clone(), pod);
        true
    }

    pub(super) fn remove(&mut self, uid: &str) {
        self.by_uid.remove(uid);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.by_uid.retain(|uid, _| keep(uid));
    }
}

impl Pod {
    /// What matters of a pod; `None` without a uid, which no pod lacks.
    pub(super) fn of(pod: &ApiPod) -> Option<Self> {
        let metadata = &pod.metadata;
        let get = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
            map.as_ref().and_then(|map| map.get(key)).cloned()
        };
        let label = |key: &str| get(&metadata.labels, key);
        let annotation = |key: &str| get(&metadata.annotations, key);
        let spec = pod.spec.as_ref();
        let containers = spec.iter().flat_map(|spec| &spec.containers);
        let component = Component::of(&label);
        let mut small = Self {
            namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
            name: metadata.name.as_deref().unwrap_or_default().into(),
            uid: metadata.uid.as_deref()?.into(),
            workloads: names::workloads(metadata),
            capture: annotation(CAPTURE).and_then(|it| Capture::parse(&it)),
            opted_out: label(INJECT).or_else(|| annotation(INJECT)).as_deref() == Some("disabled"),
            service_name: annotation(SERVICE_NAME).map(Into::into),
            containers: containers.map(|it| it.name.as_str().into()).collect(),
            left_out: Vec::new(),
            ids: ids(pod),
            component,
        };
        let lists = (annotation(CONTAINERS), annotation(EXCLUDE_CONTAINERS));
        small.left_out = small.not_meant(lists.0.as_deref(), lists.1.as_deref());
        Some(small)
    }

    /// Whether a container is one of those that are meant. Those of the pod's beginning are.
    pub(super) fn means(&self, container: &str) -> bool {
        !self.left_out.iter().any(|it| **it == *container)
    }

    /// The name of a container, by its id.
    fn container(&self, id: &str) -> Option<&str> {
        let found = self.ids.iter().find(|(known, _)| **known == *id);
        found.map(|(_, name)| &**name)
    }

    /// As the webhook chooses: those that the user names; else, of what KAOS made, the
    /// component's own; else all but known sidecars.
    fn not_meant(&self, only: Option<&str>, never: Option<&str>) -> Vec<Box<str>> {
        let named = |list: Option<&str>, name: &str| {
            list.is_some_and(|list| list.split(',').any(|it| it.trim() == name))
        };
        let own = self.component.as_ref().and_then(Component::container);
        let sidecars = Settings::default().sidecars;
        let meant = |name: &str| {
            if named(never, name) {
                return false;
            }
            match (only, own) {
                (Some(_), _) => named(only, name),
                (None, Some(own)) => name == own,
                (None, None) => !sidecars.iter().any(|it| it == name),
            }
        };
        let containers = self.containers.iter();
        containers.filter(|name| !meant(name)).cloned().collect()
    }
}

impl Component {
    fn of(label: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let app = label("app").as_deref().and_then(Kind::parse);
        let app = app.filter(|kind| *kind != Kind::LlmServer);
        let resource = app.and_then(|kind| Some((kind, label(kind.as_str())?)));
        if let Some((kind, name)) = resource.filter(|(_, name)| !name.is_empty()) {
            let resource = Some(name.into());
            return Some(Self { kind, resource });
        }
        let kind = label(COMPONENT).as_deref().and_then(Kind::parse)?;
        Some(Self {
            kind,
            resource: None,
        })
    }

    /// The container that the KAOS operator makes.
    fn container(&self) -> Option<&'static str> {
        self.resource.as_ref()?;
        self.kind.kaos_container()
    }
}

/// Ids and names of all containers that the kubelet told of: `containerd://<id>`.
fn ids(pod: &ApiPod) -> Vec<(Box<str>, Box<str>)> {
    let status = pod.status.iter();
    let lists = status.flat_map(|status| [&status.containers, &status.init, &status.ephemeral]);
    let id = |status: &ContainerStatus| {
        let (_, id) = status.container_id.as_deref()?.split_once("://")?;
        Some((id.into(), status.name.as_str().into()))
    };
    lists.flatten().flatten().filter_map(id).collect()
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::json;

    use super::*;

    /// A pod with labels, annotations and containers; each container's id is its name.
    pub(crate) fn pod(
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
        containers: &[&str],
    ) -> Pod {
        let status = |name: &&str| {
            json!({"name": name, "containerID": format!("containerd://{name}"), "image": "i",
                   "imageID": "i", "ready": true, "restartCount": 0})
        };
        let pod = json!({
            "metadata": {
                "name": "pod-x", "namespace": "agents", "uid": "u-1",
                "labels": map(labels), "annotations": map(annotations),
            },
            "spec": {"containers": containers.iter().map(|it| json!({"name": it})).collect::<Vec<_>>()},
            "status": {"containerStatuses": containers.iter().map(status).collect::<Vec<_>>()},
        });
        Pod::of(&serde_json::from_value(pod).unwrap()).unwrap()
    }

    fn map<'a>(pairs: &[(&'a str, &'a str)]) -> HashMap<&'a str, &'a str> {
        pairs.iter().copied().collect()
    }

    /// An agent of KAOS.
    pub(crate) fn agent(annotations: &[(&str, &str)], containers: &[&str]) -> Pod {
        pod(&[("app", "agent"), ("agent", "a")], annotations, containers)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::agent;
    use super::*;

    fn opted_in() -> NamespaceFacts {
        NamespaceFacts::new([(INJECT, "enabled")], [])
    }

    #[test]
    fn a_process_is_found_by_uid_and_named_by_id() {
        let mut pods = Pods::default();
        pods.set_node("n");
        pods.set_namespace("agents", opted_in());
        pods.set(agent(&[], &["agent"]));
        let (verdict, names) = pods.find("u-1", Some("agent")).unwrap();
        assert_eq!(verdict.capture, Capture::Full);
        assert!(
            names
                .attributes
                .contains(&("k8s.container.name", "agent".to_owned()))
        );
        // A container that the kubelet has not told of yet.
        let (verdict, names) = pods.find("u-1", Some("other")).unwrap();
        assert_eq!(verdict.capture, Capture::Full);
        assert!(
            !names
                .attributes
                .iter()
                .any(|(name, _)| *name == "k8s.container.name")
        );
        assert!(pods.find("u-2", None).is_none());
        pods.remove_namespace("agents");
        assert_eq!(pods.find("u-1", None).unwrap().0.capture, Capture::Off);
        pods.remove("u-1");
        assert!(pods.find("u-1", None).is_none());
    }

    #[test]
    fn a_new_list_forgets_what_it_lacks() {
        let mut pods = Pods::default();
        pods.set(agent(&[], &["agent"]));
        pods.set_namespace("agents", opted_in());
        pods.retain(|uid| uid != "u-1");
        pods.retain_namespaces(|_| false);
        assert!(pods.find("u-1", None).is_none());
        assert!(pods.namespaces.is_empty());
    }

    #[test]
    fn pods_have_a_bound() {
        let mut pods = Pods::default();
        for number in 0..=MOST_PODS {
            let mut pod = agent(&[], &[]);
            pod.uid = number.to_string().into();
            pods.set(pod);
        }
        assert_eq!(pods.by_uid.len(), MOST_PODS);
    }
}
