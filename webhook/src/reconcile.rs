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

use std::time::Duration;

use kube::Error;

pub use ledger::{Candidate, Due, Grounds, Ledger, Mark, Source};
pub use metrics::Metrics;
pub use owner::Owner;
pub use restart::Pace;
pub(crate) use rollout::TICKET;
pub use watch::{Options, run};

/// How long an API server may take for an answer. A connection that is dead and does not know it
/// must not stop the count.
const PATIENCE: Duration = Duration::from_secs(5);

async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let elapsed = |_elapsed| Error::Service("the API server does not answer".into());
    tokio::time::timeout(PATIENCE, answer)
        .await
        .map_err(elapsed)?
}
