//! Parents by the two ends of a connection, and by the wire.

use super::world::*;
use crate::ids::{ConnId, Role};
use crate::message::End;

#[test]
fn a_server_span_is_the_child_of_the_client_span() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let (c, s) = (
        chat(0, 1, Role::Client, 10, 40),
        chat(1, 2, Role::Server, 11, 39),
    );
    w.start(&c);
    w.start(&s);
    w.end(&s);
    assert_eq!(
        w.spans.len(),
        1,
        "the server's span need not wait for the client's end"
    );
    w.end(&c);
    assert_eq!(w.spans.len(), 2);
    assert_eq!(w.server(2).parent, Some(w.client(1).id));
    assert_eq!(w.server(2).trace, w.client(1).trace);
    assert_eq!(w.client(1).parent, None);
    assert_eq!(text(w.server(2), "telemetry.kaos.parent"), Some("peer"));
    assert_eq!(text(w.client(1), "telemetry.kaos.parent"), Some("none"));
    check(&w.spans, &[]);
}

#[test]
fn the_server_may_be_seen_before_the_client_and_end_before_it() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let (c, s) = (
        chat(0, 1, Role::Client, 10, 40),
        chat(1, 2, Role::Server, 9, 39),
    );
    w.run(&s);
    assert!(w.spans.is_empty(), "held for its client");
    w.start(&c);
    w.tick(50 * MS);
    assert_eq!(w.spans.len(), 1, "the client is known now");
    w.end(&c);
    assert_eq!(w.server(2).parent, Some(w.client(1).id));
}

#[test]
fn a_server_without_a_known_client_waits_no_longer_than_the_hold() {
    let mut w = World::new();
    w.open(&pair(0, 1, 2)[1]);
    w.run(&chat(1, 2, Role::Server, 10, 20));
    w.tick(219 * MS);
    assert!(w.spans.is_empty());
    w.tick(220 * MS);
    assert_eq!(w.server(2).parent, None);
    assert!(w.server(2).summary.counts);
}

#[test]
fn a_server_waits_for_a_client_in_another_container_of_this_host() {
    let mut w = World::new();
    w.open(&info(1, 2, "10.0.0.2:8000", "10.0.0.9:4000", 5));
    w.open(&info(7, 3, "10.0.0.9:5000", "10.0.0.7:80", 6));
    w.run(&chat(1, 2, Role::Server, 10, 20));
    assert!(w.spans.is_empty());
    w.open(&info(0, 3, "10.0.0.9:4000", "10.0.0.2:8000", 6));
    w.start(&chat(0, 3, Role::Client, 9, 21));
    w.end(&chat(0, 3, Role::Client, 9, 21));
    assert_eq!(w.server(2).parent, Some(w.client(3).id));
}

#[test]
fn a_server_whose_client_is_on_another_host_does_not_wait() {
    let mut w = World::new();
    w.open(&info(1, 2, "10.0.0.2:8000", "10.0.0.9:4000", 5));
    w.run(&chat(1, 2, Role::Server, 10, 20));
    assert_eq!(w.spans.len(), 1);
}

#[test]
fn the_wire_names_the_parent_of_a_client_span() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let context = wire(3, 1);
    let (mut c, mut s) = (
        chat(0, 1, Role::Client, 10, 40),
        chat(1, 2, Role::Server, 11, 39),
    );
    c.trace = Some(context.clone());
    s.trace = Some(context.clone());
    w.start(&c);
    w.run(&s);
    w.end(&c);
    let client = w.client(1);
    assert_eq!(
        (client.trace, client.parent),
        (context.trace, Some(context.parent))
    );
    assert!(client.parent_is_remote);
    assert_eq!(client.trace_state, "vendor=3");
    assert_eq!(w.server(2).parent, Some(client.id));
    assert_eq!(w.server(2).trace, context.trace);
    assert!(w.server(2).links.is_empty());
    check(&w.spans, &[context]);
}

