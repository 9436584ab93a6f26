//! The parts of a pod that the decision looks at. All else is passed over unread.

use serde::Deserialize;

use super::{List, MAX_NAME_BYTES, Map, Name, Text};

/// A pod of more containers, init containers or not, is left alone.
const MAX_CONTAINERS: usize = 256;

/// A pod as received.
#[derive(Debug, Deserialize)]
pub(crate) struct Pod<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    pub(crate) spec: Spec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Name<'a>>,
    #[serde(borrow, default)]
    pub(crate) generate_name: Option<Name<'a>>,
    /// Empty at creation by some clients: the request's is the truth.
    #[serde(borrow, default)]
    pub(crate) namespace: Option<Name<'a>>,
    #[serde(borrow, default)]
    pub(crate) labels: Option<Map<'a>>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<Map<'a>>,
    #[serde(borrow, default)]
    pub(crate) owner_references: Option<List<Owner<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Owner<'a> {
    #[serde(borrow, default)]
    pub(crate) kind: Name<'a>,
    #[serde(borrow, default)]
    pub(crate) name: Name<'a>,
    #[serde(default)]
    pub(crate) controller: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec<'a> {
    #[serde(borrow, default)]
    pub(crate) containers: Option<List<Container<'a>, MAX_CONTAINERS>>,
    #[serde(borrow, default)]
    pub(crate) init_containers: Option<List<Container<'a>, MAX_CONTAINERS>>,
    #[serde(borrow, default)]
    pub(crate) volumes: Option<List<Volume<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Volume<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Container<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Name<'a>,
    #[serde(borrow, default)]
    pub(crate) image: Option<Text<'a>>,
    /// None if absent or null: both want a whole list added.
    #[serde(borrow, default)]
    pub(crate) env: Option<List<Variable<'a>>>,
    #[serde(borrow, default)]
    pub(crate) env_from: Option<List<EnvFrom<'a>>>,
    #[serde(borrow, default)]
    pub(crate) command: Option<List<Text<'a>>>,
    #[serde(borrow, default)]
    pub(crate) args: Option<List<Text<'a>>>,
    #[serde(default)]
    pub(crate) ports: Option<List<Port>>,
    #[serde(borrow, default)]
    pub(crate) restart_policy: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variable<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) value: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) value_from: Option<ValueFrom<'a>>,
}

/// Where the kubelet takes a value from. All but fields of the pod are passed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValueFrom<'a> {
    #[serde(borrow, default)]
    pub(crate) field_ref: Option<FieldRef<'a>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldRef<'a> {
    #[serde(borrow, default)]
    pub(crate) field_path: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct EnvFrom<'a> {
    #[serde(borrow, default)]
    pub(crate) prefix: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Port {
    #[serde(default)]
    pub(crate) container_port: i64,
}

impl Pod<'_> {
    /// A label's value. None if no label can be so long.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        let value = self.metadata.as_ref()?.labels.as_ref()?.get(name)?;
        (value.len() <= MAX_NAME_BYTES).then_some(value)
    }

    /// An annotation's value.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.annotations.as_ref()?.get(name)
    }
}
