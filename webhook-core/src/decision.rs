//! The decision on one review, and its answer.

mod attributes;
mod check;
mod choice;
pub(crate) mod component;
pub(crate) mod container;
pub(crate) mod endpoint;
mod env;
pub(crate) mod level;
mod operator;
mod outcome;
mod patch;
pub(crate) mod plan;
mod select;
pub(crate) mod status;
pub(crate) mod variables;
pub(crate) mod warnings;
mod wishes;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

pub use component::resource_of;
pub use outcome::{Doubt, Outcome, Reason};

use self::patch::Patch;
use self::plan::{Plan, WhyNot};
use self::warnings::Warnings;
pub(crate) use self::wishes::is_line;
use crate::facts::Facts;
use crate::names;
use crate::review::pod::Pod;
use crate::review::{self, BadReview, Present};

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

/// A bigger review gets nothing: etcd takes 1.5 MiB, in a denser form than JSON, and a pod must not
/// fail by what we add.
const MAX_POD_BYTES: usize = 1_560_000;
/// What Kubernetes takes of keys and values of annotations together.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// Decides on the bytes of a review.
///
/// Pure: no clock, no network, no lock. Whatever is doubtful is [`Outcome::FailOpen`]; only a
/// body that is no review at all is an error.
pub fn decide(body: &[u8], facts: &Facts) -> Result<Decision, BadReview> {
    // Before anything is built of it: what follows costs time and memory by its size.
    if body.len() > MAX_POD_BYTES {
        return without_a_pod(body, Doubt::PodTooLarge);
    }
    if review::entries::are_too_many(body) {
        return without_a_pod(body, Doubt::UnreadablePod);
    }
    let Ok(request) = review::request::<Pod<'_>>(body) else {
        return without_a_pod(body, Doubt::UnreadablePod);
    };
    let mut decision = Decision::without_patch(&request.uid, Outcome::Patched);
    if !request.creates_pod() {
        decision.outcome = Outcome::Unchanged(Reason::NotAPodsCreation);
        return Ok(decision);
    }
    let pod = request.object.ok_or(BadReview::NoObject)?;
    let namespace = request.namespace.as_deref();
    let own = pod.metadata.as_ref().and_then(|it| it.namespace.as_deref());
    let namespace = namespace.or(own).unwrap_or_default();
    let plan = plan::plan(&pod, namespace, facts);
    decision.carry_out(&plan, &pod, body.len(), facts);
    Ok(decision)
}

/// Decides on a body whose pod is not looked at, by `doubt`, or that is none of a pod.
fn without_a_pod(body: &[u8], doubt: Doubt) -> Result<Decision, BadReview> {
    let request = review::request::<Present>(body)?;
    let mut decision = Decision::without_patch(&request.uid, Outcome::Patched);
    if request.creates_pod() {
        request.object.ok_or(BadReview::NoObject)?;
        decision.fail_open(doubt);
    } else {
        decision.outcome = Outcome::Unchanged(Reason::NotAPodsCreation);
    }
    Ok(decision)
}

