//! What a process's own environment and executable say of it, merged into a [`Resource`].

use probe_core::ids::ProcessId;
use probe_core::span::Value;
use uuid::{Uuid, uuid};

use super::keyvalue;
use super::resource::Resource;
use crate::kubernetes::Names;

/// The namespace that the conventions prescribe for a `service.instance.id` derived from an
/// inherent id (semantic conventions, registry, `service.instance.id`).
const INSTANCE_NAMESPACE: Uuid = uuid!("4d63009a-8d0f-11ee-aad7-4c796ed8e320");

/// What discovery found out about a process. Absent is `None`, never an empty string.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// The process's own `OTEL_SERVICE_NAME`.
    pub(crate) otel_service_name: Option<String>,
    /// The process's own `OTEL_RESOURCE_ATTRIBUTES`, still encoded.
    pub(crate) otel_resource_attributes: Option<String>,
    /// The base name of the executable.
    pub(crate) executable: Option<String>,
    /// The path of the executable, as the process's own mount namespace has it.
    pub(crate) executable_path: Option<String>,
    /// The script or module that an interpreter runs: `agent.py`, `pais.serve`.
    pub(crate) script: Option<String>,
    /// The redacted command line; `None` unless it was asked for, since keys stand in it.
    pub(crate) command_line: Option<String>,
    /// The user that runs it.
    pub(crate) owner: Option<String>,
    /// The parent's number.
    pub(crate) parent_pid: Option<u32>,
    /// When it started, RFC 3339.
    pub(crate) created: Option<String>,
    /// The container's id, 64 hexadecimal digits.
    pub(crate) container_id: Option<String>,
    /// What Kubernetes calls it.
    pub(crate) kubernetes: Option<Names>,
    /// `/proc/sys/kernel/random/boot_id`: makes [`ProcessId`] unique among hosts and boots.
    pub(crate) boot_id: String,
}

/// Builds the resource of a process.
///
/// An attribute of the process's own environment wins over what was observed, and
/// `OTEL_SERVICE_NAME` over `OTEL_RESOURCE_ATTRIBUTES` (OpenTelemetry specification, resource
/// SDK). `telemetry.*` is ours alone: it says who made the telemetry, and that is the probe.
pub(crate) fn resource(process: ProcessId, facts: &Facts) -> Resource {
    let mut resource = observed(process, facts);
    if let Some(list) = &facts.otel_resource_attributes {
        for (key, value) in keyvalue::parse(list).unwrap_or_default() {
            if !key.starts_with("telemetry.") && !value.is_empty() {
                resource.set(&key, Value::String(value));
            }
        }
    }
    if let Some(name) = facts.otel_service_name.as_ref().filter(|it| !it.is_empty()) {
        resource.set("service.name", Value::String(name.clone()));
    }
    add_telemetry(&mut resource);
    resource
}

/// Adds who made the telemetry. The name of an SDK that is not OpenTelemetry's own must be its
/// own id (semantic conventions, `telemetry.sdk.name`).
pub(crate) fn add_telemetry(resource: &mut Resource) {
    let version = Value::Static(env!("CARGO_PKG_VERSION"));
    resource.set("telemetry.sdk.name", Value::Static("kaos-telemetry"));
    resource.set("telemetry.sdk.language", Value::Static("rust"));
    resource.set("telemetry.sdk.version", version.clone());
    resource.set("telemetry.distro.name", Value::Static("kaos-telemetry"));
    resource.set("telemetry.distro.version", version);
}

/// The attributes that were observed from outside.
fn observed(process: ProcessId, facts: &Facts) -> Resource {
    let mut resource = Resource::default();
    let id = format!("{}/{}/{}", facts.boot_id, process.tgid, process.start);
    let instance = Uuid::new_v5(&INSTANCE_NAMESPACE, id.as_bytes());
    resource.set("service.name", Value::String(service_name(facts)));
    resource.set("service.instance.id", Value::String(instance.to_string()));
    resource.set("process.pid", Value::Int(process.tgid.into()));
    if let Some(parent) = facts.parent_pid {
        resource.set("process.parent_pid", Value::Int(parent.into()));
    }
    let texts = [
        ("process.executable.name", &facts.executable),
        ("process.executable.path", &facts.executable_path),
        ("process.command_line", &facts.command_line),
        ("process.owner", &facts.owner),
        ("process.creation.time", &facts.created),
        ("container.id", &facts.container_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            resource.set(name, Value::String(text.clone()));
        }
    }
    for (name, text) in { facts.kubernetes.iter() }.flat_map(|names| &names.attributes) {
        resource.set(name, Value::String(text.clone()));
    }
    resource
}

