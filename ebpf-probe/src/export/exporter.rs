//! The one handle that the rest of the probe knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use probe_core::conventions::Profile;
use probe_core::span::{Span, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::clock::{self, Clock};
use super::config::{Config, Signal};
use super::identity;
use super::metrics::otlp::{self, Times};
use super::metrics::{Metrics, prometheus};
use super::pipeline::Pipeline;
use super::queue::Queue;
use super::resource::{Registry, Resource};
use super::selfmetrics::{self, Cell, Counters};
use super::transport::{Clients, TlsError, Transport};

/// The most bytes of spans that wait, whatever `OTEL_BSP_MAX_QUEUE_SIZE` says: opted-in content
/// makes single spans large.
const MAX_QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// How often ended processes are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// What an exporter is made of.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The variables.
    pub(crate) config: Config,
    /// The names.
    pub(crate) profile: Profile,
    /// The resources of the observed processes.
    pub(crate) registry: Arc<Registry>,
    /// The probe's own counters.
    pub(crate) counters: Counters,
}

/// Takes spans, measures them and sends them. Dropping it without [`Exporter::shutdown`] loses
/// what waits.
#[derive(Debug)]
pub(crate) struct Exporter {
    shared: Arc<Shared>,
    /// `None` where spans are not exported.
    queue: Option<Arc<Queue>>,
    in_flight: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    counters: Counters,
    own: Resource,
    start: u64,
    queue_length: Cell,
    unsampled: Cell,
    left: Cell,
}

impl Exporter {
    /// Starts the workers on the current tokio runtime. Nothing connects yet.
    pub(crate) fn start(setup: Setup) -> Result<Self, TlsError> {
        let Setup {
            config,
            profile,
            registry,
            counters,
        } = setup;
        counters.declare_all();
        let mut clients = Clients::default();
        let mut transport = |signal: &Option<Signal>| {
            let signal = signal.as_ref();
            signal.map(|it| clients.transport(it)).transpose()
        };
        let traces = transport(&config.traces)?;
        let metrics = transport(&config.metrics)?;
        let shared = Arc::new(Shared {
            metrics: Arc::new(Metrics::new(profile, &counters)),
            own: own_resource(&config),
            start: Clock::measure().unix(clock::monotonic_now()),
            queue_length: counters.cell(&selfmetrics::QUEUE_LENGTH),
            unsampled: counters.cell(&selfmetrics::SPANS_UNSAMPLED),
            left: counters.cell(&selfmetrics::SPANS_LEFT),
            registry,
            counters,
        });
        let (stop, stopped) = watch::channel(false);
        let mut exporter = Self {
            shared,
            queue: None,
            in_flight: Arc::default(),
            stop,
            tasks: Vec::new(),
        };
        if let Some(transport) = traces {
            exporter.spawn_pipeline(transport, &config, profile, stopped.clone());
        }
        exporter.spawn_sweep(metrics.is_some(), stopped.clone());
        if let Some(transport) = metrics {
            exporter.spawn_metrics(transport, config.metric_interval, stopped);
        }
        Ok(exporter)
    }

    /// Measures a call that has ended.
    pub(crate) fn measure(&self, span: &Span) {
        let shared = &self.shared;
        let resource = shared.registry.get(span.process);
        shared.metrics.record(span, &resource, Clock::measure());
        let operation = span.summary.operation.as_str();
        let calls = shared.counters.labelled(&selfmetrics::CALLS, operation);
        calls.add(1);
    }

    /// Queues a span for export if its trace is sampled and nobody else has it, and measures it
    /// unless that was done when its call ended. Never blocks.
    pub(crate) fn record(&self, span: &Arc<Span>) {
        if !span.late {
            self.measure(span);
        }
        let shared = &self.shared;
        if span.flags & 1 == 0 {
            shared.unsampled.add(1);
            return;
        }
        if span.left {
            shared.left.add(1);
            return;
        }
        let Some(queue) = &self.queue else {
            return;
        };
        shared.dropped("queue_full", queue.push(Arc::clone(span)));
        shared.queue_length.set(queue.len() as u64);
    }

    /// A function that makes the text of `/metrics`.
    pub(crate) fn scrape(&self) -> Arc<super::http::Scrape> {
        let shared = Arc::clone(&self.shared);
        let queue = self.queue.clone();
        Arc::new(move || {
            shared.read_gauges(queue.as_deref());
            prometheus::text(&shared.metrics, &shared.counters)
                .expect("writing into a string cannot fail")
        })
    }

