use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use webhook_core::Settings;

use super::*;

const APP: Source = Source(0);
const LABEL: Source = Source(1);

fn pod(uid: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(format!("pod-{uid}")),
        namespace: Some("agents".to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    }
}

fn annotated(uid: &str, key: &str) -> ObjectMeta {
    ObjectMeta {
        annotations: Some(BTreeMap::from([(key.to_owned(), "x".to_owned())])),
        ..pod(uid)
    }
}

fn marked(uid: &str, status: &str) -> ObjectMeta {
    ObjectMeta {
        annotations: Some(BTreeMap::from([(STATUS.to_owned(), status.to_owned())])),
        ..pod(uid)
    }
}

/// Facts that differ by this word of their settings.
fn facts(which: &str) -> Facts {
    let settings = Settings {
        sampler_arg: Some(which.to_owned()),
        ..Settings::default()
    };
    let opted_in = NamespaceFacts::new([("telemetry.kaos.tools/inject", "enabled")], []);
    Facts::new(settings).with_namespace("agents", opted_in)
}

/// What the webhook writes by the facts that are called so.
fn status(which: &str) -> String {
    format!(r#"{{"config":"{}"}}"#, facts(which).config_hash())
}

/// Grounds of a pod that no custom resource stands for.
fn grounds(which: &str) -> Grounds {
    let candidate = Candidate::from_metadata(&pod("a")).unwrap();
    Grounds::of(&candidate, &facts(which))
}

fn due(ledger: &Ledger, now: Instant, which: &str) -> usize {
    ledger.due(now, MAX_PODS, &facts(which)).pods.len()
}

#[test]
fn only_pods_that_the_webhook_could_have_missed_are_followed() {
    let mut ledger = Ledger::default();
    ledger.seen(APP, &marked("injected", &status("a")));
    ledger.seen(APP, &annotated("mirror", MIRROR));
    let leaving = ObjectMeta {
        deletion_timestamp: Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH)),
        ..pod("leaving")
    };
    ledger.seen(APP, &leaving);
    ledger.seen(APP, &ObjectMeta::default());
    assert_eq!(due(&ledger, Instant::now(), "a"), 0);
    ledger.seen(APP, &pod("plain"));
    assert_eq!(due(&ledger, Instant::now(), "a"), 1);
}

#[test]
fn a_pod_counts_from_its_verdict_on() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.seen(APP, &pod("a"));
    ledger.seen(APP, &pod("b"));
    assert_eq!(ledger.missed(), 0);
    ledger.judge("a", true, grounds("1"), now);
    ledger.judge("b", false, grounds("1"), now);
    ledger.judge("nobody", true, grounds("1"), now);
    assert_eq!((ledger.missed(), due(&ledger, now, "1")), (1, 0));
    assert_eq!(ledger.missed_by_owner().len(), 1);
}

#[test]
fn a_verdict_is_looked_at_again_on_other_grounds_or_after_a_while() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.seen(APP, &pod("a"));
    ledger.judge("a", false, grounds("1"), now);
    assert_eq!(due(&ledger, now, "2"), 1);
    assert_eq!(due(&ledger, now + JUDGE_AGAIN, "1"), 1);
    // A change that leaves the pod what it was is no reason.
    ledger.seen(APP, &pod("a"));
    assert_eq!(due(&ledger, now, "1"), 0);
}

/// Somebody switches the component off, or its endpoint is another one.
#[test]
fn a_verdict_is_looked_at_again_when_the_pods_own_resource_changes() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    let labels = [("app", "agent"), ("agent", "echo")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let labelled = ObjectMeta {
        labels: Some(BTreeMap::from(labels)),
        ..pod("a")
    };
    ledger.seen(APP, &labelled);
    let candidate = Candidate::from_metadata(&labelled).unwrap();
    let before = facts("1");
    ledger.judge("a", true, Grounds::of(&candidate, &before), now);
    let with = |name: &str, enabled: bool| {
        let spec = json!({"config": {"telemetry": {"enabled": enabled}}});
        let off = ComponentFacts::from_spec(Kind::Agent, &spec);
        before.with_component(Kind::Agent, "agents", name, off)
    };
    let due = |ledger: &Ledger, facts: &Facts| ledger.due(now, MAX_PODS, facts).pods.len();
    assert_eq!(due(&ledger, &with("other", false)), 0);
    assert_eq!(due(&ledger, &with("echo", false)), 1);
    let off = with("echo", false);
    ledger.judge("a", false, Grounds::of(&candidate, &off), now);
    assert_eq!(due(&ledger, &off), 0);
    assert_eq!(due(&ledger, &with("echo", true)), 1);
    assert_eq!(due(&ledger, &before), 1, "it is gone");
}

