//! Keeps [`Facts`] as the API server and the settings have them.
//!
//! Each watch puts what changed into a new snapshot. While the API server is away the last one
//! stays, and reviews are answered by it.

pub mod components;
pub mod namespaces;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{Stream, StreamExt as _};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;

use crate::metrics::Metrics;
use webhook_core::Facts;

/// The snapshot of the moment; reviews take it without waiting.
pub type Shared = Arc<ArcSwap<Facts>>;

/// How long to wait after a failure: twice as long each time, with chance, up to 15 s. So a CRD
/// that comes later is found in that time.
#[derive(Clone, Debug)]
pub struct Patience(Duration);

impl Patience {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(15);
}

impl Default for Patience {
    fn default() -> Self {
        Self(Self::FIRST)
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let next = self.0;
        self.0 = (next * 2).min(Self::LONGEST);
        Some(next.mul_f64(fastrand::f64().mul_add(0.5, 0.5)))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// What a watch says, put in order.
#[derive(Debug)]
enum Change<K> {
    /// Exactly these are there.
    All(Vec<K>),
    One(K),
    Gone(K),
    /// The kind of resource does not exist.
    NoSuchResource,
}

/// Follows a watch forever; `apply` puts each change into the facts.
///
/// Objects of a list are made small by `trim` as they come, so that a long list of big objects
/// is never held.
async fn follow<K, T>(
    events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send,
    resource: &'static str,
    metrics: &Metrics,
    trim: impl Fn(K) -> T,
    mut apply: impl FnMut(Change<T>),
) {
    metrics.watch_synced(resource, false);
    let mut events = std::pin::pin!(events);
    let mut list = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => list.clear(),
            Ok(watcher::Event::InitApply(object)) => list.push(trim(object)),
            Ok(watcher::Event::InitDone) => {
                apply(Change::All(std::mem::take(&mut list)));
                metrics.watch_synced(resource, true);
            }
            Ok(watcher::Event::Apply(object)) => apply(Change::One(trim(object))),
            Ok(watcher::Event::Delete(object)) => apply(Change::Gone(trim(object))),
            Err(error) if is_absent(&error) => {
                apply(Change::NoSuchResource);
                metrics.watch_synced(resource, true);
            }
            Err(error) => failed(resource, &error, metrics),
        }
    }
}

/// Counts and says a failure. At most one each few seconds: whoever watches has patience.
pub(crate) fn failed(resource: &'static str, error: &watcher::Error, metrics: &Metrics) {
    metrics.watch_error(resource);
    let why = words(error);
    tracing::warn!(resource, why, "Cannot watch; what was seen last stays.");
}

/// What may be said of a watch's error.
pub(crate) fn words(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => words_of(error),
        other => other.to_string(),
    }
}

/// What may be said of an error: what cannot be read is quoted by the library, and may be a key.
pub(crate) fn words_of(error: &kube::Error) -> String {
    match error {
        kube::Error::SerdeError(_) => "the API server's answer cannot be read".to_owned(),
        other => other.to_string(),
    }
}

/// Whether the API server knows no such kind of resource.
fn is_absent(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) =
        error
    else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests;