#[test]
fn where_only_the_server_is_seen_the_wire_names_its_parent() {
    let mut w = World::new();
    let mut s = chat(1, 2, Role::Server, 11, 39);
    s.trace = Some(wire(3, 1));
    w.run(&s);
    assert_eq!(w.server(2).parent, Some(wire(3, 1).parent));
    assert_eq!(text(w.server(2), "telemetry.kaos.parent"), Some("wire"));
}

#[test]
fn both_ends_follow_a_parent_that_is_not_sampled() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let (mut c, mut s) = (
        chat(0, 1, Role::Client, 10, 40),
        chat(1, 2, Role::Server, 11, 39),
    );
    c.trace = Some(wire(3, 0));
    s.trace = Some(wire(3, 0));
    w.start(&c);
    w.run(&s);
    w.end(&c);
    assert_eq!((w.client(1).flags, w.server(2).flags), (0, 0));
}

#[test]
fn a_client_that_has_ended_says_its_own_place() {
    // The server's capture missed the context; the client's end is known before its own.
    let mut w = World::new();
    w.connect(0, 1, 2);
    let mut c = call(
        0,
        1,
        Role::Client,
        10,
        38,
        chat(0, 1, Role::Client, 1, 2).kind,
    );
    c.trace = Some(wire(3, 1));
    let mut c_started = c.clone();
    c_started.trace = None;
    w.start(&c_started);
    w.start(&chat(1, 2, Role::Server, 11, 39));
    w.end(&c);
    assert!(w.spans.is_empty(), "the server's end says what it is");
    w.end(&chat(1, 2, Role::Server, 11, 39));
    assert_eq!(w.client(1).parent, Some(wire(3, 1).parent));
    assert_eq!(w.server(2).parent, Some(w.client(1).id));
    assert!(w.client(1).links.is_empty());
    check(&w.spans, &[wire(3, 1)]);
}

#[test]
fn an_own_root_is_sampled_and_random() {
    let mut w = World::new();
    w.run(&chat(0, 1, Role::Client, 10, 40));
    assert_eq!(w.client(1).flags, 3);
}

#[test]
fn the_context_of_an_mcp_message_is_the_parent_and_the_header_a_link() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let (meta, header) = (wire(4, 1), wire(5, 1));
    let mut c = call(
        0,
        1,
        Role::Client,
        10,
        40,
        mcp("tools/call", Some("get_weather")),
    );
    c.trace = Some(meta.clone());
    c.header_trace = Some(header.clone());
    let mut s = call(
        1,
        2,
        Role::Server,
        11,
        39,
        mcp("tools/call", Some("get_weather")),
    );
    s.trace = Some(meta.clone());
    s.header_trace = Some(header.clone());
    w.start(&c);
    w.run(&s);
    w.end(&c);
    let (client, server) = (w.client(1), w.server(2));
    assert_eq!(client.parent, Some(meta.parent));
    assert_eq!(client.links.len(), 1);
    assert_eq!(client.links[0].span, header.parent);
    assert_eq!((server.parent, server.trace), (Some(client.id), meta.trace));
    assert_eq!(server.links[0].span, header.parent);
    check(&w.spans, &[meta, header]);
}

#[test]
fn a_named_client_that_never_ends_is_exported_all_the_same() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let (c, s) = (
        chat(0, 1, Role::Client, 10, 40),
        chat(1, 2, Role::Server, 11, 39),
    );
    w.start(&c);
    w.run(&s);
    w.stitcher.connection_closed(ConnId(0), 50 * MS);
    w.tick(551 * MS);
    let client = w.client(1);
    assert_eq!(w.server(2).parent, Some(client.id));
    assert_eq!(client.name, "chat tiny");
    assert!(!client.summary.counts && w.server(2).summary.counts);
    assert!(attribute(client, "telemetry.kaos.capture.lost_end").is_some());
    assert_eq!(w.stitcher.counters().abandoned, 1);
    check(&w.spans, &[]);
}

