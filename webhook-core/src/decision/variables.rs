//! The one table of variables: which kind gets which, and from where.

use super::component::{Component, Sdk};

pub(crate) const POD_NAME: &str = "KAOS_TELEMETRY_POD_NAME";
pub(crate) const POD_UID: &str = "KAOS_TELEMETRY_POD_UID";
pub(crate) const NODE_NAME: &str = "KAOS_TELEMETRY_NODE_NAME";
pub(crate) use super::endpoint::NODE_IP;
pub(crate) const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
pub(crate) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
pub(crate) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(crate) const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
pub(crate) const EXPORTER: &str = "OTEL_EXPORTER";
pub(crate) const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
pub(crate) const PROPAGATORS: &str = "OTEL_PROPAGATORS";
pub(crate) const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
pub(crate) const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
pub(crate) const TRACES_EXPORTER: &str = "OTEL_TRACES_EXPORTER";
pub(crate) const METRICS_EXPORTER: &str = "OTEL_METRICS_EXPORTER";
pub(crate) const LOGS_EXPORTER: &str = "OTEL_LOGS_EXPORTER";
pub(crate) const FASTAPI_EXCLUDED_URLS: &str = "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS";
pub(crate) const EXCLUDED_URLS: &str = "OTEL_PYTHON_EXCLUDED_URLS";
pub(crate) const LOG_LEVEL: &str = "LOG_LEVEL";

pub(crate) const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
pub(crate) const LOGS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
/// `LiteLLM`'s older name of the endpoint.
pub(crate) const LITELLM_ENDPOINT: &str = "OTEL_ENDPOINT";
pub(crate) const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
pub(crate) const LOGS_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL";

/// Each sends some signal with prompts elsewhere than the common endpoint.
pub(crate) const OTHER_ENDPOINTS: [&str; 3] = [TRACES_ENDPOINT, LOGS_ENDPOINT, LITELLM_ENDPOINT];

/// A variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// A path of the downward API: then it stands first. Without: at the end.
    pub(crate) field: Option<&'static str>,
    kinds: &'static [Sdk],
    /// True if only components of KAOS get it.
    only_kaos: bool,
    /// True if it only keeps prompts from going where the image's own environment says.
    pub(crate) guards: bool,
    /// The value, for the documentation.
    pub(crate) value: &'static str,
    /// Where it comes from, for the documentation.
    pub(crate) source: &'static str,
}

const ALL: &[Sdk] = &[Sdk::Agent, Sdk::McpServer, Sdk::MemoryStore, Sdk::Proxy];
const SERVERS: &[Sdk] = &[Sdk::Agent, Sdk::McpServer, Sdk::MemoryStore];
const PROXY: &[Sdk] = &[Sdk::Proxy];
const AGENTS: &[Sdk] = &[Sdk::Agent];
const EXPORTERS: &[Sdk] = &[Sdk::Agent, Sdk::Proxy];

const fn guard(name: &'static str, kinds: &'static [Sdk], value: &'static str) -> Row {
    Row {
        guards: true,
        ..row(
            name,
            kinds,
            value,
            "the endpoint, with `agentContent: strip`",
        )
    }
}

const fn field(name: &'static str, path: &'static str, value: &'static str) -> Row {
    Row {
        field: Some(path),
        ..row(name, ALL, value, "downward API")
    }
}

const fn row(
    name: &'static str,
    kinds: &'static [Sdk],
    value: &'static str,
    source: &'static str,
) -> Row {
    Row {
        name,
        field: None,
        kinds,
        only_kaos: false,
        guards: false,
        value,
        source,
    }
}

/// All variables, in the order in which a container gets them.
pub(crate) const ROWS: [Row; 22] = [
    field(
        NODE_IP,
        "status.hostIP",
        "the node's address, if the endpoint refers to it",
    ),
    field(POD_NAME, "metadata.name", "the pod's name"),
    field(POD_UID, "metadata.uid", "the pod's uid"),
    field(NODE_NAME, "spec.nodeName", "the node's name"),
    Row {
        only_kaos: true,
        ..row(
            SDK_DISABLED,
            SERVERS,
            "`false`, of KAOS components only; not beside an `envFrom` that may say otherwise",
            "kind",
        )
    },
    row(
        SERVICE_NAME,
        ALL,
        "the custom resource's name (`memorystore-` before a MemoryStore's); for other products the workload's",
        "pod annotation, identity",
    ),
    row(
        EXPORTER,
        PROXY,
        "`otlp_grpc`, or `otlp_http` where the protocol is `http/protobuf`",
        "the protocol",
    ),
    row(
        ENDPOINT,
        ALL,
        "a URL",
        "pod annotation, custom resource, namespace annotation, configuration",
    ),
    guard(
        TRACES_ENDPOINT,
        EXPORTERS,
        "the endpoint (and `/v1/traces` for `http/protobuf`), whatever the image says",
    ),
    guard(
        LOGS_ENDPOINT,
        EXPORTERS,
        "the endpoint (and `/v1/logs` for `http/protobuf`), whatever the image says",
    ),
    guard(
        LITELLM_ENDPOINT,
        PROXY,
        "the endpoint (and `/v1/traces` for `http/protobuf`), whatever the image says",
    ),
    row(
        PROTOCOL,
        ALL,
        "`grpc` or `http/protobuf`; `grpc` beside an endpoint of a custom resource",
        "pod annotation, custom resource, namespace annotation, configuration",
    ),
    row(
        RESOURCE_ATTRIBUTES,
        ALL,
        "see below",
        "annotations, identity, configuration; merged with the container's own",
    ),
    row(
        PROPAGATORS,
        ALL,
        "`tracecontext,baggage`",
        "pod annotation, namespace annotation, configuration",
    ),
    row(
        SAMPLER,
        ALL,
        "only if configured",
        "pod annotation, namespace annotation, configuration",
    ),
    row(
        SAMPLER_ARG,
        ALL,
        "only beside the sampler",
        "pod annotation, namespace annotation, configuration",
    ),
    guard(
        TRACES_EXPORTER,
        AGENTS,
        "`otlp`, whatever the image says; not of KAOS's own agents, which read no such variable",
    ),
    row(
        METRICS_EXPORTER,
        SERVERS,
        "`otlp`: some SDKs drop metrics without it",
        "kind",
    ),
    row(
        LOGS_EXPORTER,
        SERVERS,
        "`otlp`: some SDKs drop logs without it",
        "kind",
    ),
    row(FASTAPI_EXCLUDED_URLS, SERVERS, "`/health,/ready`", "kind"),
    row(EXCLUDED_URLS, PROXY, "`/health`", "kind"),
    Row {
        only_kaos: true,
        ..row(
            LOG_LEVEL,
            SERVERS,
            "`INFO`; of KAOS components only",
            "pod annotation, namespace annotation, configuration",
        )
    },
];

impl Row {
    /// True if a component of this kind gets it.
    pub(crate) fn is_for(&self, component: &Component<'_>) -> bool {
        if self.guards {
            let here = match self.name {
                LITELLM_ENDPOINT => component.looks_like.litellm,
                TRACES_EXPORTER => component.names_exporters(),
                _ => true,
            };
            return here && component.sdk.is_some() && component.exports_content();
        }
        component.sdk.is_some_and(|sdk| self.kinds.contains(&sdk))
            && (!self.only_kaos || component.resource.is_some())
    }
}

/// The field of the downward API that a variable of ours holds.
pub(crate) fn field_of(name: &str) -> Option<&'static str> {
    ROWS.iter().find(|row| row.name == name)?.field
}

#[cfg(test)]
mod tests;
