use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

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

fn grounds(hash: &str) -> Grounds {
    Grounds {
        config_hash: hash.into(),
        namespace: Some(NamespaceFacts::new(
            [("telemetry.kaos.tools/inject", "enabled")],
            [],
        )),
    }
}

fn due(ledger: &Ledger, now: Instant, hash: &str) -> usize {
    ledger.due(now, MAX_PODS, |_| grounds(hash)).pods.len()
}

#[test]
fn only_pods_that_the_webhook_could_have_missed_are_followed() {
    let mut ledger = Ledger::default();
    ledger.seen(APP, &marked("injected", r#"{"config":"a"}"#));
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
    ledger.seen(APP, &marked("a", r#"{"config":"1"}"#));
    assert_eq!((ledger.missed(), due(&ledger, now, "1")), (0, 0));
}

#[test]
fn a_mark_by_other_settings_or_for_a_reason_is_looked_at() {
    for status in [
        r#"{"config":"0"}"#,
        r#"{"config":"1","reason":"no_endpoint"}"#,
        "nonsense",
    ] {
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
        let grounds = |_: &str| Grounds {
            config_hash: "1".into(),
            namespace: namespace.clone(),
        };
        assert!(ledger.due(now, MAX_PODS, grounds).pods.is_empty());
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
        let due = ledger.due(now + Duration::from_secs(20), limit, |_| grounds("1"));
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
