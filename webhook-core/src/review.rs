//! Reads an `AdmissionReview` as it came, borrowing from its bytes.

pub(crate) mod entries;
mod list;
pub(crate) mod pod;
mod text;

use serde::Deserialize;

pub(crate) use list::{List, MAX_NAME_BYTES, Name};
pub(crate) use text::{Map, Present, Text};

/// Why a body is no review. The rim answers 400: the API server then obeys the failure policy,
/// and counts it.
///
/// Says places, never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReview {
    /// No JSON, or not of a review's shape.
    #[error("not an AdmissionReview: line {line}, column {column}")]
    Shape {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// Another `kind` or `apiVersion`.
    #[error("not an AdmissionReview of admission.k8s.io/v1")]
    Type,
    /// No `request`.
    #[error("an AdmissionReview without a request")]
    NoRequest,
    /// No `request.uid`, or one that no API server gives: nothing could be answered.
    #[error("a request without a usable uid")]
    NoUid,
    /// A pod is created, but there is no `request.object`.
    #[error("a request to create without an object")]
    NoObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "O: Deserialize<'de>"))]
struct Review<'a, O> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default = "none")]
    request: Option<Request<'a, O>>,
}

fn none<T>() -> Option<T> {
    None
}

/// What the API server asks, with an object read as `O`. Unknown fields are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "O: Deserialize<'de>"))]
pub(crate) struct Request<'a, O> {
    #[serde(borrow, default)]
    pub(crate) uid: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) kind: GroupVersionKind<'a>,
    #[serde(borrow, default)]
    pub(crate) sub_resource: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) operation: Text<'a>,
    /// The truth; the pod's own may be empty.
    #[serde(borrow, default)]
    pub(crate) namespace: Option<Text<'a>>,
    /// None if absent or null.
    #[serde(default = "none")]
    pub(crate) object: Option<O>,
}

#[derive(Deserialize, Default)]
pub(crate) struct GroupVersionKind<'a> {
    #[serde(borrow, default)]
    pub(crate) group: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) version: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) kind: Text<'a>,
}

/// The request of a review, in one pass over the body. Its uid, which goes into the answer, is
/// neither empty nor endless.
pub(crate) fn request<'a, O: Deserialize<'a>>(body: &'a [u8]) -> Result<Request<'a, O>, BadReview> {
    let review: Review<'a, O> = serde_json::from_slice(body).map_err(|error| BadReview::Shape {
        line: error.line(),
        column: error.column(),
    })?;
    let of =
        |text: &Option<Text<'_>>, wanted: &str| text.as_ref().is_some_and(|it| &**it == wanted);
    if !of(&review.kind, "AdmissionReview") || !of(&review.api_version, "admission.k8s.io/v1") {
        return Err(BadReview::Type);
    }
    let request = review.request.ok_or(BadReview::NoRequest)?;
    if request.uid.is_empty() || request.uid.len() > MAX_NAME_BYTES {
        return Err(BadReview::NoUid);
    }
    Ok(request)
}

impl<O> Request<'_, O> {
    /// True if a pod itself is created, not changed, bound or executed in.
    pub(crate) fn creates_pod(&self) -> bool {
        let GroupVersionKind {
            group,
            version,
            kind,
        } = &self.kind;
        &*self.operation == "CREATE"
            && group.is_empty()
            && &**version == "v1"
            && &**kind == "Pod"
            && self.sub_resource.as_deref().unwrap_or_default().is_empty()
    }
}
