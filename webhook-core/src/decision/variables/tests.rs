//! Keeps docs/environment.md and the tables in the code the same.

use std::fmt::Write as _;

use super::{ROWS, Row, Sdk};
use crate::decision::{Doubt, Reason};
use crate::names;

const KINDS: [(Sdk, &str); 4] = [
    (Sdk::Agent, "agent"),
    (Sdk::McpServer, "mcpserver"),
    (Sdk::MemoryStore, "memorystore"),
    (Sdk::Proxy, "modelapi (proxy)"),
];

#[test]
fn the_document_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/environment.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).expect("the document can be written");
    }
    let written = std::fs::read_to_string(path).expect("docs/environment.md");
    assert!(
        written == document(),
        "docs/environment.md is stale: run this with UPDATE_DOCS=1"
    );
}

#[test]
fn names_stand_once_and_sources_first() {
    let names: std::collections::HashSet<_> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), ROWS.len());
    let fields = ROWS.iter().take_while(|row| row.field.is_some()).count();
    assert!(ROWS[fields..].iter().all(|row| row.field.is_none()));
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for (sdk, kind) in KINDS {
        for row in ROWS.iter().filter(|row| row.kinds.contains(&sdk)) {
            let Row {
                name,
                value,
                source,
                ..
            } = row;
            let _ = writeln!(text, "| {kind} | `{name}` | {value} | {source} |");
        }
    }
    text.push_str(LEVELS);
    for row in &names::ANNOTATIONS {
        let whose = if row.of_namespace {
            "pod, namespace"
        } else {
            "pod"
        };
        let _ = writeln!(text, "| `{}` | {whose} | {} |", row.name, row.meaning);
    }
    text.push_str(REASONS);
    for reason in Reason::ALL {
        let _ = writeln!(text, "| `{}` | {} |", reason.label(), reason);
    }
    text.push_str(DOUBTS);
    for doubt in Doubt::ALL {
        let _ = writeln!(text, "| `{}` | {} |", doubt.label(), doubt);
    }
    text
}

const HEAD: &str = "\
# The environment of a component

What `kaos-webhook` injects into a container, by kind.
A test keeps this page and the tables in the code the same (`UPDATE_DOCS=1 cargo test -p
webhook-core variables` writes it anew).

A variable that the container has, by whatever value, stays as it is and where it is.
Those of the downward API come first in `env`, in this order; the others last, in this order.
`modelapi (hosted)` (Ollama) and `llm-server` have no SDK and get no variable: only annotations,
which leave them to the probe.

| kind | variable | value | from |
| --- | --- | --- | --- |
";

const LEVELS: &str = "
## Which value

Field by field, the closest level that says something stands:

1. the container's own `env`, what the KAOS operator wrote included;
2. the pod's annotation;
3. the component's custom resource (`spec.telemetry`, an Agent's `spec.config.telemetry`): a block
   without `enabled: true` turns the component off, its `endpoint` is one for gRPC;
4. the namespace's annotation;
5. the configuration (`kaos-webhook default-config` prints it).

A value that cannot be right is warned of, and the next level is used.
An endpoint needs `http://` or `https://`, and a port that is not the other protocol's (4317 is
gRPC's, 4318 HTTP's). A refused endpoint takes the protocol of its level with it.
A protocol of an annotation that came without an endpoint, and with which no endpoint can be right,
is the value that cannot be right.
The SDK of KAOS's own agents and memory stores speaks gRPC, whatever its variables say: an endpoint
that wants `http/protobuf` is refused for them.

Beside an endpoint of the container's own, the protocol is injected only where it is known: by the
port, or because KAOS wrote the endpoint.

## Which containers

Of a KAOS pod its component's container (`agent`, `mcp-server`, `model-api`, `memory`); of others
all that are not known sidecars (`sidecars` in the configuration).
Init containers are never touched, but those with `restartPolicy: Always` by choice.

## Resource attributes

`OTEL_RESOURCE_ATTRIBUTES` is composed of what annotations say, then

- `service.namespace`, `kaos.resource.name` (of KAOS components), `k8s.namespace.name`,
  `k8s.pod.name`, `k8s.pod.uid`, `k8s.node.name`, `k8s.container.name`, and the workload's name
  (`k8s.deployment.name` and the like) where the pod's owner tells it,

then what the configuration says; of a key that comes twice, the first stands.
A literal that the container has is kept whole, behind those keys that it lacks: its own keys win.
One by reference (`valueFrom`) is left alone, with a warning.
Values are percent-encoded only where an SDK would else drop them all.

## Prompts stay home

Agents and LiteLLM export full prompts and answers when their telemetry is on.
With `agentContent: strip`, the default, they get nothing unless their endpoint is one of
`contentStripped`: not by the levels above, not by their own `env`, not by the endpoint of a single
signal, not by an `envFrom` that nobody can see. Then the probe covers them.
Any label and any container that says agent or LiteLLM counts, whatever the other label says.
A reference in an endpoint counts as known only if the kubelet fills in the node's address: by our
own `KAOS_TELEMETRY_NODE_IP`, or by one from `status.hostIP` that stands before.
What stands in the image's own environment cannot be seen, but `env` wins over it: so the endpoints
of the single signals are written too, and who names one of them in `never-inject` gets nothing.
Agents of other products may also be told to export by something else than OTLP, which needs no
endpoint of ours: so their `OTEL_TRACES_EXPORTER` and `OTEL_LOGS_EXPORTER` are written, and with one
of their own that may say more than `otlp` and `none` they get nothing.
`contentStripped` takes no host that may be another one in each namespace: neither `collector` nor
`collector.telemetry`, which a resolver first takes for a pod of a headless Service `telemetry` beside
the agent, nor, by `http`, `otlp.vendor.dev`, which may be one of a Service `vendor` in a namespace
`dev`. Write `collector.telemetry.svc.cluster.local`, an address, or a domain with a dot at its end.
`collector.telemetry.svc` will do where nobody makes a namespace called `svc`.
`allow` injects, prompts and all.

## What cannot be seen

Variables of the image and of `envFrom` are not in the pod that a webhook receives, and `env` wins
over both. Where those are to stay, name them in `telemetry.kaos.tools/never-inject`.
`LOG_LEVEL` is written by default: if images of yours bring their own, say `logLevel: null` in the
configuration.

## What is too long

An annotation of more than 4 KiB or 128 items is ignored, with a warning; one of those that keep
something out (`containers`, `exclude-containers`, `never-inject`) leaves the pod as it is.
A variable that would have more than 32 KiB is not written, and an `OTEL_RESOURCE_ATTRIBUTES` of the
container's own with more than 16 KiB is left alone.
A pod of more than 256 containers, of lists with more than 1024 entries, or of more than 16 384 in
all its containers' lists together, stays as it is. So does one whose review has, or with the patch
would have, more than 1.56 MB: etcd takes no more.

## Annotations

| annotation | of | meaning |
| --- | --- | --- |
";

const REASONS: &str = "
## Why nothing is injected

The same words are in the warning, in `kaos-webhook explain`, and as labels in the audit annotation
`reason` and in the metrics.

| label | meaning |
| --- | --- |
";

const DOUBTS: &str = "
Whatever is in doubt leaves the pod as it is; no pod is ever refused.

| label | meaning |
| --- | --- |
";
