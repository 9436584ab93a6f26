//! The decision on one review, and its answer.

pub(crate) mod endpoint;
mod outcome;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

pub use outcome::{Doubt, Outcome, Reason};

use crate::facts::Facts;
use crate::review::{self, BadReview};

/// What to answer: always "allowed".
#[derive(Clone, PartialEq, Eq)]
pub struct Decision {
    uid: String,
    outcome: Outcome,
    warnings: Vec<String>,
    audit: Vec<(&'static str, String)>,
    patch: Vec<u8>,
    patch_operations: usize,
}

/// Decides on the bytes of a review.
///
/// Pure: no clock, no network, no lock. Whatever is doubtful is [`Outcome::FailOpen`]; only a
/// body that is no review at all is an error.
pub fn decide(body: &[u8], facts: &Facts) -> Result<Decision, BadReview> {
    let request = review::request(body)?;
    let _ = facts;
    Ok(Decision::without_patch(
        &request.uid,
        Outcome::Unchanged(Reason::NotAComponent),
    ))
}

/// The answer when there is no time or room to decide: the pod as it is, counted as `doubt`.
pub fn unchanged(body: &[u8], doubt: Doubt) -> Result<Decision, BadReview> {
    let request = review::request(body)?;
    Ok(Decision::without_patch(
        &request.uid,
        Outcome::FailOpen(doubt),
    ))
}

impl Decision {
    fn without_patch(uid: &str, outcome: Outcome) -> Self {
        Self {
            uid: uid.to_owned(),
            outcome,
            warnings: Vec::new(),
            audit: Vec::new(),
            patch: Vec::new(),
            patch_operations: 0,
        }
    }

    /// What was decided; its label is for metrics.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Lines for the user of `kubectl`, at most 256 bytes each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Audit annotations; the API server puts the webhook's name before the keys.
    #[must_use]
    pub fn audit(&self) -> &[(&'static str, String)] {
        &self.audit
    }

    /// A JSON Patch on `request.object`; empty if there is nothing to change.
    #[must_use]
    pub fn patch(&self) -> &[u8] {
        &self.patch
    }

    /// How many operations the patch has.
    #[must_use]
    pub fn patch_operations(&self) -> usize {
        self.patch_operations
    }

    /// The whole `AdmissionReview` to send, `application/json`.
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        let mut response = serde_json::json!({"uid": self.uid, "allowed": true});
        if !self.patch.is_empty() {
            response["patchType"] = "JSONPatch".into();
            response["patch"] = BASE64.encode(&self.patch).into();
        }
        if !self.warnings.is_empty() {
            response["warnings"] = self.warnings.clone().into();
        }
        if !self.audit.is_empty() {
            let audit = self.audit.iter();
            response["auditAnnotations"] = audit
                .map(|(key, value)| ((*key).to_owned(), Value::from(value.as_str())))
                .collect();
        }
        let review = serde_json::json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        });
        review.to_string().into_bytes()
    }
}

/// Without warnings' texts and the patch: variables may hold secrets.
impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("uid", &self.uid)
            .field("outcome", &self.outcome)
            .field("patch_operations", &self.patch_operations)
            .finish_non_exhaustive()
    }
}
