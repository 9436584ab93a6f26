//! The conventions' metrics, made from spans.
//!
//! Series are kept per observed process, so that OTLP can send them under that process's
//! resource. Model names and error codes are an attacker's to choose, hence the bound.

mod definitions;
pub(crate) mod otlp;
pub(crate) mod prometheus;
mod record;
mod series;

pub(crate) use record::Metrics;
