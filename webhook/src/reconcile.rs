//! Finds the pods that should have been injected into and were not: those that are older than the
//! namespace's label, and those that were created while the webhook was away.
//!
//! [`Ledger`] keeps what is known of them and is pure; [`run`] watches, asks and tells. Each replica
//! runs it: Events have names that follow from what they say, and restarts need a ticket that the
//! API server gives to one of them.

mod judge;
mod ledger;
mod metrics;
mod notice;
mod owner;
mod restart;
mod rollout;
mod tell;
#[cfg(test)]
mod tests;
mod watch;

pub use ledger::{Candidate, Due, Grounds, Ledger, Mark, Source};
pub use metrics::Metrics;
pub use owner::Owner;
pub use restart::Pace;
pub(crate) use rollout::TICKET;
pub use watch::{Options, run};
