//! The webhook's rim: HTTP, TLS and certificates, the API server, metrics. What it answers is
//! decided in [`webhook_core`].

pub mod admin;
pub mod certs;
pub mod manifest;
pub mod metrics;
pub mod readiness;
pub mod reconcile;
pub mod serve;
pub mod watch;
