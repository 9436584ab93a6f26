//! Reads what users have at hand: manifests, and what `kubectl get -o yaml` prints.

use serde::Deserialize as _;
use serde_json::Value;

use crate::facts::{ComponentFacts, Kind, NamespaceFacts};

/// Why a text cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// No YAML or JSON; says where.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// Some other kind of object.
    #[error("a {0} is no Pod and no List of pods (try kubectl get pod -o yaml)")]
    NoPod(String),
    /// Nothing is there.
    #[error("no pod is there")]
    Empty,
    /// Fields of the wrong type.
    #[error("not of a pod's shape: {0}")]
    OddPod(String),
    /// A Namespace was wanted.
    #[error("not a Namespace")]
    NoNamespace,
    /// A custom resource of KAOS was wanted.
    #[error("not an Agent, MCPServer, ModelAPI or MemoryStore")]
    NoComponent,
}

/// All pods, lists taken apart.
pub(super) fn pods(text: &str) -> Result<Vec<Value>, ExplainError> {
    let mut pods = Vec::new();
    for document in documents(text)? {
        match kind(&document) {
            "Pod" => pods.push(document),
            "List" | "PodList" => {
                let items = document["items"].as_array();
                for item in items.into_iter().flatten() {
                    // Items of a PodList have no kind of their own.
                    match kind(item) {
                        "Pod" | "" => pods.push(item.clone()),
                        other => return Err(ExplainError::NoPod(other.to_owned())),
                    }
                }
            }
            other => return Err(ExplainError::NoPod(other.to_owned())),
        }
    }
    if pods.is_empty() {
        return Err(ExplainError::Empty);
    }
    Ok(pods)
}

/// Name and facts of a Namespace, from YAML or JSON.
pub fn namespace_from_text(text: &str) -> Result<(String, NamespaceFacts), ExplainError> {
    let all = documents(text)?;
    let namespace = all.iter().find(|it| kind(it) == "Namespace");
    let metadata = &namespace.ok_or(ExplainError::NoNamespace)?["metadata"];
    let name = metadata["name"].as_str().ok_or(ExplainError::NoNamespace)?;
    let strings = |map: &'static str| {
        let map = metadata[map].as_object().into_iter().flatten();
        map.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    };
    let facts = NamespaceFacts::new(strings("labels"), strings("annotations"));
    Ok((name.to_owned(), facts))
}

/// Kind, namespace, name and facts of a custom resource of KAOS, from YAML or JSON.
pub fn component_from_text(
    text: &str,
) -> Result<(Kind, String, String, ComponentFacts), ExplainError> {
    let all = documents(text)?;
    let mut known = all.iter().filter_map(|it| {
        let kind = Kind::parse(&kind(it).to_ascii_lowercase())?;
        let name = it["metadata"]["name"].as_str()?;
        let namespace = it["metadata"]["namespace"].as_str().unwrap_or("default");
        let facts = ComponentFacts::from_spec(kind, &it["spec"]);
        Some((kind, namespace.to_owned(), name.to_owned(), facts))
    });
    known.next().ok_or(ExplainError::NoComponent)
}

fn kind(document: &Value) -> &str {
    document["kind"].as_str().unwrap_or_default()
}

fn documents(text: &str) -> Result<Vec<Value>, ExplainError> {
    serde_norway::Deserializer::from_str(text)
        .map(|document| {
            Value::deserialize(document).map_err(|error| ExplainError::Yaml(error.to_string()))
        })
        .filter(|document| *document != Ok(Value::Null))
        .collect()
}
