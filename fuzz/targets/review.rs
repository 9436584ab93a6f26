//! The webhook's decision on any bytes: as a review, and as the pod in a review.
#![no_main]

use std::sync::LazyLock;

use webhook_core::{AgentContent, Doubt, Facts, NamespaceFacts, Outcome, Settings, decide};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static FACTS: LazyLock<[Facts; 2]> = LazyLock::new(|| {
    [AgentContent::Strip, AgentContent::Allow].map(|agent_content| {
        let endpoint = "http://$(KAOS_TELEMETRY_NODE_IP):4317".to_owned();
        let settings = Settings {
            endpoint: Some(endpoint.clone()),
            content_stripped: vec![endpoint],
            agent_content,
            ..Settings::default()
        };
        let opted_in = [("telemetry.kaos.tools/inject", "enabled")];
        Facts::new(settings).with_namespace("agents", NamespaceFacts::new(opted_in, []))
    })
});

fuzz_target!(|bytes: &[u8]| {
    for facts in &*FACTS {
        check(bytes, facts);
        check(&review(bytes), facts);
    }
});

/// A review with these bytes for its pod.
fn review(object: &[u8]) -> Vec<u8> {
    let before: &[u8] = br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","namespace":"agents","object":"#;
    [before, object, b"}}"].concat()
}

fn check(body: &[u8], facts: &Facts) {
    let Ok(decision) = decide(body, facts) else {
        return;
    };
    let answer: Value = serde_json::from_slice(&decision.response()).expect("an answer is JSON");
    assert_eq!(answer["response"]["allowed"], true);
    let doubt = Outcome::FailOpen(Doubt::PatchDoesNotApply);
    assert_ne!(decision.outcome(), doubt, "no patch is made that does not apply");
    if decision.patch().is_empty() {
        return;
    }
    // Depths and numbers that a tree cannot hold, the decision passes over unread.
    let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let patch: json_patch::Patch =
        serde_json::from_slice(decision.patch()).expect("a patch is JSON Patch");
    json_patch::patch(&mut review["request"]["object"], &patch).expect("a patch applies");
    let body = serde_json::to_vec(&review).expect("a tree is JSON");
    let second = decide(&body, facts).expect("a patched review is a review");
    assert!(second.patch().is_empty(), "a second call finds nothing to do");
}