#[test]
fn a_pod_goes_when_the_last_watch_that_saw_it_says_so() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.seen(APP, &pod("a"));
    ledger.seen(LABEL, &pod("a"));
    ledger.judge("a", true, grounds("1"), now);
    ledger.gone(APP, &pod("a"));
    assert_eq!(ledger.missed(), 1);
    ledger.gone(LABEL, &pod("a"));
    assert_eq!(ledger.missed(), 0);
    ledger.gone(LABEL, &pod("a"));
}

#[test]
fn a_new_list_drops_what_it_does_not_name_and_keeps_verdicts() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    for uid in ["a", "b", "c"] {
        ledger.seen(APP, &pod(uid));
        ledger.judge(uid, true, grounds("1"), now);
    }
    ledger.seen(LABEL, &pod("c"));
    ledger.relisting(APP);
    assert_eq!(ledger.missed(), 3, "until the list is whole");
    ledger.seen(APP, &pod("a"));
    ledger.relisted(APP);
    // `b` is gone; `c` is still seen by the other watch.
    assert_eq!((ledger.missed(), due(&ledger, now, "1")), (2, 0));
}

#[test]
fn an_injected_pod_that_takes_the_place_is_no_longer_counted() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.seen(APP, &pod("a"));
    ledger.judge("a", true, grounds("1"), now);
    ledger.seen(APP, &marked("a", &status("1")));
    assert_eq!((ledger.missed(), due(&ledger, now, "1")), (0, 0));
}

#[test]
fn a_mark_by_other_settings_or_for_a_reason_is_looked_at() {
    let for_a_reason = status("1").replace('}', r#","reason":"no_endpoint"}"#);
    for status in [status("0").as_str(), for_a_reason.as_str(), "nonsense"] {
        let mut ledger = Ledger::default();
        ledger.seen(APP, &marked("a", status));
        assert_eq!(due(&ledger, Instant::now(), "1"), 1, "{status}");
    }
}

#[test]
fn nobody_looks_at_pods_of_namespaces_that_are_not_opted_in() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.seen(APP, &pod("a"));
    for namespace in [None, Some(NamespaceFacts::default())] {
        let facts = Facts::new(Settings::default());
        let facts = match namespace {
            Some(namespace) => facts.with_namespace("agents", namespace),
            None => facts,
        };
        assert!(ledger.due(now, MAX_PODS, &facts).pods.is_empty());
    }
    ledger.judge("a", true, grounds("1"), now);
    ledger.forget(|_| true);
    assert_eq!(ledger.missed(), 1);
    ledger.forget(|_| false);
    assert_eq!(ledger.missed(), 0);
}

#[test]
fn those_that_nobody_judged_come_first_then_the_oldest() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    for (uid, age) in [("b", 1), ("c", 0), ("a", 2)] {
        ledger.seen(APP, &pod(uid));
        let at = now + Duration::from_secs(10 - age);
        ledger.judge(uid, false, grounds("0"), at);
    }
    ledger.seen(APP, &pod("new"));
    let order = |limit| {
        let due = ledger.due(now + Duration::from_secs(20), limit, &facts("1"));
        let order: Vec<_> = due.pods.iter().map(|it| it.uid.to_string()).collect();
        (order.join(" "), due.more)
    };
    assert_eq!(order(4), ("new a b c".to_owned(), false));
    // What was judged before can wait for the next look.
    assert_eq!(order(2), ("new a".to_owned(), false));
    assert_eq!(order(0), (String::new(), true));
}

#[test]
fn memory_has_a_bound() {
    let mut ledger = Ledger::default();
    for number in 0..=MAX_PODS {
        ledger.seen(APP, &pod(&number.to_string()));
    }
    let last = pod(&MAX_PODS.to_string());
    ledger.seen(APP, &last);
    assert_eq!((ledger.pods.len(), ledger.unfollowed()), (MAX_PODS, 1));
    assert!(!ledger.makes_room());
    for number in 0..=MAX_PODS / 10 {
        ledger.gone(APP, &pod(&number.to_string()));
    }
    assert!(ledger.makes_room());
    ledger.seen(APP, &last);
    assert_eq!(ledger.unfollowed(), 0);
    assert!(!ledger.makes_room());
}
