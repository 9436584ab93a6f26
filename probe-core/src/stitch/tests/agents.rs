//! Agents are not models.

use super::world::*;
use crate::call::{Call, CallKind};
use crate::ids::Role;

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
    for (path, name) in [("", "front"), ("/boss", "boss"), ("/bos", "other")] {
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
        ("/x", "front"),
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