/// The workload's name says more than the script's, and that more than its interpreter's.
fn service_name(facts: &Facts) -> String {
    if let Some(names) = &facts.kubernetes {
        return names.service.clone();
    }
    let observed = facts.script.as_ref().or(facts.executable.as_ref());
    observed.map_or_else(|| "unknown_service".to_owned(), Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessId = ProcessId { tgid: 42, start: 7 };

    fn python() -> Facts {
        Facts {
            executable: Some("python3.11".to_owned()),
            script: Some("agent.py".to_owned()),
            container_id: Some("c0ffee".to_owned()),
            boot_id: "boot".to_owned(),
            ..Facts::default()
        }
    }

    #[test]
    fn the_script_names_the_service_then_the_executable() {
        let mut facts = python();
        let built = resource(PROCESS, &facts);
        assert_eq!(built.text("service.name"), Some("agent.py"));
        assert_eq!(built.text("container.id"), Some("c0ffee"));
        assert_eq!(built.get("process.pid"), Some(&Value::Int(42)));
        assert_eq!(built.text("telemetry.sdk.name"), Some("kaos-telemetry"));
        facts.script = None;
        let built = resource(PROCESS, &facts);
        assert_eq!(built.text("service.name"), Some("python3.11"));
    }

    #[test]
    fn the_process_own_environment_wins() {
        let mut facts = python();
        facts.otel_resource_attributes =
            Some("service.name=a%20b,container.id=own,telemetry.sdk.name=x,empty=".to_owned());
        let built = resource(PROCESS, &facts);
        assert_eq!(built.text("service.name"), Some("a b"));
        assert_eq!(built.text("container.id"), Some("own"));
        assert_eq!(built.text("telemetry.sdk.name"), Some("kaos-telemetry"));
        assert_eq!(built.get("empty"), None);
        facts.otel_service_name = Some("named".to_owned());
        assert_eq!(
            resource(PROCESS, &facts).text("service.name"),
            Some("named")
        );
    }

    #[test]
    fn kubernetes_names_what_the_process_does_not() {
        let mut facts = python();
        facts.kubernetes = Some(Names {
            service: "agent-a".to_owned(),
            kaos_resource: None,
            attributes: vec![
                ("k8s.pod.name", "agent-a-5d9-x".to_owned()),
                ("service.namespace", "agents".to_owned()),
            ],
        });
        let built = resource(PROCESS, &facts);
        assert_eq!(built.text("service.name"), Some("agent-a"));
        assert_eq!(built.text("k8s.pod.name"), Some("agent-a-5d9-x"));
        facts.otel_resource_attributes = Some("service.namespace=own".to_owned());
        facts.otel_service_name = Some("named".to_owned());
        let built = resource(PROCESS, &facts);
        assert_eq!(built.text("service.namespace"), Some("own"));
        assert_eq!(built.text("service.name"), Some("named"));
    }

    #[test]
    fn a_malformed_list_is_ignored_as_a_whole() {
        let mut facts = python();
        facts.otel_resource_attributes = Some("service.name=x,broken".to_owned());
        assert_eq!(
            resource(PROCESS, &facts).text("service.name"),
            Some("agent.py")
        );
    }

    #[test]
    fn the_instance_id_tells_processes_boots_and_reused_numbers_apart() {
        let facts = python();
        let id = |process, facts: &Facts| {
            let built = resource(process, facts);
            built.text("service.instance.id").unwrap().to_owned()
        };
        let first = id(PROCESS, &facts);
        assert_eq!(first, id(PROCESS, &facts));
        let reused = ProcessId { tgid: 42, start: 8 };
        assert_ne!(first, id(reused, &facts));
        let mut rebooted = facts;
        rebooted.boot_id = "other".to_owned();
        assert_ne!(first, id(PROCESS, &rebooted));
    }
}