/// The answer when there is no time or room to decide: the pod as it is, counted as `doubt`.
pub fn unchanged(body: &[u8], doubt: Doubt) -> Result<Decision, BadReview> {
    let request = review::request::<Present>(body)?;
    let mut decision = Decision::without_patch(&request.uid, Outcome::Patched);
    decision.fail_open(doubt);
    Ok(decision)
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

    fn carry_out(&mut self, plan: &Plan<'_>, pod: &Pod<'_>, size: usize, facts: &Facts) {
        if let Some(WhyNot::Doubt(doubt)) = plan.why_not {
            self.fail_open(doubt);
            return;
        }
        let (patch, operations) = operations(plan, pod);
        if let Some(doubt) = objection(plan, pod, &patch, size) {
            self.fail_open(doubt);
            return;
        }
        self.outcome = match plan.why_not {
            Some(WhyNot::Reason(reason)) if patch.is_empty() => Outcome::Unchanged(reason),
            Some(WhyNot::Reason(reason)) => Outcome::Marked(reason),
            Some(WhyNot::Doubt(_)) | None => Outcome::Patched,
        };
        // A second call that finds all done has nothing new to say.
        let first = !patch.is_empty() || pod.annotation(names::STATUS).is_none();
        if first && (plan.component.is_some() || !plan.warnings.lines().is_empty()) {
            self.tell(&plan.warnings);
        }
        self.audit
            .push(("config-hash", facts.config_hash().to_owned()));
        self.audit
            .push(("outcome", self.outcome.label().to_owned()));
        if self.outcome != Outcome::Patched {
            self.audit
                .push(("reason", self.outcome.reason().to_owned()));
        }
        (self.patch, self.patch_operations) = (patch, operations);
    }

    /// The reason first, then what was found on the way.
    fn tell(&mut self, found: &Warnings) {
        let mut all = Warnings::default();
        if let Outcome::Marked(reason) | Outcome::Unchanged(reason) = self.outcome {
            // Of what is no component, there is something to say only of a label that says it is.
            let said = reason == Reason::NotAComponent && !found.lines().is_empty();
            if !said && !reason.is_worth_a_warning() {
                return;
            }
            all.push(format!("kaos-telemetry: nothing injected: {reason}"));
        }
        for line in found.lines() {
            all.push(format!("kaos-telemetry: {line}"));
        }
        self.warnings = all.into_lines();
    }

    fn fail_open(&mut self, doubt: Doubt) {
        self.outcome = Outcome::FailOpen(doubt);
        self.warnings = vec![format!("kaos-telemetry: nothing injected: {doubt}")];
        self.audit
            .push(("outcome", self.outcome.label().to_owned()));
        self.audit.push(("reason", doubt.label().to_owned()));
    }

    /// The answer to the same review if its pod is to stay as it is, counted as `doubt`.
    #[must_use]
    pub fn unchanged(&self, doubt: Doubt) -> Self {
        let mut decision = Self::without_patch(&self.uid, Outcome::Patched);
        decision.fail_open(doubt);
        decision
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

/// Why nothing is done by a plan for a pod of so many bytes, if it is not.
pub(crate) fn doubt(plan: &Plan<'_>, pod: &Pod<'_>, size: usize) -> Option<Doubt> {
    objection(plan, pod, &operations(plan, pod).0, size)
}

fn objection(plan: &Plan<'_>, pod: &Pod<'_>, patch: &[u8], size: usize) -> Option<Doubt> {
    match () {
        () if patch.is_empty() => None,
        () if size + patch.len() > MAX_POD_BYTES => Some(Doubt::PodTooLarge),
        () if too_many_annotations(pod, &plan.marks) => Some(Doubt::AnnotationsTooLarge),
        () if !check::applies(patch, pod) => Some(Doubt::PatchDoesNotApply),
        () => None,
    }
}

/// The patch that carries out a plan, and how many operations it has.
fn operations(plan: &Plan<'_>, pod: &Pod<'_>) -> (Vec<u8>, usize) {
    let mut patch = Patch::default();
    for container in &plan.containers {
        if let Ok(variables) = &container.variables {
            let place = container.place;
            let container = format!("/spec/{}/{}", place.list, place.index);
            patch.container(&container, place.container.env.is_some(), variables);
        }
    }
    let metadata = pod.metadata.as_ref();
    let annotations = metadata.is_some_and(|it| it.annotations.is_some());
    patch.annotations(metadata.is_some(), annotations, &plan.marks);
    patch.finish()
}

/// True if the pod would be refused for the size of its annotations.
fn too_many_annotations(pod: &Pod<'_>, marks: &[(&'static str, String)]) -> bool {
    let metadata = pod.metadata.as_ref();
    let there = metadata.and_then(|it| it.annotations.as_ref());
    let there = there.iter().flat_map(|it| &it.0);
    let there: usize = there.map(|(name, value)| name.len() + value.len()).sum();
    let more: usize = marks
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    there + more > MAX_ANNOTATION_BYTES
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
