//! What `discover` knows of a process and the stitcher wants to know.

use crate::ids::ProcessId;

/// Facts of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// The path of its executable; empty when unknown.
    pub executable: String,
    /// The process that started it, when that is alive and known.
    pub parent: Option<ProcessId>,
    /// `AGENT_NAME` of its environment: it is a KAOS agent of this name.
    pub agent_name: Option<String>,
    /// `kaos.resource.name` of its `OTEL_RESOURCE_ATTRIBUTES`, or later of its pod.
    pub kaos_resource: Option<String>,
    /// Its own SDK reports the model calls that it makes: it was seen connected to where that
    /// exports them.
    pub reports_calls: bool,
}