#[test]
fn a_client_may_leave_before_the_servers_end() {
    // The client gave up; the server goes on for minutes.
    for (kind, wait) in [(None, 200), (Some(mcp("tools/call", Some("t"))), 0)] {
        let mut w = World::new();
        w.connect(0, 1, 2);
        let mut c = chat(0, 1, Role::Client, 10, 40);
        let mut s = chat(1, 2, Role::Server, 11, 90_000);
        c.ended = End::ClientGone;
        c.trace = Some(wire(3, 1));
        s.trace = Some(wire(3, 1));
        if let Some(kind) = kind {
            (c.kind, s.kind) = (kind.clone(), kind);
        }
        w.start(&c);
        w.start(&s);
        w.end(&c);
        w.tick((40 + wait) * MS);
        let client = w.client(1).id;
        w.stitcher.connection_closed(ConnId(0), 41 * MS);
        w.tick(80_000 * MS);
        w.end(&s);
        assert_eq!(w.server(2).parent, Some(client));
        check(&w.spans, &[wire(3, 1)]);
    }
}

#[test]
fn the_trace_that_a_server_took_stands_when_the_client_learns_of_another() {
    // The server's capture missed the body that held the context.
    let mut w = World::new();
    w.connect(0, 1, 2);
    let mut c = call(0, 1, Role::Client, 10, 40, mcp("tools/call", Some("t")));
    let s = call(1, 2, Role::Server, 11, 39, mcp("tools/call", Some("t")));
    w.start(&c);
    w.run(&s);
    c.trace = Some(wire(6, 1));
    w.end(&c);
    let client = w.client(1);
    assert_eq!(client.trace, w.server(2).trace);
    assert_eq!(client.parent, None);
    assert_eq!(client.links[0].span, wire(6, 1).parent);
    check(&w.spans, &[]);
}

#[test]
fn two_requests_of_the_same_role_are_not_one() {
    for role in [Role::Client, Role::Server] {
        let mut w = World::new();
        w.connect(0, 1, 2);
        let (mut one, mut other) = (
            call(0, 1, role, 15, 25, mcp("tools/list", None)),
            call(1, 2, role, 16, 24, mcp("tools/list", None)),
        );
        (one.key.part, other.key.part) = (1, 1);
        w.start(&one);
        w.start(&other);
        w.end(&other);
        w.end(&one);
        w.drain();
        assert_eq!(w.spans.len(), 2);
        assert!(w.spans.iter().all(|s| s.parent.is_none()));
    }
}

#[test]
fn one_candidate_for_two_is_no_match() {
    let mut w = World::new();
    let [mut c, s] = pair(0, 1, 2);
    c.late = true;
    w.open(&c);
    w.open(&s);
    let (first, mut second) = (
        chat(1, 2, Role::Server, 12, 39),
        chat(1, 2, Role::Server, 13, 38),
    );
    second.key.exchange = 1;
    w.start(&chat(0, 1, Role::Client, 10, 40));
    w.start(&first);
    w.start(&second);
    w.end(&second);
    w.end(&chat(0, 1, Role::Client, 10, 40));
    w.end(&first);
    w.drain();
    assert_eq!(w.spans.len(), 3);
    assert!(w.spans.iter().all(|s| s.parent.is_none()));
}

#[test]
fn a_message_from_the_server_joins_with_the_roles_swapped() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let mut asks = call(
        1,
        2,
        Role::Client,
        15,
        25,
        mcp("sampling/createMessage", None),
    );
    let mut answers = call(
        0,
        1,
        Role::Server,
        16,
        24,
        mcp("sampling/createMessage", None),
    );
    (asks.key.part, answers.key.part) = (1, 1);
    w.start(&asks);
    w.run(&answers);
    w.end(&asks);
    assert_eq!(w.server(1).parent, Some(w.client(2).id));
}
