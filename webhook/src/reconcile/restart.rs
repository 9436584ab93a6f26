//! When a rollout may be restarted.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What `kubectl rollout restart` writes into a pod template, and we.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The hash of the settings that a pod template was restarted for, and how often: `HASH/NUMBER`.
const RESTARTED_FOR: &str = "telemetry.kaos.tools/restarted-for";

/// The least time from one restart to the next for the same settings; twice as long each time.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How often that time doubles.
const DOUBLINGS: u32 = 3;

/// How often rollouts may be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The least time between two restarts of anything, over all replicas.
    pub between: SignedDuration,
    /// The least time between two restarts of the same workload, by whomever.
    pub same_again: SignedDuration,
}

/// Why a workload is not restarted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Somebody restarted it a moment ago, or nobody can tell when.
    Lately,
    /// It was restarted for these settings, and not long ago.
    SameSettings,
}

impl Pace {
    /// Whether a restart may follow one at `last`.
    pub(super) fn allows(&self, last: Option<Timestamp>, now: Timestamp) -> bool {
        long_ago(last, self.between, now)
    }

    /// Whether a workload (its JSON) was left alone for long enough; if so, the number of the restart
    /// for these settings that it may have now, from 1.
    ///
    /// The growing distance ends a circle: pods that are missed again right after a restart would
    /// be missed after the next one too. It ends itself, for the webhook may be away a second time.
    pub(super) fn allows_workload(
        &self,
        workload: &Value,
        config: &str,
        now: Timestamp,
    ) -> Result<u32, Refused> {
        let annotations = &workload["spec"]["template"]["metadata"]["annotations"];
        let times = times_for(annotations[RESTARTED_FOR].as_str(), config);
        let same = match times.checked_sub(1) {
            None => SignedDuration::ZERO,
            Some(more) => DAY * 2_i32.pow(more.min(DOUBLINGS)),
        };
        let last = annotations[RESTARTED_AT].as_str();
        match last.map(str::parse::<Timestamp>) {
            // A time that we cannot read was written by somebody else: better to wait for a human.
            Some(Err(_)) => Err(Refused::Lately),
            Some(Ok(last)) if !long_ago(Some(last), self.same_again, now) => Err(Refused::Lately),
            Some(Ok(last)) if !long_ago(Some(last), same, now) => Err(Refused::SameSettings),
            Some(Ok(_)) | None => Ok(times.saturating_add(1)),
        }
    }
}

/// How often a pod template says that it was restarted for these settings.
fn times_for(said: Option<&str>, config: &str) -> u32 {
    match said.map(|it| it.split_once('/').unwrap_or((it, "1"))) {
        Some((hash, number)) if hash == config => number.parse().unwrap_or(1),
        Some(_) | None => 0,
    }
}

/// A merge patch that makes a workload replace its pods, as the restart of this number for these
/// settings; refused if it changed since it was read.
pub(super) fn patch(workload: &Value, config: &str, times: u32, now: Timestamp) -> Value {
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "metadata": {"resourceVersion": workload["metadata"]["resourceVersion"]},
        "spec": {"template": {"metadata": {"annotations": {
            RESTARTED_AT: time,
            RESTARTED_FOR: format!("{config}/{times}"),
        }}}},
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
        let allowed = |last: Option<&str>, now| PACE.allows_workload(&workload(last), "1", at(now));
        assert_eq!(allowed(None, 0), Ok(1));
        let last = at(0).to_string();
        assert_eq!(allowed(Some(&last), 59), Err(Refused::Lately));
        assert_eq!(allowed(Some(&last), 60), Ok(1));
        assert_eq!(allowed(Some("yesterday"), 600), Err(Refused::Lately));
    }

    #[test]
    fn the_patch_holds_for_what_was_read_only_and_is_read_back() {
        let patch = patch(&workload(None), "2", 1, at(0));
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let refused = PACE.allows_workload(&patch, "1", at(59));
        assert_eq!(refused, Err(Refused::Lately));
        assert_eq!(PACE.allows_workload(&patch, "1", at(60)), Ok(1));
    }

    /// What is missed in June is not what was missed in May; but a circle gets slower and slower.
    #[test]
    fn restarts_for_the_same_settings_are_days_apart() {
        const DAY: i64 = 24 * 60;
        let mut now = 0;
        for (times, days) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8)] {
            let patch = patch(&workload(None), "1", times, at(now));
            let allowed = |later| PACE.allows_workload(&patch, "1", at(now + later));
            assert_eq!(allowed(days * DAY - 1), Err(Refused::SameSettings));
            assert_eq!(allowed(days * DAY), Ok(times + 1));
            assert_eq!(PACE.allows_workload(&patch, "2", at(now + 60)), Ok(1));
            now += days * DAY;
        }
        let most = patch(&workload(None), "1", u32::MAX, at(0));
        assert_eq!(PACE.allows_workload(&most, "1", at(8 * DAY)), Ok(u32::MAX));
    }

    #[test]
    fn a_mark_that_anybody_may_write_is_read_with_care() {
        for (said, times) in [
            (None, 0),
            (Some("other/3"), 0),
            (Some("1"), 1),
            (Some("1/3"), 3),
            (Some("1/many"), 1),
        ] {
            assert_eq!(times_for(said, "1"), times, "{said:?}");
        }
    }
}
