//! Prompts go nowhere but to endpoints that are known to drop them.

use serde_json::{Value, json};
use webhook_core::{AgentContent, Decision, Facts, Outcome, Reason, Settings};

use crate::support::{KNOWN, check_laws, facts};

const NODE: &str = "http://$(KAOS_TELEMETRY_NODE_IP):4317";
const LEAKS: Outcome = Outcome::Marked(Reason::ContentNotStripped);

/// The collector is on the node, and known.
pub(crate) fn on_the_node() -> Facts {
    let facts = facts();
    let settings = Settings {
        endpoint: Some(NODE.to_owned()),
        content_stripped: vec![NODE.to_owned(), KNOWN.to_owned()],
        ..facts.settings().clone()
    };
    facts.with_settings(settings)
}

fn agent(env: &Value) -> Value {
    let labels = json!({"telemetry.kaos.tools/component": "agent"});
    pod(&labels, &json!({"name": "worker", "env": env}))
}

/// The creation of a pod of one container, in `agents`.
pub(crate) fn pod(labels: &Value, container: &Value) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "agents",
            "object": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    })
}

fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}})
}

fn node_ip() -> Value {
    field("KAOS_TELEMETRY_NODE_IP", "status.hostIP")
}

fn value(after: &Value, name: &str) -> Option<String> {
    let env = after["spec"]["containers"][0]["env"].as_array()?;
    let entry = env.iter().rfind(|it| it["name"] == name)?;
    entry["value"].as_str().map(str::to_owned)
}

fn warned(decision: &Decision, of: &str) {
    let warnings = decision.warnings();
    assert!(warnings.iter().any(|it| it.contains(of)), "{warnings:?}");
}

