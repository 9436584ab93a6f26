use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::stream;
use kube::core::Status;
use kube::runtime::watcher::{Error, Event};
use prometheus_client::registry::Registry;
use serde_json::json;

use super::settings::Keeper;
use super::*;
use crate::readiness::{Condition, Readiness};
use webhook_core::{ComponentFacts, Kind, NamespaceFacts, Settings};

fn shared() -> Shared {
    Arc::new(ArcSwap::from_pointee(Facts::new(Settings::default())))
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&mut Registry::default()))
}

fn error(code: u16) -> Error {
    let status = Status::failure("no", "No").with_code(code);
    Error::InitialListFailed(kube::Error::Api(Box::new(status)))
}

fn component(name: &str) -> components::Component {
    let spec = json!({"telemetry": {"enabled": true}});
    let facts = ComponentFacts::from_spec(Kind::McpServer, &spec);
    ("agents".to_owned(), name.to_owned(), facts)
}

/// Names of MCP servers that are known after `events`.
async fn known(events: Vec<Result<Event<components::Component>, Error>>) -> Vec<&'static str> {
    let facts = shared();
    let apply = |change| components::apply(&facts, Kind::McpServer, change);
    follow(
        stream::iter(events),
        "mcpservers",
        &metrics(),
        |it| it,
        apply,
    )
    .await;
    let facts = facts.load();
    let is_known = |name: &&str| facts.component(Kind::McpServer, "agents", name).is_some();
    ["a", "b", "c"].into_iter().filter(is_known).collect()
}

#[tokio::test]
async fn a_list_replaces_and_events_change() {
    let list = || {
        vec![
            Ok(Event::Init),
            Ok(Event::InitApply(component("a"))),
            Ok(Event::InitApply(component("b"))),
            Ok(Event::InitDone),
        ]
    };
    assert_eq!(known(list()).await, ["a", "b"]);
    let mut events = list();
    events.extend([
        Ok(Event::Delete(component("a"))),
        Ok(Event::Apply(component("c"))),
    ]);
    assert_eq!(known(events).await, ["b", "c"]);
    // A second list that ends early changes nothing.
    let mut events = list();
    events.extend([
        Ok(Event::Init),
        Ok(Event::InitApply(component("c"))),
        Err(error(500)),
    ]);
    assert_eq!(known(events).await, ["a", "b"]);
    let mut events = list();
    events.extend([
        Ok(Event::Init),
        Ok(Event::InitApply(component("c"))),
        Err(error(500)),
        Ok(Event::Init),
        Ok(Event::InitDone),
    ]);
    assert!(known(events).await.is_empty());
}

#[tokio::test]
async fn an_api_server_that_is_away_is_not_a_crd_that_is_gone() {
    let list = || {
        vec![
            Ok(Event::Init),
            Ok(Event::InitApply(component("a"))),
            Ok(Event::InitDone),
        ]
    };
    for code in [401, 403, 500, 503] {
        let mut events = list();
        events.push(Err(error(code)));
        assert_eq!(known(events).await, ["a"], "{code}");
    }
    let mut events = list();
    events.push(Err(error(404)));
    assert!(known(events).await.is_empty());
}

#[test]
fn namespaces_come_change_and_go() {
    let facts = shared();
    let labelled = |value| NamespaceFacts::new([(webhook_core::names::INJECT, value)], []);
    let named = |value| ("agents".to_owned(), labelled(value));
    let opted_in = || {
        facts
            .load()
            .namespace("agents")
            .map(NamespaceFacts::opted_in)
    };
    namespaces::apply(&facts, Change::All(vec![named("enabled")]));
    assert_eq!(opted_in(), Some(true));
    namespaces::apply(&facts, Change::One(named("no")));
    assert_eq!(opted_in(), Some(false));
    namespaces::apply(&facts, Change::NoSuchResource);
    assert_eq!(opted_in(), Some(false));
    namespaces::apply(&facts, Change::Gone(named("no")));
    assert_eq!(opted_in(), None);
}

#[test]
fn bad_settings_are_refused_with_the_line_and_the_last_good_ones_hold() {
    let (facts, readiness) = (shared(), Readiness::of(&[Condition::Settings]));
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let mut keeper = Keeper::new(Arc::clone(&facts), metrics, readiness.clone());
    let endpoint = || facts.load().settings().endpoint.clone();

    keeper.offer("protocol: grpc\nendpoint: [1]\n");
    assert!(!readiness.is_ready());
    assert!(
        readiness.report().contains("line 2"),
        "{}",
        readiness.report()
    );

    keeper.offer("endpoint: http://good:4317\nprotocol: grpc\n");
    assert!(readiness.is_ready());
    assert_eq!(endpoint().as_deref(), Some("http://good:4317"));

    for bad in [
        "endpiont: http://typo:4317\n",
        "endpoint: no-scheme\n",
        "\u{0}",
        "- 1\n",
    ] {
        keeper.offer(bad);
        assert_eq!(endpoint().as_deref(), Some("http://good:4317"), "{bad:?}");
        assert!(readiness.is_ready(), "the last good ones hold");
    }
    // The same text again is neither read nor counted again.
    keeper.offer("- 1\n");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("settings_reads_total{result=\"failed\"} 5\n"),
        "{text}"
    );
    assert!(text.contains("settings_generation 1\n"));
}

#[test]
fn patience_grows_and_ends_somewhere() {
    let waits: Vec<_> = Patience::default().take(12).collect();
    assert!(waits[0] <= Patience::FIRST);
    assert!(waits.iter().all(|wait| *wait <= Patience::LONGEST));
    assert!(waits[11] >= Patience::LONGEST / 2);
    let mut patience = Patience(Patience::LONGEST);
    patience.reset();
    assert!(patience.next().unwrap() <= Patience::FIRST);
}

#[test]
fn components_are_good_once_all_kinds_were_listed() {
    let readiness = Readiness::of(&[Condition::Components]);
    let listed = components::Listed::new(readiness.clone());
    for plural in ["agents", "agents", "mcpservers", "modelapis"] {
        listed.note(plural);
        assert!(!readiness.is_ready(), "{plural}");
    }
    listed.note("memorystores");
    assert!(readiness.is_ready());
}

#[test]
fn what_the_configuration_excludes_is_not_opted_in() {
    let inject = ("telemetry.kaos.tools/inject", "enabled");
    let azure = "kubernetes.azure.com/managedby";
    for (name, label, opted_in) in [
        ("agents", inject, true),
        ("agents", (azure, "me"), true),
        ("agents", (azure, "aks"), false),
        ("agents", ("control-plane", ""), false),
        ("kube-system", inject, false),
        ("home", inject, false),
    ] {
        let namespace = json!({
            "metadata": {"name": name, "labels": {inject.0: inject.1, label.0: label.1}},
        });
        let namespace = serde_json::from_value(namespace).unwrap();
        let (_, facts) = namespaces::trim(&namespace, "home");
        assert_eq!(facts.opted_in(), opted_in, "{name} {label:?}");
        assert_eq!(facts.is_excluded(), !opted_in, "{name} {label:?}");
    }
}
