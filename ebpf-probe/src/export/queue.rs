//! The bounded queue between the pipeline and the collector.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use probe_core::span::{Span, Value};
use tokio::sync::Notify;

/// Spans that wait for export. When it is full, by count or by bytes, the oldest go: after an
/// outage the newest are worth most.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Wakes the worker when something came.
    changed: Notify,
    max_spans: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    spans: VecDeque<Arc<Span>>,
    bytes: usize,
}

impl Queue {
    /// An empty queue with its bounds.
    pub(crate) fn new(max_spans: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            max_spans: max_spans.max(1),
            max_bytes,
        }
    }

    /// Adds a span at the end and returns how many were dropped for it.
    #[must_use]
    pub(crate) fn push(&self, span: Arc<Span>) -> u64 {
        let mut state = self.lock();
        state.bytes += weight(&span);
        state.spans.push_back(span);
        let dropped = self.trim(&mut state);
        drop(state);
        self.changed.notify_one();
        dropped
    }

    /// Takes up to `max` of the oldest spans, of `max_bytes` together; one at least, if any waits.
    pub(crate) fn take(&self, max: usize, max_bytes: usize) -> Vec<Arc<Span>> {
        let mut state = self.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < max
            && let Some(next) = state.spans.front().map(|span| weight(span))
            && (batch.is_empty() || bytes + next <= max_bytes)
        {
            batch.extend(state.spans.pop_front());
            bytes += next;
        }
        state.bytes -= bytes;
        batch
    }

    /// Puts a batch that could not be sent back to the front, and returns how many were dropped
    /// because newer ones had filled the queue meanwhile.
    #[must_use]
    pub(crate) fn put_back(&self, batch: Vec<Arc<Span>>) -> u64 {
        let mut state = self.lock();
        for span in batch.into_iter().rev() {
            state.bytes += weight(&span);
            state.spans.push_front(span);
        }
        self.trim(&mut state)
    }

    /// How many spans wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().spans.len()
    }

    /// Waits until at least `count` spans wait.
    pub(crate) async fn at_least(&self, count: usize) {
        let count = count.min(self.max_spans);
        while self.len() < count {
            self.changed.notified().await;
        }
    }

    /// Drops the oldest until the bounds hold; the newest one always stays.
    fn trim(&self, state: &mut State) -> u64 {
        let mut dropped = 0;
        while state.spans.len() > self.max_spans
            || (state.bytes > self.max_bytes && state.spans.len() > 1)
        {
            let Some(oldest) = state.spans.pop_front() else {
                break;
            };
            state.bytes -= weight(&oldest);
            dropped += 1;
        }
        dropped
    }

    /// A panic elsewhere cannot leave the deque half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how many bytes a span holds: opted-in content makes some of them large.
fn weight(span: &Span) -> usize {
    let events = span.events.iter().flat_map(|event| &event.attributes);
    let attributes = span.attributes.iter().chain(events);
    let content: usize = attributes.map(|it| 48 + value_weight(&it.value)).sum();
    size_of::<Span>() + span.name.len() + span.trace_state.len() + content
}

fn value_weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Strings(texts) => texts.iter().map(|text| 24 + text.len()).sum(),
        Value::Static(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::span_number;
    use proptest::prelude::*;

    const PLENTY: usize = usize::MAX;

    fn starts(batch: &[Arc<Span>]) -> Vec<u64> {
        batch.iter().map(|span| span.start).collect()
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_says_so() {
        let queue = Queue::new(3, PLENTY);
        let dropped: u64 = (0..5).map(|n| queue.push(span_number(n))).sum();
        assert_eq!(dropped, 2);
        assert_eq!(starts(&queue.take(10, PLENTY)), [2, 3, 4]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn bytes_are_a_bound_too_but_one_span_always_fits() {
        let queue = Queue::new(100, 3_000);
        let big = |n| {
            let mut span = Span::clone(&span_number(n));
            span.name = "x".repeat(2_500);
            Arc::new(span)
        };
        assert_eq!(queue.push(big(0)), 0);
        assert_eq!(queue.push(big(1)), 1);
        assert_eq!(starts(&queue.take(10, PLENTY)), [1]);
    }

    #[test]
    fn a_batch_is_bounded_by_bytes_too_but_never_empty() {
        let queue = Queue::new(100, PLENTY);
        for n in 0..4 {
            let _ = queue.push(span_number(n));
        }
        let each = weight(&span_number(0));
        assert_eq!(starts(&queue.take(10, 2 * each)), [0, 1]);
        assert_eq!(starts(&queue.take(10, 1)), [2]);
        assert_eq!(starts(&queue.take(10, PLENTY)), [3]);
        assert_eq!(starts(&queue.take(10, PLENTY)), [0; 0]);
    }

    #[test]
    fn a_batch_comes_back_to_the_front_and_loses_its_oldest_where_there_is_no_room() {
        let queue = Queue::new(4, PLENTY);
        for n in 0..4 {
            let _ = queue.push(span_number(n));
        }
        let batch = queue.take(3, PLENTY);
        let _ = queue.push(span_number(4));
        let _ = queue.push(span_number(5));
        assert_eq!(queue.put_back(batch), 2);
        assert_eq!(starts(&queue.take(10, PLENTY)), [2, 3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_enough_came() {
        let queue = Arc::new(Queue::new(10, PLENTY));
        let waiter = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.at_least(2).await }
        });
        let _ = queue.push(span_number(0));
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        let _ = queue.push(span_number(1));
        waiter.await.unwrap();
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_or_is_counted(
            max in 1_usize..8,
            steps in proptest::collection::vec(0_u8..4, 0..64),
        ) {
            let queue = Queue::new(max, PLENTY);
            let (mut pushed, mut dropped, mut sent) = (0_u64, 0_u64, 0_u64);
            for step in steps {
                match step {
                    0 | 1 => {
                        dropped += queue.push(span_number(pushed));
                        pushed += 1;
                    }
                    2 => sent += queue.take(2, PLENTY).len() as u64,
                    _ => {
                        let batch = queue.take(3, PLENTY);
                        dropped += queue.put_back(batch);
                    }
                }
                prop_assert!(queue.len() <= max);
            }
            prop_assert_eq!(pushed, dropped + sent + queue.len() as u64);
            queue.take(max, PLENTY);
            prop_assert_eq!(queue.lock().bytes, 0);
        }
    }
}
