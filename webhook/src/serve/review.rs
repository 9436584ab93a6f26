//! One request: from its head to its answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use prometheus_client::metrics::gauge::Gauge;

use super::Limits;
use super::shed;
use crate::metrics::{Metrics, Refusal};
use webhook_core::{BadReview, Decision, Doubt, Facts, decide, unchanged};

/// Where reviews go.
pub const PATH: &str = "/mutate";

/// The time for requests that name none: half of what we ask API servers to give.
const USUAL_TIME: Duration = Duration::from_secs(1);

/// Decides on reviews.
type Decide = dyn Fn(&[u8], &Facts) -> Result<Decision, BadReview> + Send + Sync;

/// Answers requests with what is known at the moment.
pub struct Reviewer {
    facts: Arc<ArcSwap<Facts>>,
    metrics: Arc<Metrics>,
    limits: Limits,
    /// Requests being answered.
    requests: Room,
    /// Bytes of their bodies.
    bytes: Room,
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

/// What a body came to.
enum Read {
    Whole(Vec<u8>),
    /// There is no room for it; its first bytes.
    Prefix(Vec<u8>),
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
            decide,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let begin = Instant::now();
        let counted = InFlight::begin(&self.metrics.in_flight);
        let answer = self.review(request, begin).await;
        drop(counted);
        match answer {
            Ok(decision) => {
                self.metrics.review(decision.outcome());
                if !decision.patch().is_empty() {
                    self.metrics
                        .operations
                        .observe(decision.patch_operations() as f64);
                }
                let response = json(decision.response());
                self.metrics.duration.observe(begin.elapsed().as_secs_f64());
                response
            }
            Err(refused) => {
                self.metrics.refusal(refused);
                refusal(refused)
            }
        }
    }

    async fn review<B>(&self, request: Request<B>, begin: Instant) -> Result<Decision, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        check(request.method(), request.uri().path(), request.headers())?;
        let time = time_for(request.uri().query().unwrap_or_default());
        let (head, body) = request.into_parts();
        let length = length(&head.headers).unwrap_or(self.limits.body);
        if length > self.limits.body {
            return Err(Refusal::TooLarge);
        }
        let room = self.requests.take(1);
        let memory = self.bytes.take(length);
        let wanted = match (&room, &memory) {
            (Some(_), Some(_)) => usize::MAX,
            _ => shed::PREFIX,
        };
        let left = time.saturating_sub(begin.elapsed());
        let read = tokio::time::timeout(left, read(body, self.limits.body, wanted)).await;
        let malformed = |_words_for_nobody| Refusal::Malformed;
        match read.map_err(|_elapsed| Refusal::Slow)?? {
            Read::Prefix(prefix) => {
                shed::answer(&prefix, Doubt::Overload).map_err(|_no_uid| Refusal::Overload)
            }
            Read::Whole(body) if begin.elapsed() > time => {
                unchanged(&body, Doubt::Deadline).map_err(malformed)
            }
            Read::Whole(body) => self.decide(&body).map_err(malformed),
        }
    }

    /// Runs here, not on a thread of its own: a decision takes microseconds, handing it over and
    /// back would take as many.
    fn decide(&self, body: &[u8]) -> Result<Decision, BadReview> {
        self.metrics.body.observe(body.len() as f64);
        let facts = self.facts.load_full();
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

/// The whole body, or where `keep` is less than that, so many first bytes of it: the rest has to
/// be read in any case, or the client would never come to read the answer.
async fn read<B>(mut body: B, limit: usize, keep: usize) -> Result<Read, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
    let mut kept = Vec::with_capacity(expected.min(limit).min(keep));
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Refusal::CutOff);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        seen += data.len();
        if seen > limit {
            return Err(Refusal::TooLarge);
        }
        let wanted = keep.saturating_sub(kept.len()).min(data.len());
        kept.extend_from_slice(&data[..wanted]);
    }
    if keep == usize::MAX {
        Ok(Read::Whole(kept))
    } else {
        Ok(Read::Prefix(kept))
    }
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
        // The most that Kubernetes allows.
        Some(seconds) => Duration::from_secs(seconds.min(30) - 1),
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

fn json(body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
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

/// A number of places, taken without waiting and given back on drop.
struct Room {
    free: AtomicUsize,
}

struct Place<'a> {
    room: &'a Room,
    taken: usize,
}

impl Room {
    fn new(places: usize) -> Self {
        Self {
            free: AtomicUsize::new(places),
        }
    }

    fn take(&self, wanted: usize) -> Option<Place<'_>> {
        let less = |free: usize| free.checked_sub(wanted);
        let taken = self
            .free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        // Not `then_some`: a place that is made is given back.
        taken.is_ok().then(|| Place {
            room: self,
            taken: wanted,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.room.free.fetch_add(self.taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
