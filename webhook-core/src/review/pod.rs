//! The parts of a pod that the decision looks at. All else is passed over unread.

use serde::Deserialize;

use super::{Map, Present, Text};

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
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) generate_name: Option<Text<'a>>,
    /// Empty at creation by some clients: the request's is the truth.
    #[serde(borrow, default)]
    pub(crate) namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) labels: Option<Map<'a>>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<Map<'a>>,
    #[serde(borrow, default)]
    pub(crate) owner_references: Option<Vec<Owner<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Owner<'a> {
    #[serde(borrow, default)]
    pub(crate) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
    #[serde(default)]
    pub(crate) controller: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec<'a> {
    #[serde(borrow, default)]
    pub(crate) containers: Option<Vec<Container<'a>>>,
    #[serde(borrow, default)]
    pub(crate) init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow, default)]
    pub(crate) volumes: Option<Vec<Volume<'a>>>,
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
    pub(crate) name: Text<'a>,
    /// None if absent or null: both want a whole list added.
    #[serde(borrow, default)]
    pub(crate) env: Option<Vec<Variable<'a>>>,
    #[serde(borrow, default)]
    pub(crate) env_from: Option<Vec<EnvFrom<'a>>>,
    #[serde(borrow, default)]
    pub(crate) command: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    pub(crate) args: Option<Vec<Text<'a>>>,
    #[serde(default)]
    pub(crate) ports: Option<Vec<Port>>,
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
    #[serde(default)]
    pub(crate) value_from: Option<Present>,
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
    /// A label's value.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.labels.as_ref()?.get(name)
    }

    /// An annotation's value.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.annotations.as_ref()?.get(name)
    }
}
