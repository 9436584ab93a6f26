//! Whatever a pod looks like, every decision keeps the laws of [`support::check_laws`].

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use webhook_core::{AgentContent, Doubt, Facts, Outcome, Settings};

use crate::prompts::{on_the_node, pod};
use crate::support::{KNOWN, check_laws, facts};

const NAMES: [&str; 24] = [
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_SAMPLER",
    "LOG_LEVEL",
    "LITELLM_LOG",
    "KAOS_TELEMETRY_POD_NAME",
    "KAOS_TELEMETRY_NODE_IP",
    "KAOS_TELEMETRY_NODE_IP",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "A",
    "B",
    "MCP_SERVER_echo-mcp_URL",
    "",
];

const ANNOTATIONS: [&str; 16] = [
    "endpoint",
    "protocol",
    "service-name",
    "sampler",
    "sampler-arg",
    "propagators",
    "log-level",
    "resource-attributes",
    "containers",
    "exclude-containers",
    "native-sidecars",
    "never-inject",
    "capture",
    "capture-content",
    "status",
    "inject",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            KNOWN,
            "",
            "http://jaeger:4317",
            "http://$(KAOS_TELEMETRY_NODE_IP):4317",
            "http://$(KAOS_TELEMETRY_NODE_IP):4317",
            "http://$$(KAOS_TELEMETRY_NODE_IP):4317",
            "http://collector.telemetry:4317/v1/traces",
            "http://c:4318",
            "grpc",
            "http/protobuf",
            "true",
            "false",
            "enabled",
            "always_on",
            "DEBUG",
            "a=1,b=$(A),c=$(KAOS_TELEMETRY_POD_NAME)",
            "service.namespace=x,k8s.pod.name=y,",
            ",k8s.pod.uid=$(B)",
            "a=1,k8s.container.name=x y",
            "agent, worker",
            "OTEL_SERVICE_NAME,KAOS_TELEMETRY_POD_UID",
            "otlp_grpc",
            "console",
            "full",
            "{\"containers\":{\"agent\":[\"OTEL_EXPORTER\"]}}",
        ])
        .prop_map(str::to_owned),
        "[ -~é€\\n]{0,12}",
    ]
}

fn variable() -> impl Strategy<Value = Value> {
    (select(NAMES.to_vec()), text(), 0..9_u8).prop_map(|(name, value, how)| match how {
        0 => json!({"name": name}),
        1 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        3 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}),
        4 => json!({"name": name, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}),
        2 => json!({"name": name, "value": value, "future": [1, null]}),
        _ => json!({"name": name, "value": value}),
    })
}

/// One of those that decide where prompts go.
fn sending() -> impl Strategy<Value = Value> {
    let name = select(vec![
        "KAOS_TELEMETRY_NODE_IP",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_TRACES_EXPORTER",
    ]);
    let value = select(vec![
        "otlp",
        "zipkin",
        KNOWN,
        "http://$(KAOS_TELEMETRY_NODE_IP):4317",
        "http://jaeger:4317",
    ]);
    (name, value, 0..6_u8).prop_map(|(name, value, how)| match how {
        0 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}),
        1 => json!({"name": name, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}),
        _ => json!({"name": name, "value": value}),
    })
}

fn env() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        prop::collection::vec(variable(), 0..7).prop_map(|all| Some(all.into())),
        prop::collection::vec(sending(), 0..4).prop_map(|all| Some(all.into())),
        prop::collection::vec(sending(), 0..4).prop_map(|all| Some(all.into())),
        prop::collection::vec(variable(), 30..60).prop_map(|all| Some(all.into())),
    ]
}

