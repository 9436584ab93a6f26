//! Says in words what would be injected into a pod, and where each value comes from.

mod input;
mod report;

use serde_json::Value;

pub use input::{ExplainError, component_from_text, namespace_from_text};

use crate::decision::plan;
use crate::facts::{Facts, NamespaceFacts};
use crate::names;
use crate::review::pod::Pod;

/// A report on each pod in `pods`: YAML or JSON, one pod, several documents or a `List`.
///
/// A namespace that `facts` does not know counts as opted in, without annotations, and the report
/// says so. The reasons are those of [`crate::Decision`], by the same code.
pub fn explain(pods: &str, facts: &Facts) -> Result<String, ExplainError> {
    let pods = input::pods(pods)?;
    let reports: Result<Vec<_>, _> = pods.iter().map(|pod| one(pod, facts)).collect();
    Ok(reports?.join("\n"))
}

fn one(object: &Value, facts: &Facts) -> Result<String, ExplainError> {
    let text = object.to_string();
    let pod: Pod<'_> =
        serde_json::from_str(&text).map_err(|error| ExplainError::OddPod(error.to_string()))?;
    let namespace = pod.metadata.as_ref().and_then(|it| it.namespace.as_deref());
    let namespace = namespace.filter(|it| !it.is_empty()).unwrap_or("default");
    let assumed = facts.namespace(namespace).is_none();
    let facts = if assumed {
        let opted_in = NamespaceFacts::new([(names::INJECT, "enabled")], []);
        &facts.with_namespace(namespace, opted_in)
    } else {
        facts
    };
    let plan = plan::plan(&pod, namespace, facts);
    Ok(report::write(&plan, &pod, namespace, assumed))
}
