//! Whose pod it is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// Written by the Deployment controller: the end of the `ReplicaSet`'s name.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The object that a user thinks of when a pod is meant: the workload, or the pod itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Such as `apps/v1`.
    pub api_version: Box<str>,
    /// Such as `Deployment`.
    pub kind: Box<str>,
    /// Its name, in the pod's namespace.
    pub name: Box<str>,
    /// Unknown for a Deployment, which the pod does not name.
    pub uid: Option<Box<str>>,
}

impl Owner {
    /// The owner of the pod with this metadata; none if the metadata lacks name or uid.
    ///
    /// A Deployment is told from its `ReplicaSet`'s name and needs no look-up.
    #[must_use]
    pub fn of_pod(meta: &ObjectMeta) -> Option<Self> {
        let references = meta.owner_references.as_deref().unwrap_or_default();
        let controller = references.iter().find(|it| it.controller == Some(true));
        let Some(controller) = controller else {
            return Some(Self {
                api_version: "v1".into(),
                kind: "Pod".into(),
                name: meta.name.as_deref()?.into(),
                uid: Some(meta.uid.as_deref()?.into()),
            });
        };
        Some(deployment(meta, controller).unwrap_or_else(|| Self {
            api_version: controller.api_version.as_str().into(),
            kind: controller.kind.as_str().into(),
            name: controller.name.as_str().into(),
            uid: Some(controller.uid.as_str().into()),
        }))
    }

    /// The resource's name in URLs, for workloads that can be rolled out anew.
    #[must_use]
    pub fn rollout(&self) -> Option<&'static str> {
        match (&*self.api_version, &*self.kind) {
            ("apps/v1", "Deployment") => Some("deployments"),
            ("apps/v1", "StatefulSet") => Some("statefulsets"),
            ("apps/v1", "DaemonSet") => Some("daemonsets"),
            _ => None,
        }
    }
}

fn deployment(meta: &ObjectMeta, controller: &OwnerReference) -> Option<Owner> {
    if (&*controller.api_version, &*controller.kind) != ("apps/v1", "ReplicaSet") {
        return None;
    }
    let hash = meta.labels.as_ref()?.get(TEMPLATE_HASH)?;
    let name = controller.name.strip_suffix(hash.as_str())?;
    Some(Owner {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: name.strip_suffix('-')?.into(),
        uid: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(controller: Option<(&str, &str, &str)>, hash: Option<&str>) -> ObjectMeta {
        ObjectMeta {
            name: Some("agent-a-5d9-x".to_owned()),
            uid: Some("u1".to_owned()),
            labels: hash.map(|hash| [(TEMPLATE_HASH.to_owned(), hash.to_owned())].into()),
            owner_references: controller.map(|(api_version, kind, name)| {
                vec![OwnerReference {
                    api_version: api_version.to_owned(),
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    uid: "u2".to_owned(),
                    controller: Some(true),
                    block_owner_deletion: None,
                }]
            }),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_deployment_is_found_behind_its_replica_set() {
        let meta = pod(Some(("apps/v1", "ReplicaSet", "agent-a-5d9")), Some("5d9"));
        let owner = Owner::of_pod(&meta).expect("an owner");
        assert_eq!((&*owner.kind, &*owner.name), ("Deployment", "agent-a"));
        assert_eq!(
            (owner.uid.clone(), owner.rollout()),
            (None, Some("deployments"))
        );
    }

    #[test]
    fn a_replica_set_of_nobody_stays_itself() {
        for (name, hash) in [
            ("agent-a-5d9", Some("other")),
            ("lone", None),
            ("5d9", Some("5d9")),
        ] {
            let meta = pod(Some(("apps/v1", "ReplicaSet", name)), hash);
            let owner = Owner::of_pod(&meta).expect("an owner");
            assert_eq!((&*owner.kind, &*owner.name), ("ReplicaSet", name));
            assert_eq!((owner.uid.as_deref(), owner.rollout()), (Some("u2"), None));
        }
    }

    #[test]
    fn a_bare_pod_is_its_own_owner_and_is_never_rolled_out() {
        let owner = Owner::of_pod(&pod(None, None)).expect("an owner");
        assert_eq!((&*owner.kind, owner.uid.as_deref()), ("Pod", Some("u1")));
        assert_eq!(owner.rollout(), None);
        assert_eq!(Owner::of_pod(&ObjectMeta::default()), None);
    }
}