    /// Sends what waits, for at most `deadline`; what is left then is counted as dropped. Returns
    /// how many spans that were.
    pub(crate) async fn shutdown(self, deadline: Duration) -> u64 {
        let end = Instant::now() + deadline;
        // Nobody listens where no worker was started.
        let _listeners = self.stop.send(true);
        for mut task in self.tasks {
            if tokio::time::timeout_at(end, &mut task).await.is_err() {
                task.abort();
                // The counts below are final only when the task is gone.
                let _aborted = task.await;
            }
        }
        let waiting = self.queue.map_or(0, |queue| queue.len());
        let left = (waiting + self.in_flight.load(Ordering::Relaxed)) as u64;
        self.shared.dropped("shutdown", left);
        left
    }

    fn spawn_pipeline(
        &mut self,
        transport: Transport,
        config: &Config,
        profile: Profile,
        stopped: watch::Receiver<bool>,
    ) {
        let queue = Arc::new(Queue::new(config.batch.max_queue_size, MAX_QUEUE_BYTES));
        let pipeline = Pipeline::new(
            Arc::clone(&queue),
            Arc::clone(&self.shared.registry),
            transport,
            config.batch,
            profile.schema_url().unwrap_or_default(),
            &self.shared.counters,
        );
        self.in_flight = Arc::clone(&pipeline.in_flight);
        self.queue = Some(queue);
        self.tasks.push(tokio::spawn(pipeline.run(stopped)));
    }

    /// Forgets ended processes. Where metrics are pushed, their series wait for the next push.
    fn spawn_sweep(&mut self, pushed: bool, mut stopped: watch::Receiver<bool>) {
        let shared = Arc::clone(&self.shared);
        self.tasks.push(tokio::spawn(async move {
            let mut ticks = ticks(SWEEP);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
                for process in shared.registry.sweep(clock::monotonic_now()) {
                    shared.metrics.forget(process);
                }
                if !pushed {
                    shared.metrics.drop_gone(&shared.metrics.gone());
                }
            }
        }));
    }

    /// Pushes metrics at the interval and once more at the end.
    fn spawn_metrics(
        &mut self,
        transport: Transport,
        interval: Duration,
        mut stopped: watch::Receiver<bool>,
    ) {
        let (shared, queue) = (Arc::clone(&self.shared), self.queue.clone());
        self.tasks.push(tokio::spawn(async move {
            let mut ticks = ticks(interval);
            ticks.tick().await;
            loop {
                let last = tokio::select! {
                    _ = ticks.tick() => false,
                    _ = stopped.wait_for(|stop| *stop) => true,
                };
                shared.read_gauges(queue.as_deref());
                shared.push(&transport).await;
                if last {
                    return;
                }
            }
        }));
    }
}

impl Shared {
    /// Sends all metrics once. They are cumulative: what fails now is in the next push.
    async fn push(&self, transport: &Transport) {
        let gone = self.metrics.gone();
        let times = Times {
            start: self.start,
            now: Clock::measure().unix(clock::monotonic_now()),
        };
        let request = otlp::request(&self.metrics, &self.counters.read(), &self.own, times);
        match transport.metrics(request).await {
            Ok(_accepted) => self.metrics.drop_gone(&gone),
            Err(error) => {
                let failed = self
                    .counters
                    .labelled(&selfmetrics::EXPORTS_FAILED, "metrics");
                failed.add(1);
                if failed.get().is_power_of_two() {
                    tracing::warn!(failures = failed.get(), %error, "Exporting metrics failed.");
                }
            }
        }
    }

    fn read_gauges(&self, queue: Option<&Queue>) {
        self.queue_length.set(queue.map_or(0, Queue::len) as u64);
        let processes = self.counters.cell(&selfmetrics::PROCESSES);
        processes.set(self.registry.len() as u64);
    }

    fn dropped(&self, reason: &str, count: u64) {
        if count > 0 {
            let cell = self.counters.labelled(&selfmetrics::SPANS_DROPPED, reason);
            cell.add(count);
        }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The probe's own resource, for its own metrics only.
fn own_resource(config: &Config) -> Resource {
    let mut own = Resource::default();
    own.set("service.name", Value::Static("kaos-probe"));
    let version = Value::Static(env!("CARGO_PKG_VERSION"));
    own.set("service.version", version);
    own.set("process.pid", Value::Int(std::process::id().into()));
    for (name, value) in &config.resource {
        own.set(name, Value::String(value.clone()));
    }
    identity::add_telemetry(&mut own);
    own
}

#[cfg(test)]
mod tests;
