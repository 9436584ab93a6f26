//! A pod as the API server sends it, no more of it than we look at.
//!
//! Of a pod's environment, which holds keys, nothing is read; and what reads all the types of
//! Kubernetes would be a tenth of the program.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

/// `v1/Pod`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ApiPod {
    #[serde(default)]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: Option<Spec>,
    #[serde(default)]
    pub(super) status: Option<Status>,
}

/// `PodSpec`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) containers: Vec<Container>,
}

/// `Container`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
}

/// `PodStatus`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    #[serde(rename = "containerStatuses")]
    pub(super) containers: Option<Vec<ContainerStatus>>,
    #[serde(rename = "initContainerStatuses")]
    pub(super) init: Option<Vec<ContainerStatus>>,
    #[serde(rename = "ephemeralContainerStatuses")]
    pub(super) ephemeral: Option<Vec<ContainerStatus>>,
}

/// `ContainerStatus`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    /// `containerd://<id>`, once there is one.
    #[serde(default, rename = "containerID")]
    pub(super) container_id: Option<String>,
}

impl kube::Resource for ApiPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_of_all_containers_are_read_by_the_names_of_the_wire() {
        let status = |name: &str| json!([{"name": name, "containerID": format!("c://{name}")}]);
        let pod: ApiPod = serde_json::from_value(json!({
            "metadata": {"uid": "u"},
            "spec": {"containers": [{"name": "a", "env": [{"name": "KEY", "value": "k"}]}]},
            "status": {"containerStatuses": status("a"), "initContainerStatuses": status("b"),
                       "ephemeralContainerStatuses": status("c")},
        }))
        .unwrap();
        assert!(!format!("{pod:?}").contains("KEY"));
        let status = pod.status.unwrap();
        let lists = [status.containers, status.init, status.ephemeral];
        let ids: Vec<_> = lists.into_iter().flatten().flatten().collect();
        let ids: Vec<_> = ids.iter().map(|it| it.container_id.as_deref()).collect();
        assert_eq!(ids, [Some("c://a"), Some("c://b"), Some("c://c")]);
    }
}
