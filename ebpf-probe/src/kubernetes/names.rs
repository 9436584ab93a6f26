//! What a pod's processes are called.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pods::{Component, Pod};

/// Written by the Deployment controller: the end of the `ReplicaSet`'s name.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// What made a pod: the name of its resource attribute, and its own.
pub(super) type Workload = (&'static str, Box<str>);

/// Names for the resource of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Names {
    /// What the service is called unless the process itself says it.
    pub(crate) service: String,
    /// The KAOS resource that it belongs to.
    pub(crate) kaos_resource: Option<String>,
    /// Resource attributes.
    pub(crate) attributes: Vec<(&'static str, String)>,
}

/// The workloads behind a pod, the nearest first, as far as the pod itself tells: the API server
/// is not asked.
pub(super) fn workloads(metadata: &ObjectMeta) -> Vec<Workload> {
    let owners = metadata.owner_references.iter().flatten();
    let Some(owner) = { owners }.find(|owner| owner.controller == Some(true)) else {
        return Vec::new();
    };
    let name = owner.name.as_str();
    let own = |attribute| (attribute, Box::from(name));
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let hash = metadata
                .labels
                .as_ref()
                .and_then(|it| it.get(TEMPLATE_HASH));
            let bare = hash.and_then(|hash| name.strip_suffix(hash.as_str())?.strip_suffix('-'));
            let deployment = bare.map(|it| ("k8s.deployment.name", Box::from(it)));
            let chain = [Some(own("k8s.replicaset.name")), deployment];
            chain.into_iter().flatten().collect()
        }
        "StatefulSet" => vec![own("k8s.statefulset.name")],
        "DaemonSet" => vec![own("k8s.daemonset.name")],
        "Job" => {
            // A CronJob names its jobs by the minute.
            let cron = name.rsplit_once('-').filter(|(_, minute)| {
                let digits = minute.bytes().all(|byte| byte.is_ascii_digit());
                digits && (8..=10).contains(&minute.len())
            });
            let cron = cron.map(|(cron, _)| ("k8s.cronjob.name", Box::from(cron)));
            let chain = [Some(own("k8s.job.name")), cron];
            chain.into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}

/// The names of a process in a container of a pod; `None` where it is not known which one.
pub(super) fn names(pod: &Pod, container: Option<&str>, node: &str) -> Names {
    let kaos_resource = pod.component.as_ref().and_then(|it| it.resource.clone());
    let mut attributes = vec![
        ("k8s.namespace.name", pod.namespace.to_string()),
        ("k8s.pod.name", pod.name.to_string()),
        ("k8s.pod.uid", pod.uid.to_string()),
        ("service.namespace", pod.namespace.to_string()),
    ];
    if !node.is_empty() {
        attributes.push(("k8s.node.name", node.to_owned()));
    }
    if let Some(container) = container {
        attributes.push(("k8s.container.name", container.to_owned()));
    }
    let workloads = pod.workloads.iter();
    attributes.extend(workloads.map(|(attribute, name)| (*attribute, name.to_string())));
    if let Some(name) = &kaos_resource {
        attributes.push(("kaos.resource.name", name.to_string()));
    }
    Names {
        service: service(pod),
        kaos_resource: kaos_resource.map(String::from),
        attributes,
    }
}

/// By the rules of the webhook: the annotation, the custom resource, the workload, the pod.
fn service(pod: &Pod) -> String {
    let of_kaos = pod
        .component
        .as_ref()
        .and_then(|Component { kind, resource }| Some(kind.kaos_service(resource.as_ref()?)));
    let workload = pod.workloads.last().map(|(_, name)| name.to_string());
    let said = pod.service_name.as_deref().map(str::to_owned);
    said.or(of_kaos)
        .or(workload)
        .unwrap_or_else(|| pod.name.to_string())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::super::pods::testing::{agent, pod};
    use super::*;

    fn owned(kind: &str, name: &str, hash: Option<&str>) -> Vec<(&'static str, String)> {
        let metadata = ObjectMeta {
            labels: hash.map(|hash| [(TEMPLATE_HASH.to_owned(), hash.to_owned())].into()),
            owner_references: Some(vec![OwnerReference {
                kind: kind.to_owned(),
                name: name.to_owned(),
                controller: Some(true),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        };
        let workloads = workloads(&metadata).into_iter();
        workloads
            .map(|(at, name)| (at, name.into_string()))
            .collect()
    }

    #[test]
    fn the_chain_of_owners_is_read_off_the_pod() {
        let of = |at: &'static str, name: &str| (at, name.to_owned());
        assert_eq!(
            owned("ReplicaSet", "agent-a-5d9", Some("5d9")),
            [
                of("k8s.replicaset.name", "agent-a-5d9"),
                of("k8s.deployment.name", "agent-a")
            ]
        );
        assert_eq!(
            owned("ReplicaSet", "lone", Some("5d9")),
            [of("k8s.replicaset.name", "lone")]
        );
        assert_eq!(
            owned("Job", "nightly-29384756", None),
            [
                of("k8s.job.name", "nightly-29384756"),
                of("k8s.cronjob.name", "nightly")
            ]
        );
        assert_eq!(owned("Job", "once-7", None), [of("k8s.job.name", "once-7")]);
        assert_eq!(owned("Node", "n", None), []);
    }

    #[test]
    fn a_service_is_called_as_the_webhook_calls_it() {
        let kaos = agent(&[], &["agent"]);
        assert_eq!(service(&kaos), "a");
        let said = agent(&[("telemetry.kaos.tools/service-name", "mine")], &["agent"]);
        assert_eq!(service(&said), "mine");
        let memory = pod(&[("app", "memorystore"), ("memorystore", "m")], &[], &[]);
        assert_eq!(service(&memory), "memorystore-m");
        let bare = pod(&[], &[], &[]);
        assert_eq!(service(&bare), "pod-x");
    }

    #[test]
    fn attributes_name_pod_container_and_resource() {
        let names = names(&agent(&[], &["agent"]), Some("agent"), "node-1");
        for (name, value) in [
            ("k8s.namespace.name", "agents"),
            ("k8s.pod.name", "pod-x"),
            ("k8s.pod.uid", "u-1"),
            ("k8s.node.name", "node-1"),
            ("k8s.container.name", "agent"),
            ("kaos.resource.name", "a"),
        ] {
            let found = names.attributes.iter().find(|(it, _)| *it == name);
            assert_eq!(found.map(|(_, it)| it.as_str()), Some(value), "{name}");
        }
        assert_eq!(names.kaos_resource.as_deref(), Some("a"));
    }
}
