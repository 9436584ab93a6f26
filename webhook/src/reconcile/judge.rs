//! Whether the webhook would have injected into a pod that runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::value::RawValue;

use webhook_core::{Facts, Outcome, decide};

/// The decision panicked; the hook has said where.
#[derive(Debug)]
pub(super) struct Panicked;

/// Asks the decision itself, as if the pod were created now; so nothing is called missed that
/// would be left alone.
///
/// `pod` is the pod in JSON, as the API server gives it.
/// What was `marked` before counts only if it would get more than another mark.
pub(super) fn is_missed(
    pod: &RawValue,
    namespace: &str,
    marked: bool,
    facts: &Facts,
) -> Result<bool, Panicked> {
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
    let review = review.to_string();
    // One pod that breaks the decision must not end the counting of all others. Facts are
    // immutable and the review is ours, so a panic leaves nothing half-done.
    let decided = catch_unwind(AssertUnwindSafe(|| decide(review.as_bytes(), facts)));
    let decision = decided.map_err(|_panic| Panicked)?;
    Ok(decision.is_ok_and(|it| match it.outcome() {
        Outcome::Patched => true,
        Outcome::Marked(_) => !marked,
        Outcome::Unchanged(_) | Outcome::FailOpen(_) => false,
    }))
}
