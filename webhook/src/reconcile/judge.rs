//! Whether the webhook would have injected into a pod that runs.

use serde_json::value::RawValue;

use webhook_core::{Facts, Outcome, decide};

/// Asks the decision itself, as if the pod were created now; so nothing is called missed that
/// would be left alone.
///
/// `pod` is the pod in JSON, as the API server gives it.
pub(super) fn is_missed(pod: &RawValue, namespace: &str, facts: &Facts) -> bool {
    let review = serde_json::json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "reconcile",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": namespace,
            "object": pod,
        },
    });
    let decision = decide(review.to_string().as_bytes(), facts);
    decision.is_ok_and(|it| matches!(it.outcome(), Outcome::Patched | Outcome::Marked(_)))
}
