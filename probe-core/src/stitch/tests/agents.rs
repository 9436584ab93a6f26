//! Agents are not models.

use super::inside::{ask_model, parent, served};
use super::world::*;
use crate::call::{Call, CallKind};
use crate::ids::{Context, Role};

fn card(conn: u64, tgid: u32, role: Role, path: &str, status: u16) -> Call {
    let mut card = call(
        conn,
        tgid,
        role,
        1,
        2,
        CallKind::AgentCard {
            name: Some("boss".to_owned()),
        },
    );
    card.http.method = "GET".to_owned();
    card.http.path = path.to_owned();
    card.http.status = Some(status);
    card
}

fn is_agent(span: &crate::span::Span, name: Option<&str>) {
    assert_eq!(text(span, "gen_ai.operation.name"), Some("invoke_agent"));
    assert_eq!(text(span, "gen_ai.agent.name"), name);
    assert_eq!(text(span, "telemetry.kaos.hop"), Some("agent"));
    assert_eq!(attribute(span, "gen_ai.usage.input_tokens"), None);
    assert_eq!(attribute(span, "gen_ai.request.model"), None);
    assert_eq!(span.summary.input_tokens, None);
    assert!(!span.summary.counts);
    let expected = name.map_or("invoke_agent".to_owned(), |n| format!("invoke_agent {n}"));
    assert_eq!(span.name, expected);
}

#[test]
fn a_chat_with_a_process_that_is_an_agent_invokes_it() {
    let mut w = World::new();
    w.agent(2, "boss");
    w.connect(0, 1, 2);
    w.start(&chat(0, 1, Role::Client, 10, 40));
    w.run(&chat(1, 2, Role::Server, 11, 39));
    w.end(&chat(0, 1, Role::Client, 10, 40));
    is_agent(w.client(1), Some("boss"));
    is_agent(w.server(2), Some("boss"));
    assert_eq!(w.server(2).parent, Some(w.client(1).id));
}

#[test]
fn an_agents_own_model_call_is_a_model_call() {
    let mut w = World::new();
    w.agent(2, "boss");
    w.run(&chat(8, 2, Role::Client, 10, 40));
    assert_eq!(w.client(2).name, "chat tiny");
    assert!(w.client(2).summary.counts);
}

#[test]
fn who_serves_a_card_is_an_agent_there() {
    let mut w = World::new();
    w.run(&card(1, 2, Role::Server, "/.well-known/agent.json", 200));
    assert!(w.spans.is_empty(), "a card is no span");
    w.run(&chat(1, 2, Role::Server, 11, 39));
    w.drain();
    is_agent(w.server(2), Some("boss"));
}

#[test]
fn what_an_agent_does_for_its_card_belongs_to_who_asked() {
    let path = "/.well-known/agent.json";
    let mut w = World::new();
    w.connect(20, 8, 1);
    w.open(&pair(0, 1, 9)[0]);
    let (mut asks, mut serves) = (
        card(20, 8, Role::Client, path, 200),
        card(21, 1, Role::Server, path, 200),
    );
    (asks.start, asks.end) = (10 * MS, 60 * MS);
    (serves.start, serves.end) = (11 * MS, 59 * MS);
    let request = served(21, 11, 59).thread(5).ask(&mut w);
    w.start(&asks);
    w.start(&serves);
    let by = Context {
        tid: 5,
        ..Context::default()
    };
    w.run(&ask_model(0, 20, 30, by));
    request.answer(&mut w);
    w.end(&serves);
    request.over(&mut w);
    w.end(&asks);
    assert_eq!(parent(&w, 20), ("exact", Some(path)));
    assert_eq!(w.server(1).parent, Some(w.client(8).id));
    assert_eq!(w.client(8).name, "GET");
    check(&w.spans, &[]);
    assert_eq!(w.stitcher.sizes().1, 0);
}

#[test]
fn who_fetched_a_card_delegates_to_that_place() {
    let mut w = World::new();
    w.run(&card(
        1,
        2,
        Role::Client,
        "/ns/agent/boss/.well-known/agent.json",
        200,
    ));
    let mut c = chat(3, 2, Role::Client, 11, 39);
    c.http.path = "/ns/agent/boss/v1/chat/completions".to_owned();
    w.run(&c);
    is_agent(w.client(2), Some("boss"));
    // The model behind the same gateway, and another process that fetched nothing.
    w.spans.clear();
    c.http.path = "/ns/modelapi/m/v1/chat/completions".to_owned();
    w.run(&c);
    assert_eq!(w.client(2).name, "chat tiny");
    w.run(&chat(5, 4, Role::Client, 11, 39));
    assert_eq!(w.client(4).name, "chat tiny");
}

#[test]
fn a_refused_card_is_no_evidence() {
    let mut w = World::new();
    w.run(&card(1, 2, Role::Server, "/.well-known/agent.json", 404));
    w.run(&chat(1, 2, Role::Server, 11, 39));
    assert_eq!(w.server(2).name, "chat tiny");
}

