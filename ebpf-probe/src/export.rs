//! Everything after the span: OTLP, metrics, Prometheus.
//!
//! One queue, one worker and one HTTP client serve all observed processes; a request carries one
//! resource per process. The messages and gRPC clients are those of `opentelemetry-proto`, the
//! crate that `opentelemetry-otlp` is itself made of. Its exporters are not used, because each
//! holds one resource, takes metrics from its own SDK only, hides whether a failure may be tried
//! again, and knows no certificate variables.

mod backoff;
pub(crate) mod clock;
pub(crate) mod config;
mod encode;
mod exporter;
pub(crate) mod http;
pub(crate) mod identity;
mod keyvalue;
pub(crate) mod metrics;
mod pipeline;
mod queue;
pub(crate) mod resource;
pub(crate) mod selfmetrics;
#[cfg(test)]
pub(crate) mod testing;
mod transport;

pub(crate) use exporter::{Exporter, Setup};