#[test]
fn only_the_kubelets_address_makes_a_reference_known() {
    let own = || json!({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": NODE});
    let elsewhere = || {
        let key = json!({"name": "c", "key": "k"});
        json!({"name": "KAOS_TELEMETRY_NODE_IP", "valueFrom": {"configMapKeyRef": key}})
    };
    let literal = || json!({"name": "KAOS_TELEMETRY_NODE_IP", "value": "evil.example"});
    let pod_ip = || field("KAOS_TELEMETRY_NODE_IP", "status.podIP");
    let facts = on_the_node();
    let outcome = |env: Value| check_laws(&agent(&env), &facts).0.outcome();
    for other in [elsewhere(), literal(), pod_ip()] {
        let none = Outcome::Marked(Reason::NoEndpoint);
        assert_eq!(outcome(json!([other])), none, "{other}");
        assert_eq!(outcome(json!([other, own()])), LEAKS, "{other}");
        assert_eq!(outcome(json!([node_ip(), other, own()])), LEAKS, "{other}");
    }
    assert_eq!(
        outcome(json!([own(), node_ip()])),
        LEAKS,
        "it stands behind"
    );
    assert_eq!(outcome(json!([node_ip(), own()])), Outcome::Patched);
    assert_eq!(outcome(json!([node_ip()])), Outcome::Patched);
    assert_eq!(outcome(json!([])), Outcome::Patched);
}

#[test]
fn a_reference_of_the_containers_own_gets_its_variable() {
    let own = json!([{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": NODE}]);
    let (decision, after) = check_laws(&agent(&own), &on_the_node());
    assert_eq!(decision.outcome(), Outcome::Patched);
    let env = &after["spec"]["containers"][0]["env"];
    assert_eq!(env[0], node_ip());

    // Where it cannot be: a warning.
    let literal = json!({"name": "KAOS_TELEMETRY_NODE_IP", "value": "1.2.3.4"});
    let env = json!([literal, own[0]]);
    let labels = json!({"telemetry.kaos.tools/component": "mcpserver"});
    let tools = pod(&labels, &json!({"name": "tools", "env": env}));
    let (decision, _) = check_laws(&tools, &on_the_node());
    warned(&decision, "is not the node's address");
}

#[test]
fn any_sign_of_an_agent_or_litellm_counts() {
    let vendor = json!({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://vendor:4317"});
    let outcome = |labels: Value, mut container: Value| {
        container["env"] = json!([vendor]);
        check_laws(&pod(&labels, &container), &facts()).0.outcome()
    };
    let tools = "telemetry.kaos.tools/component";
    let plain = || json!({"name": "tools"});
    assert_eq!(
        outcome(
            json!({"app": "agent", "agent": "x", tools: "mcpserver"}),
            plain()
        ),
        LEAKS
    );
    assert_eq!(
        outcome(json!({"app": "agent", tools: "mcpserver"}), plain()),
        LEAKS
    );
    let litellm = json!({"name": "tools", "command": ["/usr/bin/litellm", "--port", "4000"]});
    let mcp = || json!({"app": "mcpserver", "mcpserver": "x"});
    let named = |mut it: Value| {
        it["name"] = "mcp-server".into();
        it
    };
    assert_eq!(outcome(mcp(), named(litellm.clone())), LEAKS);
    assert_eq!(outcome(json!({tools: "memorystore"}), litellm), LEAKS);
    assert_eq!(
        outcome(json!({tools: "mcpserver"}), json!({"name": "agent"})),
        LEAKS
    );
    assert_eq!(outcome(mcp(), named(plain())), Outcome::Patched);
    for (image, wanted) in [
        ("ghcr.io/berriai/litellm:main", LEAKS),
        ("registry:5000/litellm-database@sha256:00", LEAKS),
        ("litellm/tools:1", Outcome::Patched),
        ("registry/tools:litellm", Outcome::Patched),
    ] {
        let mut container = named(plain());
        container["image"] = image.into();
        container["args"] = json!(["--config", "/app/c.yaml"]);
        assert_eq!(outcome(mcp(), container), wanted, "{image}");
    }
}

#[test]
fn no_endpoint_of_the_image_goes_before_the_known_one() {
    let (decision, after) = check_laws(&agent(&json!([])), &facts());
    assert_eq!(decision.outcome(), Outcome::Patched);
    for name in ["TRACES_", "LOGS_", ""] {
        let name = format!("OTEL_EXPORTER_OTLP_{name}ENDPOINT");
        assert_eq!(value(&after, &name).as_deref(), Some(KNOWN), "{name}");
    }
    let allow = Settings {
        agent_content: AgentContent::Allow,
        ..facts().settings().clone()
    };
    let (_, after) = check_laws(&agent(&json!([])), &facts().with_settings(allow));
    assert_eq!(value(&after, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), None);

    let http = "https://otlp.known.example/base/";
    let settings = Settings {
        endpoint: Some(http.to_owned()),
        protocol: webhook_core::Protocol::HttpProtobuf,
        content_stripped: vec![http.to_owned()],
        ..Settings::default()
    };
    let facts = facts().with_settings(settings);
    let (_, after) = check_laws(&agent(&json!([])), &facts);
    let said = |name: &str| value(&after, name).unwrap();
    let base = "https://otlp.known.example/base";
    assert_eq!(
        said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        format!("{base}/v1/traces")
    );
    assert_eq!(
        said("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"),
        format!("{base}/v1/logs")
    );
    let labels = json!({"telemetry.kaos.tools/component": "modelapi"});
    let proxy = json!({"name": "proxy", "command": ["litellm"], "env": []});
    let (_, after) = check_laws(&pod(&labels, &proxy), &facts);
    let said = value(&after, "OTEL_ENDPOINT").unwrap();
    assert_eq!(said, format!("{base}/v1/traces"));
}

/// An exporter that is not OTLP's has a way of its own.
#[test]
fn no_exporter_but_otlps_sends_prompts() {
    let exporter = |name: &str| format!("OTEL_{name}_EXPORTER");
    let (_, after) = check_laws(&agent(&json!([])), &facts());
    for name in ["TRACES", "LOGS"] {
        assert_eq!(value(&after, &exporter(name)).as_deref(), Some("otlp"));
        let mut never = agent(&json!([]));
        never["request"]["object"]["metadata"]["annotations"] =
            json!({"telemetry.kaos.tools/never-inject": exporter(name)});
        assert_eq!(check_laws(&never, &facts()).0.outcome(), LEAKS, "{name}");
        let key = json!({"name": "a", "key": "b"});
        let by_reference = json!({"name": exporter(name), "valueFrom": {"configMapKeyRef": key}});
        let own = |value: &str| json!({"name": exporter(name), "value": value});
        for (entry, outcome) in [
            (own("otlp"), Outcome::Patched),
            (own("none"), Outcome::Patched),
            (own("otlp, none"), Outcome::Patched),
            (own("zipkin"), LEAKS),
            (own("otlp,console"), LEAKS),
            (by_reference, LEAKS),
        ] {
            let (decision, _) = check_laws(&agent(&json!([entry])), &facts());
            assert_eq!(decision.outcome(), outcome, "{entry}");
        }
    }
    // KAOS's own make their exporters themselves.
    let mut kaos = agent(&json!([{"name": "OTEL_TRACES_EXPORTER", "value": "zipkin"}]));
    let object = &mut kaos["request"]["object"];
    object["metadata"]["labels"] = json!({"app": "agent", "agent": "x"});
    object["metadata"]["annotations"] = json!({"kaos.tools/pod-spec-hash": "0"});
    assert_eq!(check_laws(&kaos, &facts()).0.outcome(), Outcome::Patched);
}

#[test]
fn who_must_not_be_guarded_gets_nothing() {
    for name in ["TRACES_ENDPOINT", "LOGS_ENDPOINT", "ENDPOINT"] {
        let mut review = agent(&json!([]));
        review["request"]["object"]["metadata"]["annotations"] =
            json!({"telemetry.kaos.tools/never-inject": format!("OTEL_EXPORTER_OTLP_{name}")});
        let (decision, _) = check_laws(&review, &facts());
        assert_eq!(decision.outcome(), LEAKS, "{name}");
    }
    // The path of a signal's own endpoint depends on a protocol that nobody knows.
    let known = json!({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": KNOWN});
    let unknown = json!({"name": "OTEL_EXPORTER_OTLP_PROTOCOL", "value": "http/json"});
    let (decision, _) = check_laws(&agent(&json!([known, unknown])), &facts());
    assert_eq!(decision.outcome(), LEAKS);
    warned(&decision, "of its image may say another way");
    let (decision, after) = check_laws(&agent(&json!([known])), &facts());
    assert_eq!(decision.outcome(), Outcome::Patched);
    let traces = value(&after, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    assert_eq!(traces.as_deref(), Some(KNOWN));
}

#[test]
fn env_from_is_warned_of_for_each_name_of_ours() {
    let warned = |prefix: &str, key: &str| {
        let labels = json!({"app": "mcpserver", "mcpserver": "x"});
        let from = json!([{"prefix": prefix, "secretRef": {"name": key}}]);
        let container = json!({"name": "mcp-server", "envFrom": from});
        let (decision, _) = check_laws(&pod(&labels, &container), &facts());
        { decision.warnings().iter() }.any(|it| it.contains("envFrom cannot be seen"))
    };
    assert!(warned("LOG_", "LEVEL"));
    assert!(warned("", "LOG_LEVEL"));
    assert!(warned("OTEL_TRACES_", "SAMPLER"));
    assert!(warned("KAOS_", "TELEMETRY_POD_UID"));
    assert!(!warned("MEMORY_", "X"));
}
