//! Says in words what would be injected into a pod, and where each value comes from.

mod input;
mod report;

use serde_json::Value;

pub use input::{ExplainError, component_from_text, namespace_from_text};

use self::report::Assumed;
use crate::decision;
use crate::decision::plan::{self, WhyNot};
use crate::facts::{Facts, NamespaceFacts};
use crate::names;
use crate::review::pod::Pod;

/// A report on each pod in `pods`: YAML or JSON, one pod, several documents or a `List`.
///
/// A namespace that `facts` does not know counts as opted in, without annotations, and where the
/// settings are not known the defaults hold; the report says so. What a pod's own annotation says
/// of its creation comes first. The reasons are those of [`crate::Decision`], by the same code.
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
    let assumed = Assumed {
        settings: !facts.settings_known(),
        namespace: facts.namespace(namespace).is_none(),
    };
    let facts = if assumed.namespace {
        let opted_in = NamespaceFacts::new([(names::INJECT, "enabled")], []);
        &facts.with_namespace(namespace, opted_in)
    } else {
        facts
    };
    let mut plan = plan::plan(&pod, namespace, facts);
    if let Some(doubt) = decision::doubt(&plan, &pod, text.len()) {
        plan.why_not = Some(WhyNot::Doubt(doubt));
        plan.containers.clear();
        plan.marks.clear();
    }
    let mut out = report::head(&plan, &pod, namespace);
    // Only an API server gives one.
    if object["metadata"]["uid"].is_string() {
        report::write_created(&mut out, &pod, facts.config_hash());
    }
    report::write_assumed(&mut out, assumed);
    report::write_plan(&mut out, &plan);
    Ok(out)
}