#[test]
fn a2a_methods_that_ask_for_work_invoke_the_agent() {
    for (method, name) in [
        ("message/send", "invoke_agent boss"),
        ("SendMessage", "invoke_agent boss"),
        ("message/stream", "invoke_agent boss"),
        ("tasks/get", "tasks/get"),
        ("GetTask", "GetTask"),
    ] {
        let mut w = World::new();
        w.agent(2, "boss");
        let mut s = call(1, 2, Role::Server, 10, 20, a2a(method));
        if let CallKind::Agent(a) = &mut s.kind {
            a.context_id = Some("ctx".to_owned());
            a.task_id = Some("task_1".to_owned());
        }
        w.run(&s);
        let span = w.server(2);
        assert_eq!(span.name, name);
        assert_eq!(text(span, "rpc.method"), Some(method));
        assert_eq!(text(span, "rpc.system.name"), Some("jsonrpc"));
        assert_eq!(text(span, "gen_ai.conversation.id"), Some("ctx"));
        assert_eq!(text(span, "telemetry.kaos.a2a.task.id"), Some("task_1"));
        assert_eq!(span.summary.hop, None);
    }
}

#[test]
fn an_a2a_call_is_named_by_the_card_of_its_own_path() {
    let mut w = World::new();
    for (path, name) in [("/boss", "boss"), ("/bos", "other"), ("", "front")] {
        let mut card = card(
            1,
            2,
            Role::Client,
            &format!("{path}/.well-known/agent.json"),
            200,
        );
        card.kind = CallKind::AgentCard {
            name: Some(name.to_owned()),
        };
        w.run(&card);
    }
    for (path, expected) in [
        ("/boss/", "boss"),
        ("/boss", "boss"),
        ("/", "front"),
        ("/bossy", "front"),
    ] {
        w.spans.clear();
        let mut c = call(1, 2, Role::Client, 10, 20, a2a("SendMessage"));
        c.http.path = path.to_owned();
        w.run(&c);
        assert_eq!(
            text(w.client(2), "gen_ai.agent.name"),
            Some(expected),
            "{path}"
        );
    }
}

#[test]
fn an_agents_cut_answer_is_its_own_affair() {
    let mut w = World::new();
    w.agent(2, "boss");
    let mut s = chat(1, 2, Role::Server, 11, 39);
    if let CallKind::Inference(i) = &mut s.kind {
        i.finish_reasons = vec!["length".to_owned()];
    }
    w.run(&s);
    assert_eq!(w.server(2).error, None);
}

#[test]
fn a_call_waits_until_it_is_known_what_its_server_is() {
    let mut w = World::new();
    w.silent = true;
    w.connect(0, 1, 2);
    w.start(&chat(0, 1, Role::Client, 10, 40));
    w.run(&chat(1, 2, Role::Server, 11, 39));
    w.end(&chat(0, 1, Role::Client, 10, 40));
    assert!(w.spans.is_empty());
    w.process(1, "/usr/bin/curl", None);
    w.agent(2, "boss");
    w.tick(50 * MS);
    is_agent(w.server(2), Some("boss"));
    is_agent(w.client(1), Some("boss"));
}

#[test]
fn nobody_waits_for_discovery_longer_than_the_hold() {
    let mut w = World::new();
    w.silent = true;
    w.run(&chat(0, 1, Role::Client, 10, 40));
    assert!(w.spans.is_empty());
    w.tick(240 * MS);
    assert_eq!(w.client(1).name, "chat tiny");
}

#[test]
fn a_process_is_known_anew_after_an_exec() {
    let mut w = World::new();
    w.agent(2, "boss");
    w.start(&chat(1, 2, Role::Server, 1, 2));
    w.stitcher.process_gone(process(2), 3 * MS);
    w.agent(2, "worker");
    for conn in [1, 3] {
        w.spans.clear();
        w.run(&chat(conn, 2, Role::Server, 11, 39));
        is_agent(w.server(2), Some("worker"));
    }
}

#[test]
fn a_later_card_without_a_name_takes_none_away() {
    let mut w = World::new();
    w.run(&card(1, 2, Role::Server, "/.well-known/agent.json", 200));
    let mut nameless = card(1, 2, Role::Server, "/.well-known/agent.json", 200);
    nameless.kind = CallKind::AgentCard { name: None };
    w.run(&nameless);
    w.run(&chat(1, 2, Role::Server, 11, 39));
    is_agent(w.server(2), Some("boss"));
}

#[test]
fn cards_are_bounded() {
    let mut w = World::new();
    for n in 0..100 {
        let path = format!("/{n}/.well-known/agent.json");
        w.run(&card(1, 2, Role::Server, &path, 200));
    }
    assert_eq!(w.stitcher.counters().cards_refused, 36);
}

#[test]
fn hosts_are_the_same_in_any_case() {
    let mut w = World::new();
    let mut fetched = card(1, 2, Role::Client, "/.well-known/agent.json", 200);
    fetched.http.host = Some("Boss.Local".to_owned());
    w.run(&fetched);
    let mut c = chat(3, 2, Role::Client, 11, 39);
    c.http.host = Some("boss.local".to_owned());
    w.run(&c);
    is_agent(w.client(2), Some("boss"));
}

#[test]
fn kaos_names_say_who_is_called() {
    for (role, name) in [
        (Role::Client, "agent.delegation.target"),
        (Role::Server, "agent.name"),
    ] {
        let mut w = World::named(crate::conventions::Conventions {
            kaos_names: true,
            ..Default::default()
        });
        w.agent(1, "boss");
        w.agent(2, "worker");
        w.connect(0, 1, 2);
        let conn = u64::from(role == Role::Server);
        let tgid = if role == Role::Server { 2 } else { 1 };
        w.run(&call(conn, tgid, role, 10, 20, a2a("SendMessage")));
        w.drain();
        let span = w.spans.first().expect("a span");
        assert_eq!(text(span, name), Some("worker"));
    }
}
