//! What the tests of the decision share: facts, and the laws that every decision keeps.

use std::collections::HashSet;

use serde_json::{Value, json};
use webhook_core::{ComponentFacts, Decision, Facts, Kind, NamespaceFacts, Outcome, Settings};

/// The endpoint that is known to drop prompts.
pub(crate) const KNOWN: &str = "http://collector.telemetry:4317";

/// Namespaces `agents` (opted in), `tenant` (with annotations of its own), `lone` (with a protocol,
/// but no endpoint to go with it) and `plain`; of agents
/// `quiet` is off and `loud` has an endpoint of its own.
pub(crate) fn facts() -> Facts {
    let settings = Settings {
        endpoint: Some(KNOWN.to_owned()),
        content_stripped: vec![KNOWN.to_owned()],
        ..Settings::default()
    };
    let opted_in = [("telemetry.kaos.tools/inject", "enabled")];
    let tenant = [
        (
            "telemetry.kaos.tools/endpoint",
            "https://otlp.tenant.example",
        ),
        ("telemetry.kaos.tools/protocol", "http/protobuf"),
        ("telemetry.kaos.tools/sampler", "parentbased_traceidratio"),
        ("telemetry.kaos.tools/sampler-arg", "0.25"),
        ("telemetry.kaos.tools/resource-attributes", "tenant=blue"),
        ("telemetry.kaos.tools/log-level", "loud"),
        ("telemetry.kaos.tools/capture-content", "true"),
    ];
    let lone = [("telemetry.kaos.tools/protocol", "http/protobuf")];
    let of = |telemetry: Value| {
        ComponentFacts::from_spec(Kind::Agent, &json!({"config": {"telemetry": telemetry}}))
    };
    let loud = of(json!({"enabled": true, "endpoint": "http://collector.telemetry:4317/"}));
    Facts::new(settings)
        .with_namespace("agents", NamespaceFacts::new(opted_in, []))
        .with_namespace("tenant", NamespaceFacts::new(opted_in, tenant))
        .with_namespace("lone", NamespaceFacts::new(opted_in, lone))
        .with_namespace("plain", NamespaceFacts::new([], []))
        .with_component(
            Kind::Agent,
            "agents",
            "quiet",
            of(json!({"endpoint": KNOWN})),
        )
        .with_component(Kind::Agent, "agents", "loud", loud)
}

/// Applies the decision's patch to the review's object, by a full implementation.
pub(crate) fn applied(review: &Value, decision: &Decision) -> Value {
    let mut object = review["request"]["object"].clone();
    if !decision.patch().is_empty() {
        let patch: json_patch::Patch = serde_json::from_slice(decision.patch()).unwrap();
        assert_eq!(patch.0.len(), decision.patch_operations());
        json_patch::patch(&mut object, &patch).expect("the patch applies");
    }
    object
}

/// The laws: nothing of the user's is removed, moved or replaced, references are defined before
/// they are used, the answer is well-formed, and a second call finds nothing to do.
pub(crate) fn check_laws(review: &Value, facts: &Facts) -> (Decision, Value) {
    let body = serde_json::to_vec(review).unwrap();
    let decision = webhook_core::decide(&body, facts).unwrap();
    let before = &review["request"]["object"];
    let after = applied(review, &decision);
    check_answer(review, &decision);
    if decision.patch().is_empty() {
        return (decision, after);
    }
    check_rest(before, &after);
    for list in ["containers", "initContainers"] {
        let containers = before["spec"][list].as_array().into_iter().flatten();
        for (index, container) in containers.enumerate() {
            check_env(&container["env"], &after["spec"][list][index]["env"]);
        }
    }
    let mut again = review.clone();
    again["request"]["object"] = after.clone();
    let second = webhook_core::decide(&serde_json::to_vec(&again).unwrap(), facts).unwrap();
    let said = String::from_utf8_lossy(second.patch()).into_owned();
    assert!(second.patch().is_empty(), "a second call adds {said}");
    assert!(matches!(second.outcome(), Outcome::Unchanged(_)));
    (decision, after)
}

