//! Pods that get nothing, and what `explain` says of each; and one that gets something.

use serde_json::{Value, json};
use webhook_core::{Facts, Settings, decide, explain};

use crate::support::facts;

/// A pod of agent `name` in `namespace`.
fn agent(name: &str, namespace: &str, env: &Value) -> Value {
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "generateName": format!("agent-{name}-5d8-"),
            "namespace": namespace,
            "labels": {"app": "agent", "agent": name},
            "annotations": {"kaos.tools/pod-spec-hash": "0123456789abcdef"},
        },
        "spec": {"containers": [{"name": "agent", "env": env}]},
    })
}

/// Explains a pod; the webhook's answer to the same pod gives the same reason.
fn reason(pod: &Value, facts: &Facts, label: &str) -> String {
    let report = explain(&pod.to_string(), facts).unwrap();
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": pod["metadata"]["namespace"],
            "object": pod,
        },
    });
    let decision = decide(review.to_string().as_bytes(), facts).unwrap();
    assert_eq!(decision.outcome().reason(), label, "{report}");
    let line = report.lines().find(|it| it.contains("Nothing injected"));
    line.unwrap_or_else(|| panic!("{report}")).trim().to_owned()
}

#[test]
fn ten_pods_that_get_nothing_and_why() {
    let facts = facts();
    let none = json!([]);
    let mut said = Vec::new();
    let mut ask = |pod: &Value, facts: &Facts, label| said.push(reason(pod, facts, label));

    ask(
        &agent("echo", "plain", &none),
        &facts,
        "namespace_not_opted_in",
    );
    ask(
        &agent("quiet", "agents", &none),
        &facts,
        "disabled_by_resource",
    );
    let own = json!([{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://jaeger:4317"}]);
    ask(
        &agent("echo", "agents", &own),
        &facts,
        "content_not_stripped",
    );
    let disabled = json!([{"name": "OTEL_SDK_DISABLED", "value": "true"}]);
    ask(&agent("echo", "agents", &disabled), &facts, "sdk_disabled");
    let mut opted_out = agent("echo", "agents", &none);
    opted_out["metadata"]["annotations"]["telemetry.kaos.tools/inject"] = "disabled".into();
    ask(&opted_out, &facts, "opted_out");
    let mut stranger = agent("echo", "agents", &none);
    stranger["metadata"]["labels"] = json!({"app": "agent"});
    ask(&stranger, &facts, "not_a_component");
    let mut ollama = agent("echo", "agents", &none);
    ollama["metadata"]["labels"] = json!({"app": "modelapi", "modelapi": "local"});
    ollama["spec"]["containers"][0]["ports"] = json!([{"containerPort": 11434}]);
    ask(&ollama, &facts, "no_sdk");
    let bare = facts.with_settings(Settings::default());
    ask(&agent("echo", "agents", &none), &bare, "no_endpoint");
    let mut mirror = agent("echo", "agents", &none);
    mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "1".into();
    ask(&mirror, &facts, "mirror_pod");
    let mut sidecars = agent("echo", "agents", &none);
    sidecars["spec"]["containers"][0]["name"] = "istio-proxy".into();
    ask(&sidecars, &facts, "no_container");

    let wanted = [
        "the namespace lacks the label telemetry.kaos.tools/inject=enabled",
        "the component's resource has a telemetry block without enabled: true",
        "it exports prompts, and its endpoint is not known to drop them (agentContent: strip): the probe covers it",
        "its own OTEL_SDK_DISABLED is true",
        "the pod opts out by telemetry.kaos.tools/inject",
        "no label says that this is a component (app and its name, or telemetry.kaos.tools/component)",
        "no SDK exists for this model server: the probe covers it",
        "no level gives an endpoint that can be right",
        "a kubelet runs this pod from a file: changes would not reach it",
        "no container is the component's own",
    ];
    let wanted = wanted.map(|it| format!("Nothing injected: {it}."));
    assert_eq!(said, wanted);
}

#[test]
fn each_value_comes_with_its_level() {
    let env = json!([
        {"name": "OTEL_SERVICE_NAME", "value": "echo"},
        {"name": "OTEL_PROPAGATORS", "value": "b3"},
        {"name": "LOG_LEVEL", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}},
    ]);
    let mut pod = agent("loud", "agents", &env);
    pod["metadata"]["annotations"]["telemetry.kaos.tools/sampler"] = "always_on".into();
    pod["metadata"]["annotations"]["telemetry.kaos.tools/never-inject"] =
        "OTEL_LOGS_EXPORTER".into();
    let report = explain(&pod.to_string(), &facts()).unwrap();
    for line in [
        "Pod agents/agent-loud-5d8-*: agent loud, made by the KAOS operator",
        "    + KAOS_TELEMETRY_POD_NAME = (field metadata.name)  [pod's identity]",
        "      OTEL_SERVICE_NAME = echo  [kept: the container's own env]",
        "    + OTEL_EXPORTER_OTLP_ENDPOINT = http://collector.telemetry:4317/  [component's resource]",
        "    + OTEL_TRACES_SAMPLER = always_on  [pod annotation]",
        "      OTEL_PROPAGATORS = b3  [kept: the container's own env]",
        "    - OTEL_LOGS_EXPORTER =   [not injected: never-inject names it]",
        "      LOG_LEVEL = (by reference)  [kept: the container's own env]",
        "    telemetry.kaos.tools/capture: heads",
    ] {
        assert!(report.lines().any(|it| it == line), "{line}\n{report}");
    }
}

#[test]
fn entries_of_the_operator_are_named_as_such() {
    let env = json!([
        {"name": "OTEL_SDK_DISABLED", "value": "false"},
        {"name": "OTEL_SERVICE_NAME", "value": "echo"},
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector.telemetry:4317"},
        {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "service.namespace=agents,kaos.resource.name=echo"},
    ]);
    let report = explain(&agent("echo", "agents", &env).to_string(), &facts()).unwrap();
    for name in [
        "OTEL_SDK_DISABLED",
        "OTEL_SERVICE_NAME",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ] {
        let line = report
            .lines()
            .find(|it| it.contains(&format!(" {name} = ")));
        assert!(
            line.is_some_and(|it| it.ends_with("[set by the KAOS operator]")),
            "{report}"
        );
    }
}

#[test]
fn lists_and_several_documents_are_taken_apart() {
    let facts = facts();
    let pod = agent("echo", "agents", &json!([]));
    let list = json!({"kind": "List", "apiVersion": "v1", "items": [pod, pod]});
    let report = explain(&list.to_string(), &facts).unwrap();
    assert_eq!(report.matches("Pod agents/").count(), 2);
    let two = format!("{pod}\n---\n{pod}\n");
    assert_eq!(explain(&two, &facts).unwrap(), report);
    let elsewhere = agent("echo", "elsewhere", &json!([]));
    let report = explain(&elsewhere.to_string(), &facts).unwrap();
    assert!(report.contains("The namespace was not given"), "{report}");
}

#[test]
fn what_is_no_pod_is_refused() {
    let said = |text: &str| explain(text, &facts()).unwrap_err().to_string();
    assert_eq!(
        said("kind: Deployment"),
        "a Deployment is no Pod and no List of pods (try kubectl get pod -o yaml)"
    );
    assert_eq!(said(""), "no pod is there");
    assert!(said("kind: Pod\nspec: 1").starts_with("not of a pod's shape: "));
    assert!(said("a: [").starts_with("not YAML: "));
}
