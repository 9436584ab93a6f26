//! Reviews as an API server sends them, and what is answered.
//!
//! `UPDATE_GOLDEN=1 cargo test -p kaos-webhook golden` writes the answers anew: read the
//! difference before it is committed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use webhook_core::{BadReview, Doubt, Outcome, decide, unchanged};

use crate::support::{applied, check_laws, facts};

fn reviews() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    files.sort();
    files
}

#[test]
fn each_review_gets_its_answer() {
    let facts = facts();
    for path in reviews() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        println!("{name}");
        let review: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let (decision, _) = check_laws(&review, &facts);
        let patch: Option<Value> = match decision.patch() {
            [] => None,
            patch => Some(serde_json::from_slice(patch).unwrap()),
        };
        let said = json!({
            "outcome": decision.outcome().label(),
            "reason": decision.outcome().reason(),
            "warnings": decision.warnings(),
            "patch": patch,
        });
        let said = serde_json::to_string_pretty(&said).unwrap() + "\n";
        let expected = path.with_extension("expected.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said, wanted, "{name}");
    }
}

/// A review of a pod, by its golden name.
fn review(name: &str) -> Value {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = fs::read(dir.join(name).with_extension("json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn what_is_no_review_is_an_error_and_never_a_refusal() {
    let whole = serde_json::to_vec(&review("agent")).unwrap();
    let facts = facts();
    for end in 0..whole.len() {
        let cut = decide(&whole[..end], &facts);
        assert!(matches!(cut, Err(BadReview::Shape { .. })), "{end}");
    }
    let said = |change: &dyn Fn(&mut Value)| {
        let mut review = review("agent");
        change(&mut review);
        decide(&serde_json::to_vec(&review).unwrap(), &facts).unwrap_err()
    };
    let older = |it: &mut Value| it["apiVersion"] = "admission.k8s.io/v1beta1".into();
    assert_eq!(said(&older), BadReview::Type);
    assert_eq!(said(&|it| it["kind"] = "Pod".into()), BadReview::Type);
    assert_eq!(
        said(&|it| it["request"] = Value::Null),
        BadReview::NoRequest
    );
    assert_eq!(
        said(&|it| it["request"]["uid"] = "".into()),
        BadReview::NoUid
    );
    let long = |it: &mut Value| it["request"]["uid"] = "u".repeat(254).into();
    assert_eq!(said(&long), BadReview::NoUid, "it would be sent back");
    assert_eq!(
        said(&|it| it["request"]["object"] = Value::Null),
        BadReview::NoObject
    );
    assert!(matches!(
        decide(&[0xff, 0xfe], &facts),
        Err(BadReview::Shape { .. })
    ));
}

#[test]
fn errors_do_not_say_what_stands_there() {
    let mut review = review("agent");
    review["request"]["uid"] = json!({"secret": "swordfish"});
    let error = decide(&serde_json::to_vec(&review).unwrap(), &facts()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("swordfish"));
    let decision = decide(
        &serde_json::to_vec(&self::review("agent")).unwrap(),
        &facts(),
    );
    assert!(!format!("{decision:?}").contains("OTEL"));
}

#[test]
fn dry_runs_get_the_same() {
    let facts = facts();
    let patch = |name| check_laws(&review(name), &facts).0.patch().to_vec();
    assert_eq!(patch("agent"), patch("agent_dry_run"));
}

#[test]
fn only_env_and_annotations_are_touched() {
    let review = review("unknown_fields");
    let (decision, _) = check_laws(&review, &facts());
    assert_eq!(decision.outcome(), Outcome::Patched);
    let patch: Value = serde_json::from_slice(decision.patch()).unwrap();
    for operation in patch.as_array().unwrap() {
        // Numbers and fields of a future Kubernetes are never written again, so they stay.
        let place = operation["path"].as_str().unwrap();
        let env = place.starts_with("/spec/containers/0/env/");
        assert!(
            env || place.starts_with("/metadata/annotations/telemetry.kaos.tools~1"),
            "{place}"
        );
        assert_eq!(operation["op"], "add");
    }
}

#[test]
fn a_hundred_containers_each_get_theirs() {
    let mut review = review("other_product");
    let one = review["request"]["object"]["spec"]["containers"][0].clone();
    let all = (0..100).map(|i| {
        let mut container = one.clone();
        container["name"] = format!("c{i}").into();
        container
    });
    review["request"]["object"]["spec"]["containers"] = all.collect();
    let (decision, after) = check_laws(&review, &facts());
    assert_eq!(decision.outcome(), Outcome::Patched);
    for container in after["spec"]["containers"].as_array().unwrap() {
        assert!(container["env"].as_array().unwrap().len() > 10);
    }
}

#[test]
fn what_might_be_refused_for_its_size_stays_as_it_is() {
    let facts = facts();
    let mut large = review("agent");
    large["request"]["object"]["spec"]["future"] = "x".repeat(3 << 20).into();
    let (decision, _) = check_laws(&large, &facts);
    assert_eq!(decision.outcome(), Outcome::FailOpen(Doubt::PodTooLarge));
    let mut noted = review("agent");
    noted["request"]["object"]["metadata"]["annotations"]["note"] = "x".repeat(262_000).into();
    let (decision, _) = check_laws(&noted, &facts);
    assert_eq!(
        decision.outcome(),
        Outcome::FailOpen(Doubt::AnnotationsTooLarge)
    );
    assert!(decision.patch().is_empty());
}

#[test]
fn a_container_added_between_two_calls_gets_its_own() {
    let facts = facts();
    let first = review("other_product");
    let (decision, object) = check_laws(&first, &facts);
    assert_eq!(decision.outcome(), Outcome::Patched);
    let mut second = first.clone();
    second["request"]["object"] = object;
    let late = json!({"name": "late"});
    let containers = &mut second["request"]["object"]["spec"]["containers"];
    containers.as_array_mut().unwrap().insert(0, late);
    let (decision, object) = check_laws(&second, &facts);
    assert_eq!(decision.outcome(), Outcome::Patched);
    let status = &object["metadata"]["annotations"]["telemetry.kaos.tools/status"];
    let status: Value = serde_json::from_str(status.as_str().unwrap()).unwrap();
    for name in ["late", "search", "worker"] {
        assert!(
            status["containers"][name].as_array().unwrap().len() > 10,
            "{status}"
        );
    }
}

#[test]
fn the_rims_answer_is_allowed_and_counted() {
    let review = review("agent");
    let body = serde_json::to_vec(&review).unwrap();
    let decision = unchanged(&body, Doubt::Overload).unwrap();
    assert_eq!(decision.outcome().reason(), "overload");
    assert_eq!(applied(&review, &decision), review["request"]["object"]);
    let answer: Value = serde_json::from_slice(&decision.response()).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
}
