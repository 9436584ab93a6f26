//! What the reconciler counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Cheap to clone: all clones are the same numbers.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Pods that run without what the webhook would have given them.
    pub uninjected_pods: Gauge,
    /// Pods that were not followed because there are too many.
    pub unfollowed_pods: Gauge,
    /// Rollouts restarted by us.
    pub restarts: Counter,
    /// Times that a workload was left alone, for it was restarted for the same settings already.
    pub refused_restarts: Counter,
    /// Requests to the API server that failed: pods not read, Events not written.
    pub errors: Counter,
}

impl Metrics {
    /// Adds them to `registry`, which writes the prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "uninjected_pods",
            "Pods of opted-in namespaces that run without what the webhook would have given them",
            metrics.uninjected_pods.clone(),
        );
        registry.register(
            "unfollowed_pods",
            "Pods that were not looked at because there are too many",
            metrics.unfollowed_pods.clone(),
        );
        registry.register(
            "restarts",
            "Rollouts restarted because pods of theirs were not injected into",
            metrics.restarts.clone(),
        );
        registry.register(
            "refused_restarts",
            "Times that a rollout was not restarted, for it was for the same settings already",
            metrics.refused_restarts.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Requests of the reconciler to the API server that failed",
            metrics.errors.clone(),
        );
        metrics
    }

    /// Counts and says a request that failed. `why` quotes nothing: what cannot be read may hold
    /// secrets.
    pub(super) fn failed(&self, what: &str, why: &str) {
        self.errors.inc();
        tracing::warn!(why, "cannot {what}; will try again");
    }
}
