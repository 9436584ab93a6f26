//! What the webhook decides, and why: review bytes and facts in, an answer out.
//!
//! [`decide`] and [`explain`] are pure: no clock, no network, no lock. The webhook's rim (HTTP,
//! TLS, the API server) keeps a snapshot of [`Facts`] and gives it with each review.

mod decision;
mod explain;
mod facts;
pub mod names;
mod review;
mod settings;

pub use decision::{Decision, Doubt, Outcome, Reason, decide, resource_of, unchanged};
pub use explain::{ExplainError, component_from_text, explain, namespace_from_text};
pub use facts::{ComponentFacts, Facts, Kind, NamespaceFacts, Telemetry};
pub use review::BadReview;
pub use settings::{AgentContent, Protocol, Settings, SettingsError};
