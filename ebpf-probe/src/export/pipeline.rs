//! The worker that takes spans from the queue to the collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use probe_core::span::Span;
use tokio::sync::watch;
use tokio::time::timeout;

use super::backoff::Backoff;
use super::clock::Clock;
use super::config::Batch;
use super::encode;
use super::queue::Queue;
use super::resource::Registry;
use super::selfmetrics::{self, Cell, Counters};
use super::transport::{Reason, SendError, Transport};

/// The most bytes of a batch: collectors refuse more than 4 MiB by default.
const MAX_BATCH_BYTES: usize = 3 << 20;

/// The worker and what it works on.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// What waits.
    pub(crate) queue: Arc<Queue>,
    /// How many spans are on their way: lost if the worker is stopped now.
    pub(crate) in_flight: Arc<AtomicUsize>,
    registry: Arc<Registry>,
    transport: Transport,
    batch: Batch,
    schema_url: &'static str,
    counters: Counters,
    exported: Cell,
}

impl Pipeline {
    /// A worker that has not started.
    pub(crate) fn new(
        queue: Arc<Queue>,
        registry: Arc<Registry>,
        transport: Transport,
        batch: Batch,
        schema_url: &'static str,
        counters: &Counters,
    ) -> Self {
        Self {
            queue,
            in_flight: Arc::default(),
            registry,
            transport,
            batch,
            schema_url,
            counters: counters.clone(),
            exported: counters.cell(&selfmetrics::SPANS_EXPORTED),
        }
    }

    /// Works until `stop` is true and the queue is empty.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::default();
        let mut most = self.batch.max_batch_size;
        loop {
            self.fill(&mut stop).await;
            if self.queue.len() == 0 && *stop.borrow() {
                return;
            }
            let Some(after) = self.send_one(&mut most).await else {
                backoff.reset();
                continue;
            };
            let pause = backoff.next(after);
            if *stop.borrow() {
                tokio::time::sleep(pause).await;
            } else {
                // A stop ends the pause: the drain has a deadline.
                let _stopped = timeout(pause, stop.changed()).await;
            }
        }
    }

    /// Waits for a span, then for a full batch or the end of the schedule's delay.
    async fn fill(&self, stop: &mut watch::Receiver<bool>) {
        if *stop.borrow() {
            return;
        }
        tokio::select! {
            () = self.queue.at_least(1) => {}
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = self.queue.at_least(self.batch.max_batch_size) => {}
            () = tokio::time::sleep(self.batch.schedule_delay) => {}
            _ = stop.changed() => {}
        }
    }

    /// Sends one batch of at most so many spans: half as many after one that was too large, and
    /// twice as many after one that was taken. `Some` says to pause, for as long as the collector
    /// asked if it did.
    async fn send_one(&self, most: &mut usize) -> Option<Option<Duration>> {
        let spans = self.queue.take(*most, MAX_BATCH_BYTES);
        if spans.is_empty() {
            return None;
        }
        let count = spans.len();
        self.in_flight.store(count, Ordering::Relaxed);
        let clock = Clock::measure();
        let request = encode::traces(&spans, &self.registry, clock, self.schema_url);
        let sent = timeout(self.batch.export_timeout, self.transport.traces(request)).await;
        let sent = sent.unwrap_or(Err(SendError::Retry {
            reason: Reason::Timeout,
            after: None,
        }));
        let pause = match sent {
            Ok(accepted) => {
                let rejected = accepted.rejected.min(count as u64);
                self.exported.add(count as u64 - rejected);
                self.dropped("rejected", rejected);
                *most = most.saturating_mul(2).min(self.batch.max_batch_size);
                None
            }
            Err(error) => {
                self.failed(error);
                if let SendError::Retry { after, .. } = error {
                    self.dropped("queue_full", self.queue.put_back(spans));
                    Some(after)
                } else {
                    self.refused(error, spans, most);
                    None
                }
            }
        };
        self.in_flight.store(0, Ordering::Relaxed);
        pause
    }

    /// What becomes of a batch that will not be taken as it is.
    fn refused(&self, error: SendError, spans: Vec<Arc<Span>>, most: &mut usize) {
        let count = spans.len();
        match error {
            SendError::TooLarge(_) if count > 1 => {
                *most = count / 2;
                self.dropped("queue_full", self.queue.put_back(spans));
            }
            SendError::TooLarge(_) => self.dropped("too_large", count as u64),
            SendError::Retry { .. } | SendError::Fatal(_) => {
                self.dropped("rejected", count as u64);
            }
        }
    }

    fn dropped(&self, reason: &str, count: u64) {
        if count > 0 {
            let cell = self.counters.labelled(&selfmetrics::SPANS_DROPPED, reason);
            cell.add(count);
        }
    }

    fn failed(&self, error: SendError) {
        let cell = self
            .counters
            .labelled(&selfmetrics::EXPORTS_FAILED, "traces");
        cell.add(1);
        // One line in powers of two: an outage of an hour must not fill the log.
        if cell.get().is_power_of_two() {
            tracing::warn!(failures = cell.get(), %error, "Exporting spans failed.");
        }
    }
}