fn container() -> impl Strategy<Value = Value> {
    let name = select(vec![
        "agent",
        "mcp-server",
        "model-api",
        "memory",
        "worker",
        "istio-proxy",
    ]);
    let from = select(vec![None, Some(""), Some("MEMORY_"), Some("OT")]);
    (
        name,
        env(),
        from,
        select(vec![None, Some("Always")]),
        any::<bool>(),
    )
        .prop_map(|(name, env, from, restart, port)| {
            let mut container = json!({"name": name, "future": {"x": 1.5}});
            if let Some(env) = env {
                container["env"] = env;
            }
            if let Some(prefix) = from {
                container["envFrom"] = json!([{"prefix": prefix, "secretRef": {"name": "s"}}]);
            }
            if let Some(restart) = restart {
                container["restartPolicy"] = restart.into();
            }
            if port {
                container["ports"] = json!([{"containerPort": 8000}]);
            }
            container
        })
}

fn metadata() -> impl Strategy<Value = Value> {
    let kind = select(vec![
        "agent",
        "mcpserver",
        "modelapi",
        "memorystore",
        "llm-server",
    ]);
    let annotations = prop::collection::btree_map(select(ANNOTATIONS.to_vec()), text(), 0..6);
    let other = prop::option::weighted(0.2, kind.clone());
    (
        kind,
        any::<bool>(),
        prop::option::of(annotations),
        any::<bool>(),
        other,
    )
        .prop_map(|(kind, kaos, annotations, hash, other)| {
            let mut labels = if kaos {
                json!({"app": kind, kind: "loud"})
            } else {
                json!({"telemetry.kaos.tools/component": kind})
            };
            if let Some(other) = other {
                labels["telemetry.kaos.tools/component"] = other.into();
            }
            let mut metadata = json!({"generateName": "x-", "labels": labels});
            if let Some(annotations) = annotations {
                let all = annotations
                    .into_iter()
                    .map(|(name, value)| (format!("telemetry.kaos.tools/{name}"), value.into()));
                metadata["annotations"] = Value::Object(all.collect());
                if hash {
                    metadata["annotations"]["kaos.tools/pod-spec-hash"] = "0".into();
                }
            }
            metadata
        })
}

fn review() -> impl Strategy<Value = Value> {
    let few = || prop::collection::vec(container(), 0..4);
    let many = || prop::collection::vec(container(), 10..20);
    let containers = move || prop_oneof![9 => few(), 1 => many()];
    let namespace = select(vec!["agents", "tenant", "plain"]);
    (metadata(), containers(), containers(), namespace).prop_map(
        |(metadata, containers, init, namespace)| {
            json!({
                "kind": "AdmissionReview",
                "apiVersion": "admission.k8s.io/v1",
                "request": {
                    "uid": "705ab4f5",
                    "kind": {"group": "", "version": "v1", "kind": "Pod"},
                    "operation": "CREATE",
                    "namespace": namespace,
                    "object": {
                        "metadata": metadata,
                        "spec": {"containers": containers, "initContainers": init, "os": null},
                    },
                },
            })
        },
    )
}

fn allowing() -> Facts {
    let facts = facts();
    let settings = Settings {
        agent_content: AgentContent::Allow,
        ..facts.settings().clone()
    };
    facts.with_settings(settings)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn every_decision_keeps_the_laws(review in review(), allow in any::<bool>()) {
        let facts = if allow { allowing() } else { facts() };
        let (decision, _) = check_laws(&review, &facts);
        let doubt = Outcome::FailOpen(Doubt::PatchDoesNotApply);
        prop_assert_ne!(decision.outcome(), doubt);
    }

    /// Under the default nothing is added that could make prompts go anywhere else, whatever a
    /// kubelet makes of the references, and whatever the image says.
    #[test]
    fn prompts_stay_home(review in review(), node in any::<bool>()) {
        let facts = if node { on_the_node() } else { facts() };
        stay_home(&review, &facts)?;
    }

    /// The same where nothing but what decides it is there.
    #[test]
    fn prompts_of_an_agent_stay_home(env in prop::collection::vec(sending(), 0..5)) {
        let labels = json!({"telemetry.kaos.tools/component": "agent"});
        let review = pod(&labels, &json!({"name": "worker", "env": env}));
        stay_home(&review, &on_the_node())?;
    }
}

