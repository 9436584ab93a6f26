//! Whatever a pod looks like, every decision keeps the laws of [`support::check_laws`].

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use webhook_core::{AgentContent, Doubt, Facts, Outcome, Settings};

use crate::support::{KNOWN, check_laws, facts};

const NAMES: [&str; 18] = [
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
    (select(NAMES.to_vec()), text(), 0..5_u8).prop_map(|(name, value, how)| match how {
        0 => json!({"name": name}),
        1 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        2 => json!({"name": name, "value": value, "future": [1, null]}),
        _ => json!({"name": name, "value": value}),
    })
}

fn env() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        prop::collection::vec(variable(), 0..7).prop_map(|all| Some(all.into())),
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
    (
        kind,
        any::<bool>(),
        prop::option::of(annotations),
        any::<bool>(),
    )
        .prop_map(|(kind, kaos, annotations, hash)| {
            let labels = if kaos {
                json!({"app": kind, kind: "loud"})
            } else {
                json!({"telemetry.kaos.tools/component": kind})
            };
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
    let containers = || prop::collection::vec(container(), 0..4);
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

    /// Under the default nothing is added that could make prompts go anywhere else.
    #[test]
    fn prompts_stay_home(review in review()) {
        let (_, after) = check_laws(&review, &facts());
        let before = &review["request"]["object"];
        for (index, container) in after["spec"]["containers"].as_array().unwrap().iter().enumerate() {
            let labels = &before["metadata"]["labels"];
            let agent = labels["app"] == "agent"
                || labels["telemetry.kaos.tools/component"] == "agent";
            let same = container["env"] == before["spec"]["containers"][index]["env"];
            if !agent || same {
                continue;
            }
            let mut from = container["envFrom"].as_array().into_iter().flatten();
            prop_assert!(from.all(|it| it["prefix"] == "MEMORY_"), "envFrom may say anything");
            for name in ["", "TRACES_", "LOGS_"] {
                let name = format!("OTEL_EXPORTER_OTLP_{name}ENDPOINT");
                let entry = { container["env"].as_array().unwrap().iter() }.rfind(|it| it["name"] == name.as_str());
                let endpoint = entry.map(|it| it["value"].as_str().unwrap_or_default());
                prop_assert!(endpoint.is_none_or(|it| it.trim_end_matches('/') == KNOWN), "{endpoint:?}");
            }
        }
    }
}