fn check_answer(review: &Value, decision: &Decision) {
    let answer: Value = serde_json::from_slice(&decision.response()).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    let response = &answer["response"];
    assert_eq!(response["uid"], review["request"]["uid"]);
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patch"].is_null(), decision.patch().is_empty());
    assert_eq!(response["patchType"].is_null(), decision.patch().is_empty());
    for warning in decision.warnings() {
        assert!(
            warning.len() <= 256 && !warning.contains(char::is_control),
            "{warning:?}"
        );
    }
}

/// Everything but `env` and our annotations is as before.
fn check_rest(before: &Value, after: &Value) {
    let mut rest = after.clone();
    for list in ["containers", "initContainers"] {
        let containers = before["spec"][list].as_array().into_iter().flatten();
        for (index, container) in containers.enumerate() {
            let now = rest["spec"][list][index].as_object_mut().unwrap();
            match container.get("env") {
                Some(env) => now.insert("env".to_owned(), env.clone()),
                None => now.remove("env"),
            };
        }
    }
    let there = before["metadata"]["annotations"].as_object();
    if let Some(annotations) = rest["metadata"]["annotations"].as_object_mut() {
        let ours = |key: &str| {
            ["status", "capture", "capture-content"]
                .iter()
                .any(|name| key == format!("telemetry.kaos.tools/{name}"))
        };
        annotations
            .retain(|key, _| there.is_some_and(|there| there.contains_key(key)) || !ours(key));
        if annotations.is_empty() && there.is_none() {
            let metadata = rest["metadata"].as_object_mut().unwrap();
            match before["metadata"].get("annotations") {
                Some(null) => metadata.insert("annotations".to_owned(), null.clone()),
                None => metadata.remove("annotations"),
            };
        }
    }
    if before["metadata"].is_null() {
        rest["metadata"] = Value::Null;
        rest.as_object_mut()
            .unwrap()
            .retain(|key, _| before.get(key).is_some());
    }
    let status = "telemetry.kaos.tools/status";
    if there.is_some_and(|it| it.contains_key(status)) {
        rest["metadata"]["annotations"][status] = before["metadata"]["annotations"][status].clone();
    }
    assert_eq!(&rest, before);
}

fn check_env(before: &Value, after: &Value) {
    let list = |env: &Value| env.as_array().cloned().unwrap_or_default();
    let (before, after) = (list(before), list(after));
    let names: HashSet<_> = before
        .iter()
        .map(|it| it["name"].as_str().unwrap_or(""))
        .collect();
    let kept: Vec<_> = { after.iter() }
        .filter(|it| names.contains(it["name"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(kept.len(), before.len(), "an entry is doubled or gone");
    for (old, new) in before.iter().zip(kept) {
        if old == new {
            continue;
        }
        // The only merge: ours before what was there.
        assert_eq!(old["name"], "OTEL_RESOURCE_ATTRIBUTES");
        let was = old["value"].as_str().unwrap_or_default();
        assert!(new["value"].as_str().unwrap().ends_with(was));
        assert!(new["valueFrom"].is_null() && old["valueFrom"].is_null());
    }
    for (index, entry) in after.iter().enumerate() {
        assert!(entry["value"].is_null() || entry["valueFrom"].is_null() || before.contains(entry));
        let value = entry["value"].as_str().unwrap_or_default();
        for name in ["POD_NAME", "POD_UID", "NODE_NAME", "NODE_IP"] {
            let name = format!("KAOS_TELEMETRY_{name}");
            // `$$` is a dollar sign, whatever follows.
            let bare = value.replace("$$", "");
            let ours = !before.contains(entry) && bare.contains(&format!("$({name})"));
            let defined = after[..index].iter().any(|it| it["name"] == name.as_str());
            assert!(
                !ours || defined || was_there(&before, value, &name),
                "{name} comes too late"
            );
        }
    }
}

/// True if a user's own value already had the reference.
fn was_there(before: &[Value], value: &str, name: &str) -> bool {
    let reference = format!("$({name})");
    before.iter().any(|it| {
        let was = it["value"].as_str().unwrap_or_default();
        was.contains(&reference)
            && value.ends_with(was)
            && value.matches(&reference).count() == was.matches(&reference).count()
    })
}