fn stay_home(review: &Value, facts: &Facts) -> Result<(), TestCaseError> {
    let known = facts.settings().content_stripped.iter();
    let known: Vec<_> = known
        .map(|it| it.replace("$(KAOS_TELEMETRY_NODE_IP)", NODE))
        .collect();
    let (_, after) = check_laws(review, facts);
    let before = &review["request"]["object"];
    if !exports_content(before) {
        return Ok(());
    }
    for (index, container) in after["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        if container["env"] == before["spec"]["containers"][index]["env"] {
            continue;
        }
        let mut from = container["envFrom"].as_array().into_iter().flatten();
        prop_assert!(
            from.all(|it| it["prefix"] == "MEMORY_"),
            "envFrom may say anything"
        );
        let values = resolved(&container["env"]);
        for name in ["", "TRACES_", "LOGS_"] {
            let name = format!("OTEL_EXPORTER_OTLP_{name}ENDPOINT");
            // What is not there the image may have.
            let endpoint = values.get(&name).map_or("", String::as_str);
            let bare = endpoint
                .trim_end_matches("/v1/traces")
                .trim_end_matches("/v1/logs");
            let bare = bare.trim_end_matches('/');
            prop_assert!(known.iter().any(|it| it == bare), "{name} {endpoint:?}");
        }
        for name in ["TRACES", "LOGS"] {
            let exporter = values.get(&format!("OTEL_{name}_EXPORTER"));
            let otlp = exporter.is_some_and(|it| it == "otlp");
            prop_assert!(otlp || !names_exporters(before), "{name} {exporter:?}");
        }
    }
    Ok(())
}

/// What stands for the node's address, and for what nobody knows here.
const NODE: &str = "<node>";
const UNKNOWN: &str = "<unknown>";

/// By its labels and looks, as far as [`review`] makes them.
fn exports_content(pod: &Value) -> bool {
    let labels = &pod["metadata"]["labels"];
    let mut containers = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    labels["app"] == "agent"
        || labels["telemetry.kaos.tools/component"] == "agent"
        || containers.any(|it| {
            let mut env = it["env"].as_array().into_iter().flatten();
            it["name"] == "agent"
                || (it["name"] == "model-api" && it["ports"].is_array())
                || env.any(|it| it["name"] == "LITELLM_LOG")
        })
}

/// Agents that KAOS's operator did not make, of a kind whose SDK reads such variables.
fn names_exporters(pod: &Value) -> bool {
    let metadata = &pod["metadata"];
    metadata["labels"]["telemetry.kaos.tools/component"] == "agent"
        && metadata["annotations"]["kaos.tools/pod-spec-hash"].is_null()
}

/// The environment as a kubelet makes it: in order, references only to what stands before.
fn resolved(env: &Value) -> HashMap<String, String> {
    let mut values = HashMap::<String, String>::new();
    for entry in env.as_array().into_iter().flatten() {
        let value = match (entry["value"].as_str(), &entry["valueFrom"]) {
            (value, Value::Null) => expanded(value.unwrap_or_default(), &values),
            (_, from) if from["fieldRef"]["fieldPath"] == "status.hostIP" => NODE.to_owned(),
            _ => UNKNOWN.to_owned(),
        };
        values.insert(entry["name"].as_str().unwrap_or_default().to_owned(), value);
    }
    values
}

/// `$(X)` filled in where X is known, `$$` made one.
fn expanded(text: &str, values: &HashMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((start, end)) = rest.split_once('$') {
        out.push_str(start);
        let name = { end.strip_prefix('(') }.and_then(|it| it.split_once(')'));
        (out, rest) = match name {
            Some((name, rest)) if values.contains_key(name) => (out + &values[name], rest),
            _ => (out + "$", end.strip_prefix('$').unwrap_or(end)),
        };
    }
    out + rest
}
