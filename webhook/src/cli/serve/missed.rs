//! What becomes of pods that the webhook missed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kaos_webhook::reconcile::{self, Options, Pace};
use kube::Client;

use super::Parts;
use crate::cli::duration;

/// Options of the reconciler.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Restart rollouts whose pods were created without us; bare pods are left alone
    #[arg(long = "restart-rollouts")]
    rollouts: bool,
    /// The least time between two restarts, whatever they restart
    #[arg(long = "restart-pace", value_name = "TIME", default_value = "1m", value_parser = duration)]
    pace: Duration,
    /// The least time between two restarts of the same workload
    #[arg(long = "restart-again", value_name = "TIME", default_value = "1h", value_parser = duration)]
    again: Duration,
}

impl Args {
    /// Looks for such pods for as long as it is polled.
    pub(super) fn find(
        &self,
        parts: &Parts,
        client: &Client,
        namespace: &str,
    ) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let pace = Pace {
            between: self.pace.try_into().context("--restart-pace is too long")?,
            same_again: self
                .again
                .try_into()
                .context("--restart-again is too long")?,
        };
        let options = Options {
            namespace: namespace.to_owned(),
            restart: self.rollouts.then_some(pace),
            readiness: parts.readiness.clone(),
        };
        let facts = Arc::clone(&parts.facts);
        let snapshot = move || facts.load().as_ref().clone();
        let metrics = parts.missed.clone();
        Ok(reconcile::run(client.clone(), snapshot, metrics, options))
    }
}
