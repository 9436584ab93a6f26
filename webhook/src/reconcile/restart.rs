//! When a rollout may be restarted.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What `kubectl rollout restart` writes into a pod template, and we.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// How often rollouts may be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The least time between two restarts of anything, over all replicas.
    pub between: SignedDuration,
    /// The least time between two restarts of the same workload, by whomever.
    pub same_again: SignedDuration,
}

impl Pace {
    /// Whether a restart may follow one at `last`.
    pub(super) fn allows(&self, last: Option<Timestamp>, now: Timestamp) -> bool {
        long_ago(last, self.between, now)
    }

    /// Whether a workload (its JSON) was left alone for long enough.
    ///
    /// This is what ends a circle: pods that are missed again after a restart have to wait.
    pub(super) fn allows_workload(&self, workload: &Value, now: Timestamp) -> bool {
        let annotations = &workload["spec"]["template"]["metadata"]["annotations"];
        let last = annotations[RESTARTED_AT].as_str();
        // A time that we cannot read was written by somebody else: better to wait for a human.
        match last.map(str::parse::<Timestamp>) {
            Some(Err(_)) => false,
            Some(Ok(last)) => long_ago(Some(last), self.same_again, now),
            None => true,
        }
    }
}

/// A merge patch that makes a workload replace its pods; refused if it changed since it was read.
pub(super) fn patch(workload: &Value, now: Timestamp) -> Value {
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "metadata": {"resourceVersion": workload["metadata"]["resourceVersion"]},
        "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: time}}}},
    })
}

fn long_ago(before: Option<Timestamp>, distance: SignedDuration, now: Timestamp) -> bool {
    before.is_none_or(|before| now.duration_since(before) >= distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        between: SignedDuration::from_mins(1),
        same_again: SignedDuration::from_hours(1),
    };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).expect("a time")
    }

    fn workload(restarted: Option<&str>) -> Value {
        let mut workload = json!({"metadata": {"resourceVersion": "7"}, "spec": {"template": {}}});
        if let Some(time) = restarted {
            workload["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT] = time.into();
        }
        workload
    }

    #[test]
    fn restarts_keep_their_distance() {
        assert!(PACE.allows(None, at(0)));
        assert!(!PACE.allows(Some(at(0)), at(0)));
        assert!(PACE.allows(Some(at(0)), at(1)));
        // A clock that is ahead elsewhere does not unlock anything.
        assert!(!PACE.allows(Some(at(9)), at(1)));
    }

    #[test]
    fn a_workload_that_was_just_restarted_is_left_alone() {
        assert!(PACE.allows_workload(&workload(None), at(0)));
        let last = at(0).to_string();
        assert!(!PACE.allows_workload(&workload(Some(&last)), at(59)));
        assert!(PACE.allows_workload(&workload(Some(&last)), at(60)));
        assert!(!PACE.allows_workload(&workload(Some("yesterday")), at(600)));
    }

    #[test]
    fn the_patch_holds_for_what_was_read_only_and_is_read_back() {
        let patch = patch(&workload(None), at(0));
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert!(!PACE.allows_workload(&patch, at(59)));
        assert!(PACE.allows_workload(&patch, at(60)));
    }
}
