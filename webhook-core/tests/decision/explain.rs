//! Pods that get nothing, and what `explain` says of each; and one that gets something.

use std::path::Path;

use serde_json::{Value, json};
use webhook_core::{Facts, Settings, component_from_text, decide, explain, namespace_from_text};

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

/// The webhook's own word for what becomes of this pod.
fn label(pod: &Value, facts: &Facts) -> &'static str {
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
    decision.outcome().reason()
}

/// The files in a folder under `tests/nothing`, by name.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort_unstable();
    files
}

/// What the pods of `tests/nothing` live among.
fn surroundings() -> Facts {
    let mut facts = Facts::new(Settings::default());
    for (name, text) in files("tests/nothing") {
        if name == "config" {
            facts = facts.with_settings(Settings::from_yaml(&text).unwrap());
        } else if name.starts_with("namespace-") {
            let (name, namespace) = namespace_from_text(&text).unwrap();
            facts = facts.with_namespace(&name, namespace);
        } else {
            let (kind, namespace, name, component) = component_from_text(&text).unwrap();
            facts = facts.with_component(kind, &namespace, &name, component);
        }
    }
    facts
}

/// Each file is named by the webhook's word, and begins with the sentence that is said. The
/// program's own test prints the same files.
#[test]
fn ten_pods_that_get_nothing_and_why() {
    let facts = surroundings();
    let pods = files("tests/nothing/pods");
    assert_eq!(pods.len(), 10);
    for (name, text) in pods {
        let report = explain(&text, &facts).unwrap();
        let (sentence, _) = text.strip_prefix("# ").unwrap().split_once('\n').unwrap();
        let said = report.lines().find(|it| it.contains("Nothing injected"));
        assert_eq!(said.map(str::trim), Some(sentence), "{name}: {report}");
        let pod: Value = serde_norway::from_str(&text).unwrap();
        assert_eq!(label(&pod, &facts), name, "{report}");
    }
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
fn a_pod_that_runs_is_explained_by_what_was_recorded_first() {
    let facts = surroundings();
    let of = |status: Option<&str>| {
        let mut pod = agent("echo", "agents", &json!([]));
        pod["metadata"]["uid"] = "u1".into();
        if let Some(status) = status {
            pod["metadata"]["annotations"]["telemetry.kaos.tools/status"] = status.into();
        }
        explain(&pod.to_string(), &facts).unwrap()
    };
    let hash = facts.config_hash();
    let here = json!({"version": "1.2", "config": hash, "reason": "no_endpoint"}).to_string();
    for (status, said) in [
        (
            Some(here.as_str()),
            format!(
                "nothing injected: no level gives an endpoint that can be right (configuration {hash}, the same as here; version 1.2)"
            ),
        ),
        (
            Some(r#"{"config":"0123"}"#),
            "injected (configuration 0123, another than here; version )".to_owned(),
        ),
        (
            Some(r#"{"reason":"a\u0007b"}"#),
            "nothing injected: a\u{fffd}b (configuration , another than here; version )".to_owned(),
        ),
        (
            Some("nonsense"),
            "telemetry.kaos.tools/status cannot be read".to_owned(),
        ),
        (
            None,
            "nothing is recorded: it was left alone, or the webhook was not asked".to_owned(),
        ),
    ] {
        let report = of(status);
        let second = report.lines().nth(1).unwrap();
        assert_eq!(second, format!("  When it was created: {said}."));
    }
    // One that nobody has created yet has no past.
    let report = explain(&agent("echo", "agents", &json!([])).to_string(), &facts).unwrap();
    assert!(!report.contains("created"), "{report}");
}

#[test]
fn what_was_not_given_is_said() {
    let of = |facts: &Facts| explain(&agent("x", "agents", &json!([])).to_string(), facts).unwrap();
    let said = "The configuration was not given";
    assert!(of(&Facts::unknown()).contains(said));
    assert!(!of(&Facts::new(Settings::default())).contains(said));
}

#[test]
fn what_the_webhook_leaves_alone_for_its_size_is_said() {
    let mut pod = agent("loud", "agents", &json!([]));
    pod["spec"]["future"] = "x".repeat(1_600_000).into();
    let report = explain(&pod.to_string(), &facts()).unwrap();
    assert!(
        report.contains("Nothing injected: the pod is so big"),
        "{report}"
    );
    assert!(!report.contains("Container "), "{report}");
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
