//! One request: from its head to its answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use prometheus_client::metrics::gauge::Gauge;

use super::body::{Read, read};
use super::room::{Place, Room, Share};
use super::{Limits, shed};
use crate::metrics::{Metrics, Refusal};
use webhook_core::{BadReview, Decision, Doubt, Facts, decide, unchanged};

/// Where reviews go.
pub const PATH: &str = "/mutate";

/// How long API servers are asked to wait, in seconds. Whoever names more gets no more: it is not
/// for clients to say how long they may hold what all share.
pub const TIMEOUT_SECONDS: u64 = 2;

/// The time for requests that name none: half of what we ask API servers to give.
const USUAL_TIME: Duration = Duration::from_secs(1);

/// Decides on reviews.
type Decide = dyn Fn(&[u8], &Facts) -> Result<Decision, BadReview> + Send + Sync;

/// What one client has of what all share.
#[derive(Debug, Default)]
pub(super) struct Uses {
    requests: Share,
    bytes: Share,
    answers: Share,
}

/// Answers requests with what is known at the moment.
pub struct Reviewer {
    facts: Arc<ArcSwap<Facts>>,
    metrics: Arc<Metrics>,
    limits: Limits,
    /// Requests being answered.
    requests: Room,
    /// Bytes of their bodies.
    bytes: Room,
    /// Bytes of answers that are not sent yet.
    answers: Room,
    decide: Box<Decide>,
}

impl std::fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limits, .. } = self;
        f.debug_struct("Reviewer")
            .field("limits", limits)
            .finish_non_exhaustive()
    }
}

impl Reviewer {
    /// Decides by [`decide`] with what is in `facts` when a review has come.
    #[must_use]
    pub fn new(facts: Arc<ArcSwap<Facts>>, metrics: Arc<Metrics>, limits: Limits) -> Self {
        Self::deciding(facts, metrics, limits, Box::new(decide))
    }

    /// Decides by something else.
    pub(super) fn deciding(
        facts: Arc<ArcSwap<Facts>>,
        metrics: Arc<Metrics>,
        limits: Limits,
        decide: Box<Decide>,
    ) -> Self {
        Self {
            facts,
            metrics,
            limits,
            requests: Room::new(limits.in_flight),
            bytes: Room::new(limits.bodies),
            answers: Room::new(limits.answers),
            decide,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Answers a request of a client that has so much already.
    pub(super) async fn answer<B>(&self, request: Request<B>, uses: &Uses) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let begin = Instant::now();
        let counted = InFlight::begin(&self.metrics.in_flight);
        let answer = self.review(request, uses, begin).await;
        drop(counted);
        match answer {
            Ok(decision) => {
                let (decision, body) = self.hold(decision, &uses.answers);
                self.metrics.review(decision.outcome());
                if !decision.patch().is_empty() {
                    self.metrics
                        .operations
                        .observe(decision.patch_operations() as f64);
                }
                let response = json(body);
                self.metrics.duration.observe(begin.elapsed().as_secs_f64());
                response
            }
            Err(refused) => {
                self.metrics.refusal(refused);
                refusal(refused)
            }
        }
    }

    /// The bytes to send of a decision, counted until they are sent or their client is gone: no
    /// client says how soon it reads. What there is no room for says "unchanged" instead.
    fn hold(&self, decision: Decision, share: &Share) -> (Decision, Bytes) {
        let bytes = decision.response();
        if let Some(place) = self.answers.take(bytes.len(), share) {
            let unsent = Unsent {
                bytes,
                _place: place,
            };
            return (decision, Bytes::from_owner(unsent));
        }
        let shed = decision.unchanged(Doubt::Overload);
        let bytes = shed.response().into();
        (shed, bytes)
    }

    async fn review<B>(
        &self,
        request: Request<B>,
        uses: &Uses,
        begin: Instant,
    ) -> Result<Decision, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        check(request.method(), request.uri().path(), request.headers())?;
        let time = time_for(request.uri().query().unwrap_or_default());
        let (head, body) = request.into_parts();
        if length(&head.headers).is_some_and(|length| length > self.limits.body) {
            return Err(Refusal::TooLarge);
        }
        let room = self.requests.take(1, &uses.requests);
        let left = time.saturating_sub(begin.elapsed());
        let (limits, welcome) = (&self.limits, room.is_some());
        let read = read(body, limits, &self.bytes, &uses.bytes, welcome);
        let read = tokio::time::timeout(left, read).await;
        let malformed = |_words_for_nobody| Refusal::Malformed;
        match read.map_err(|_elapsed| Refusal::Slow)?? {
            Read::Prefix(prefix) => {
                shed::answer(&prefix, Doubt::Overload).map_err(|_no_uid| Refusal::Overload)
            }
            Read::Whole(body, _until_decided) if begin.elapsed() > time => {
                unchanged(&body, Doubt::Deadline).map_err(malformed)
            }
            Read::Whole(body, _until_decided) => self.decide(&body).map_err(malformed),
        }
    }

    /// Runs here, not on a thread of its own: a decision takes microseconds, handing it over and
    /// back would take as many.
    fn decide(&self, body: &[u8]) -> Result<Decision, BadReview> {
        self.metrics.body.observe(body.len() as f64);
        let facts = self.facts.load_full();
        // A pod that is marked by nobody's settings would keep the mark for good.
        if !facts.settings_known() {
            return unchanged(body, Doubt::NoSettings);
        }
        // Facts are immutable and the body is ours, so a panic leaves nothing half-done.
        match catch_unwind(AssertUnwindSafe(|| (self.decide)(body, &facts))) {
            Ok(decision) => decision,
            Err(_panic) => {
                self.metrics.panics.inc();
                unchanged(body, Doubt::Panic)
            }
        }
    }
}

fn check(method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    if path != PATH {
        return Err(Refusal::Path);
    }
    if *method != Method::POST {
        return Err(Refusal::Method);
    }
    if !is_json(headers) {
        return Err(Refusal::ContentType);
    }
    Ok(())
}

/// How long a review may take by `?timeout=Ns`. API servers round it up to whole seconds, so up
/// to one of them may be gone already.
fn time_for(query: &str) -> Duration {
    let named = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("timeout="));
    let seconds = named.and_then(|it| it.strip_suffix('s')?.parse::<u64>().ok());
    match seconds {
        None => USUAL_TIME,
        Some(0 | 1) => Duration::from_millis(500),
        Some(seconds) => Duration::from_secs(seconds.min(TIMEOUT_SECONDS) - 1),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = value.and_then(|it| it.split(|byte| *byte == b';').next());
    essence.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json"))
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Words for whoever reads an API server's log.
fn refusal(refusal: Refusal) -> Response<Full<Bytes>> {
    let (status, text) = match refusal {
        Refusal::Path => (StatusCode::NOT_FOUND, "reviews go to /mutate\n"),
        Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, "POST only\n"),
        Refusal::ContentType => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "application/json only\n",
        ),
        Refusal::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "more than a review can have\n",
        ),
        Refusal::Slow => (
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time\n",
        ),
        Refusal::CutOff => (StatusCode::BAD_REQUEST, "the body ended early\n"),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "not an AdmissionReview\n"),
        Refusal::Overload => (StatusCode::SERVICE_UNAVAILABLE, "too many reviews\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// An answer and the room that it takes. Hyper keeps it, uncopied, until the last byte went to TLS.
struct Unsent {
    bytes: Vec<u8>,
    _place: Place,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Counts a request for as long as it lives: a client that goes away ends it anywhere.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn begin(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
