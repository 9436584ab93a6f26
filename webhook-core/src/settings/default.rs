//! What holds when nobody says anything.

use std::collections::BTreeMap;

use super::{AgentContent, Protocol, Settings};

/// Values of `OTEL_TRACES_SAMPLER` that the OpenTelemetry specification names.
pub(crate) const SAMPLERS: [&str; 8] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
    "parentbased_jaeger_remote",
    "jaeger_remote",
];

/// Values of KAOS's `LOG_LEVEL`.
pub(crate) const LOG_LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"];

/// Containers that meshes, secret stores, databases' proxies and log shippers add.
const SIDECARS: [&str; 22] = [
    "istio-proxy",
    "linkerd-proxy",
    "kuma-sidecar",
    "consul-dataplane",
    "envoy",
    "envoy-sidecar",
    "daprd",
    "vault-agent",
    "cloudsql-proxy",
    "cloud-sql-proxy",
    "oauth2-proxy",
    "kube-rbac-proxy",
    "queue-proxy",
    "config-reloader",
    "otc-container",
    "otel-collector",
    "aws-otel-collector",
    "jaeger-agent",
    "datadog-agent",
    "fluent-bit",
    "filebeat",
    "promtail",
];

impl Default for Settings {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            enabled: true,
            endpoint: None,
            protocol: Protocol::Grpc,
            agent_content: AgentContent::Strip,
            content_stripped: Vec::new(),
            sampler: None,
            sampler_arg: None,
            propagators: "tracecontext,baggage".to_owned(),
            log_level: Some("INFO".to_owned()),
            resource_attributes: BTreeMap::new(),
            compose_resource_attributes: true,
            native_sidecars: false,
            sidecars: owned(&SIDECARS),
            never_inject: Vec::new(),
            excluded_namespaces: owned(&["kube-system", "kube-node-lease", "kube-public"]),
            capture_content: false,
        }
    }
}
