//! The labels and annotations that the webhook reads and writes.

/// What all of them begin with.
pub const PREFIX: &str = "telemetry.kaos.tools/";

/// Label of a namespace (`enabled`), label or annotation of a pod (`disabled`, or `enabled`
/// against a component that is off).
pub const INJECT: &str = "telemetry.kaos.tools/inject";

/// Label of a pod of another product: which kind of component it is.
pub const COMPONENT: &str = "telemetry.kaos.tools/component";
/// Written by the KAOS operator into each pod template of its own.
pub(crate) const KAOS_POD: &str = "kaos.tools/pod-spec-hash";
/// On the API server's image of a pod that a kubelet runs from a file.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Where an OTLP exporter sends to.
pub(crate) const ENDPOINT: &str = "telemetry.kaos.tools/endpoint";
pub(crate) const PROTOCOL: &str = "telemetry.kaos.tools/protocol";
/// `OTEL_SERVICE_NAME`.
pub const SERVICE_NAME: &str = "telemetry.kaos.tools/service-name";
pub(crate) const SAMPLER: &str = "telemetry.kaos.tools/sampler";
pub(crate) const SAMPLER_ARG: &str = "telemetry.kaos.tools/sampler-arg";
pub(crate) const PROPAGATORS: &str = "telemetry.kaos.tools/propagators";
pub(crate) const LOG_LEVEL: &str = "telemetry.kaos.tools/log-level";
pub(crate) const RESOURCE_ATTRIBUTES: &str = "telemetry.kaos.tools/resource-attributes";
/// The containers that are meant, with commas between them.
pub const CONTAINERS: &str = "telemetry.kaos.tools/containers";
/// Containers to leave alone, with commas between them.
pub const EXCLUDE_CONTAINERS: &str = "telemetry.kaos.tools/exclude-containers";
pub(crate) const NATIVE_SIDECARS: &str = "telemetry.kaos.tools/native-sidecars";
pub(crate) const NEVER_INJECT: &str = "telemetry.kaos.tools/never-inject";
/// What the probe reads: `off`, `heads` or `full`.
pub const CAPTURE: &str = "telemetry.kaos.tools/capture";
pub(crate) const CAPTURE_CONTENT: &str = "telemetry.kaos.tools/capture-content";
/// What was done, in JSON. Written; read only for who wrote an entry, ours or the KAOS operator.
pub const STATUS: &str = "telemetry.kaos.tools/status";

/// An annotation, for the documentation and for those who keep [`crate::NamespaceFacts`] small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Annotation {
    /// The whole key.
    pub name: &'static str,
    /// True if a namespace may have it too; it then holds for all its pods.
    pub of_namespace: bool,
    /// What it says, in one sentence.
    pub meaning: &'static str,
}

const fn annotation(name: &'static str, of_namespace: bool, meaning: &'static str) -> Annotation {
    Annotation {
        name,
        of_namespace,
        meaning,
    }
}

/// All annotations, those of a user first.
pub const ANNOTATIONS: [Annotation; 16] = [
    annotation(
        INJECT,
        false,
        "`disabled` leaves the pod alone (also as a label); `enabled` turns a component on whose custom resource says off.",
    ),
    annotation(
        ENDPOINT,
        true,
        "Where OTLP goes: a URL with `http://` or `https://`. `$(KAOS_TELEMETRY_NODE_IP)` in it becomes the node's address.",
    ),
    annotation(PROTOCOL, true, "`grpc` or `http/protobuf`."),
    annotation(SERVICE_NAME, false, "`OTEL_SERVICE_NAME`."),
    annotation(SAMPLER, true, "`OTEL_TRACES_SAMPLER`."),
    annotation(SAMPLER_ARG, true, "`OTEL_TRACES_SAMPLER_ARG`."),
    annotation(PROPAGATORS, true, "`OTEL_PROPAGATORS`."),
    annotation(LOG_LEVEL, true, "`LOG_LEVEL` of KAOS components."),
    annotation(
        RESOURCE_ATTRIBUTES,
        true,
        "`key=value,key=value` as they are, not percent-encoded. `off` leaves `OTEL_RESOURCE_ATTRIBUTES` alone.",
    ),
    annotation(
        CONTAINERS,
        false,
        "The containers to inject into, and no others: names with commas between them.",
    ),
    annotation(
        EXCLUDE_CONTAINERS,
        true,
        "Containers to leave alone: names with commas between them.",
    ),
    annotation(
        NATIVE_SIDECARS,
        true,
        "`true` injects into init containers with `restartPolicy: Always` too.",
    ),
    annotation(
        NEVER_INJECT,
        true,
        "Names of variables never to inject, with commas between them: for those that come from `envFrom` or the image.",
    ),
    annotation(
        CAPTURE,
        true,
        "What the probe reads of this pod: `off`, `heads` or `full`. Written if it is not there.",
    ),
    annotation(
        CAPTURE_CONTENT,
        true,
        "`true` lets the probe keep prompts, answers and tool arguments. Written (`false`) if it is not there.",
    ),
    annotation(
        STATUS,
        false,
        "Written, never read as a wish: what was done, in JSON (version, configuration's hash, kind, variables by container, reason).",
    ),
];

/// A longer annotation of ours is ignored: its text is read again for each container.
pub(crate) const MAX_BYTES: usize = 4096;
/// As is one that lists more.
pub(crate) const MAX_ITEMS: usize = 128;

/// False if an annotation of ours is so long that it is ignored.
pub(crate) fn fits(value: &str) -> bool {
    value.len() <= MAX_BYTES && value.bytes().filter(|it| *it == b',').count() < MAX_ITEMS
}

/// As much of a value as has to be kept to tell that it is too long.
pub(crate) fn cut(value: &str) -> &str {
    &value[..value.ceil_char_boundary(MAX_BYTES + 1)]
}
