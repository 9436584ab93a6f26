//! Parents by the two ends of a connection, and by the wire.

use super::world::*;
use crate::ids::{ConnId, Role, Transport};
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
fn an_unnamed_client_that_never_ends_leaves_no_span() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    w.start(&chat(0, 1, Role::Client, 10, 40));
    assert_eq!(w.stitcher.sizes(), (2, 1, 1));
    w.stitcher.process_gone(process(1), 50 * MS);
    w.tick(600 * MS);
    w.drain();
    assert!(w.spans.is_empty());
    assert_eq!(w.stitcher.sizes(), (2, 0, 0));
}

#[test]
fn what_turns_out_to_be_no_call_leaves_no_span() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let c = chat(0, 1, Role::Client, 10, 40);
    w.start(&c);
    w.stitcher.dismissed(c.key, &mut w.spans);
    w.drain();
    assert!(w.spans.is_empty());
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

/// Whether a client's and a server's call on these two connections become parent and child.
fn joins(one: &crate::ids::ConnInfo, other: &crate::ids::ConnInfo) -> bool {
    let mut w = World::new();
    w.open(one);
    w.open(other);
    w.start(&chat(one.id.0, 1, Role::Client, 10, 40));
    w.run(&chat(other.id.0, 2, Role::Server, 11, 39));
    w.end(&chat(one.id.0, 1, Role::Client, 10, 40));
    w.drain();
    check(&w.spans, &[]);
    w.server(2).parent == Some(w.client(1).id)
}

#[test]
fn addresses_join_only_where_they_are_certain() {
    let c = |local, peer, ns| info(0, 1, local, peer, ns);
    let s = |local, peer, ns| info(1, 2, local, peer, ns);
    let cases = [
        (
            "loopback",
            c("127.0.0.1:4", "127.0.0.1:8", 1),
            s("127.0.0.1:8", "127.0.0.1:4", 1),
            true,
        ),
        (
            "two namespaces",
            c("127.0.0.1:4", "127.0.0.1:8", 1),
            s("127.0.0.1:8", "127.0.0.1:4", 2),
            false,
        ),
        (
            "unknown namespace",
            c("127.0.0.1:4", "127.0.0.1:8", 0),
            s("127.0.0.1:8", "127.0.0.1:4", 0),
            false,
        ),
        (
            "real addresses",
            c("10.0.0.1:4", "10.0.0.2:8", 1),
            s("10.0.0.2:8", "10.0.0.1:4", 2),
            true,
        ),
        (
            "a service address",
            c("10.0.0.1:4", "10.96.0.2:80", 1),
            s("10.0.0.2:8", "10.0.0.1:4", 2),
            false,
        ),
        (
            "mapped",
            c("127.0.0.1:4", "127.0.0.1:8", 1),
            s("[::ffff:127.0.0.1]:8", "[::ffff:127.0.0.1]:4", 1),
            true,
        ),
        (
            "other port",
            c("127.0.0.1:4", "127.0.0.1:8", 1),
            s("127.0.0.1:8", "127.0.0.1:5", 1),
            false,
        ),
        (
            "link local",
            c("[fe80::1]:4", "[fe80::2]:8", 1),
            s("[fe80::2]:8", "[fe80::1]:4", 2),
            false,
        ),
        (
            "v6",
            c("[2001:db8::1]:4", "[2001:db8::2]:8", 1),
            s("[2001:db8::2]:8", "[2001:db8::1]:4", 2),
            true,
        ),
        (
            "unspecified",
            c("0.0.0.0:4", "10.0.0.2:8", 1),
            s("10.0.0.2:8", "0.0.0.0:4", 1),
            false,
        ),
    ];
    for (name, one, other, expected) in cases {
        assert_eq!(joins(&one, &other), expected, "{name}");
        assert_eq!(
            joins_in_other_order(&one, &other),
            expected,
            "{name}, server first"
        );
    }
}

fn joins_in_other_order(one: &crate::ids::ConnInfo, other: &crate::ids::ConnInfo) -> bool {
    let mut w = World::new();
    w.open(other);
    w.start(&chat(other.id.0, 2, Role::Server, 11, 39));
    w.open(one);
    w.run(&chat(one.id.0, 1, Role::Client, 10, 40));
    w.end(&chat(other.id.0, 2, Role::Server, 11, 39));
    w.drain();
    check(&w.spans, &[]);
    w.server(2).parent == Some(w.client(1).id)
}

#[test]
fn tls_ends_join_only_when_both_sockets_are_known() {
    let tls = |mut i: crate::ids::ConnInfo| {
        i.transport = Transport::Tls;
        i
    };
    let [c, s] = pair(0, 1, 2).map(tls);
    assert!(joins(&c, &s));
    let unknown = crate::ids::ConnInfo {
        endpoints: None,
        ..s.clone()
    };
    assert!(!joins(&c, &unknown));
    // The ciphertext's own socket has the same addresses and is no end of the plaintext.
    let plain = pair(0, 1, 2)[1].clone();
    assert!(!joins(&c, &plain));
}

#[test]
fn addresses_that_come_later_join() {
    let mut w = World::new();
    let [mut c, mut s] = pair(0, 1, 2);
    (c.transport, s.transport) = (Transport::Tls, Transport::Tls);
    let unbound = crate::ids::ConnInfo {
        endpoints: None,
        ..c.clone()
    };
    w.open(&s);
    w.open(&unbound);
    w.start(&chat(0, 1, Role::Client, 10, 40));
    w.start(&chat(1, 2, Role::Server, 11, 39));
    w.stitcher.connection_bound(&c);
    w.end(&chat(1, 2, Role::Server, 11, 39));
    w.end(&chat(0, 1, Role::Client, 10, 40));
    assert_eq!(w.server(2).parent, Some(w.client(1).id));
}

#[test]
fn addresses_without_a_port_are_replaced_by_better_ones() {
    let mut w = World::new();
    let [c, s] = pair(0, 1, 2);
    w.open(&info(0, 1, "0.0.0.0:0", "127.0.0.1:1002", 1));
    w.open(&s);
    w.stitcher.connection_bound(&c);
    // What is certain stays.
    w.stitcher
        .connection_bound(&info(0, 1, "127.0.0.1:7", "127.0.0.1:8", 1));
    w.start(&chat(0, 1, Role::Client, 10, 40));
    w.run(&chat(1, 2, Role::Server, 11, 39));
    w.end(&chat(0, 1, Role::Client, 10, 40));
    assert_eq!(w.server(2).parent, Some(w.client(1).id));
    w.stitcher.connection_closed(ConnId(0), 50 * MS);
    w.stitcher.connection_closed(ConnId(1), 50 * MS);
    w.tick(1000 * MS);
    assert_eq!(w.stitcher.sizes(), (0, 0, 0));
}

#[test]
fn the_next_tick_is_when_something_must_leave() {
    let mut w = World::new();
    assert_eq!(w.stitcher.next_tick(), None);
    let [c, s] = pair(0, 1, 2);
    w.open(&s);
    w.run(&chat(1, 2, Role::Server, 11, 39));
    assert_eq!(w.stitcher.next_tick(), Some(239 * MS));
    w.open(&c);
    w.start(&chat(0, 1, Role::Client, 10, 40));
    assert_eq!(
        w.stitcher.next_tick(),
        Some(0),
        "the client is known: at once"
    );
    w.tick(40 * MS);
    assert_eq!(w.spans.len(), 1);
}

#[test]
fn a_reused_port_pair_is_a_new_connection() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    w.start(&chat(0, 1, Role::Client, 10, 40));
    w.run(&chat(1, 2, Role::Server, 11, 39));
    w.end(&chat(0, 1, Role::Client, 10, 40));
    let first = w.client(1).id;
    w.stitcher.connection_closed(ConnId(0), 41 * MS);
    w.stitcher.connection_closed(ConnId(1), 41 * MS);
    w.spans.clear();
    // The same addresses again, right after.
    let [mut c, mut s] = pair(0, 1, 2);
    (c.id, s.id) = (ConnId(10), ConnId(11));
    w.open(&c);
    w.open(&s);
    w.start(&chat(10, 1, Role::Client, 50, 60));
    w.run(&chat(11, 2, Role::Server, 51, 59));
    w.end(&chat(10, 1, Role::Client, 50, 60));
    assert_ne!(w.client(1).id, first);
    assert_eq!(w.server(2).parent, Some(w.client(1).id));
}

#[test]
fn a_reused_port_pair_whose_close_was_missed_joins_nothing() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let mut c = pair(0, 1, 2)[0].clone();
    c.id = ConnId(10);
    w.open(&c);
    w.start(&chat(10, 1, Role::Client, 50, 60));
    w.run(&chat(1, 2, Role::Server, 51, 59));
    w.end(&chat(10, 1, Role::Client, 50, 60));
    w.drain();
    assert_eq!(w.server(2).parent, None);
}

#[test]
fn a_server_that_is_still_open_is_not_the_end_of_a_newer_client() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    w.stitcher.connection_closed(ConnId(0), 5 * MS);
    let mut c = pair(0, 1, 2)[0].clone();
    c.id = ConnId(10);
    w.open(&c);
    w.start(&chat(10, 1, Role::Client, 50, 60));
    w.run(&chat(1, 2, Role::Server, 51, 59));
    w.end(&chat(10, 1, Role::Client, 50, 60));
    w.drain();
    assert_eq!(w.server(2).parent, None);
}

#[test]
fn a_server_that_is_still_open_when_its_client_is_forgotten_joins_nothing_newer() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    w.stitcher.connection_closed(ConnId(0), 5 * MS);
    w.tick(1000 * MS);
    let mut c = pair(0, 1, 2)[0].clone();
    c.id = ConnId(10);
    w.open(&c);
    w.start(&chat(10, 1, Role::Client, 1050, 1060));
    w.run(&chat(1, 2, Role::Server, 1051, 1059));
    w.end(&chat(10, 1, Role::Client, 1050, 1060));
    w.drain();
    assert_eq!(w.server(2).parent, None);
}

#[test]
fn two_networks_with_the_same_addresses_join_nothing() {
    let mut w = World::new();
    w.open(&info(0, 1, "10.0.0.1:4", "10.0.0.2:8", 1));
    w.open(&info(2, 3, "10.0.0.1:4", "10.0.0.2:8", 7));
    w.open(&info(1, 2, "10.0.0.2:8", "10.0.0.1:4", 2));
    w.start(&chat(2, 3, Role::Client, 10, 40));
    w.run(&chat(1, 2, Role::Server, 11, 39));
    w.end(&chat(2, 3, Role::Client, 10, 40));
    w.drain();
    assert_eq!(w.server(2).parent, None);
}

#[test]
fn two_requests_of_the_same_role_are_not_one() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let (mut one, mut other) = (
        call(0, 1, Role::Client, 15, 25, mcp("tools/list", None)),
        call(1, 2, Role::Client, 16, 24, mcp("roots/list", None)),
    );
    (one.key.part, other.key.part) = (1, 1);
    w.start(&one);
    w.start(&other);
    w.end(&other);
    w.end(&one);
    w.drain();
    assert_eq!((w.client(1).parent, w.client(2).parent), (None, None));
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
fn what_was_no_call_is_forgotten_while_its_connection_lives() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    for n in 0..50 {
        let mut c = chat(0, 1, Role::Client, n * 10, n * 10 + 5);
        c.key.exchange = n * 2;
        w.start(&c);
        c.key.exchange += 1;
        w.run(&c);
    }
    w.tick(10_000 * MS);
    let (connections, calls, _) = w.stitcher.sizes();
    assert_eq!((connections, calls, w.spans.len()), (2, 0, 50));
}

#[test]
fn one_connection_cannot_fill_the_map() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    for n in 0..2000 {
        let mut c = chat(0, 1, Role::Client, 1, 2);
        c.key.exchange = n;
        w.start(&c);
    }
    let (_, calls, _) = w.stitcher.sizes();
    assert_eq!(calls, 1024);
    assert_eq!(w.stitcher.counters().calls_refused, 976);
}

/// Two exchanges, one after the other; the server was joined late and counts from the second.
fn late(path: &str, end: End) -> World {
    let mut w = World::new();
    let [c, mut s] = pair(0, 1, 2);
    s.late = true;
    w.open(&c);
    w.open(&s);
    let first = chat(0, 1, Role::Client, 10, 20);
    let mut second = chat(0, 1, Role::Client, 30, 40);
    second.key.exchange = 1;
    let mut served = chat(1, 2, Role::Server, 31, 39);
    served.http.path = path.to_owned();
    served.ended = end;
    w.start(&first);
    w.start(&served);
    w.end(&first);
    w.start(&second);
    w.end(&served);
    w.end(&second);
    w.tick(1000 * MS);
    check(&w.spans, &[]);
    w
}

#[test]
fn exchanges_of_a_late_connection_are_matched_by_time_and_path() {
    let w = late("/v1/chat/completions", End::Complete);
    let second = w
        .spans
        .iter()
        .find(|s| s.start == 30 * MS)
        .expect("the second");
    assert_eq!(w.server(2).parent, Some(second.id));
    let w = late("/v1/messages", End::Complete);
    assert_eq!(w.server(2).parent, None);
}

#[test]
fn exchanges_that_do_not_overlap_are_not_one() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let c = chat(0, 1, Role::Client, 10, 20);
    let s = chat(1, 2, Role::Server, 25, 30);
    w.run(&c);
    w.run(&s);
    w.drain();
    assert_eq!(w.server(2).parent, None);
}

#[test]
fn two_candidates_are_no_match() {
    let mut w = World::new();
    let [c, mut s] = pair(0, 1, 2);
    s.late = true;
    w.open(&c);
    w.open(&s);
    // Pipelined: both overlap.
    let (first, mut second) = (
        chat(0, 1, Role::Client, 10, 40),
        chat(0, 1, Role::Client, 11, 41),
    );
    second.key.exchange = 1;
    w.start(&first);
    w.start(&second);
    w.run(&chat(1, 2, Role::Server, 12, 39));
    w.end(&first);
    w.end(&second);
    w.drain();
    assert_eq!(w.server(2).parent, None);
}

#[test]
fn a_hole_makes_the_numbers_worthless() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let mut lost = chat(0, 1, Role::Client, 10, 20);
    lost.ended = End::Lost;
    w.run(&lost);
    // The client's second exchange got the number 1, the server's the number 2.
    let mut c = chat(0, 1, Role::Client, 30, 40);
    c.key.exchange = 1;
    let mut s = chat(1, 2, Role::Server, 31, 39);
    s.key.exchange = 2;
    w.start(&c);
    w.run(&s);
    w.end(&c);
    w.tick(1000 * MS);
    let second = w
        .spans
        .iter()
        .find(|s| s.start == 30 * MS)
        .expect("the second");
    assert_eq!(w.server(2).parent, Some(second.id));
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

#[test]
fn nothing_is_kept_when_all_is_over() {
    let mut w = World::new();
    for n in 0..200 {
        w.connect(n * 2, 1, 2);
        w.start(&chat(n * 2, 1, Role::Client, n, n + 2));
        w.run(&chat(n * 2 + 1, 2, Role::Server, n, n + 1));
        w.end(&chat(n * 2, 1, Role::Client, n, n + 2));
        w.stitcher.connection_closed(ConnId(n * 2), (n + 2) * MS);
        w.stitcher
            .connection_closed(ConnId(n * 2 + 1), (n + 2) * MS);
    }
    w.tick(10_000 * MS);
    assert_eq!(w.spans.len(), 400);
    assert_eq!(w.stitcher.sizes(), (0, 0, 0));
    assert!(w.stitcher.timers.due(u64::MAX).is_none());
}

#[test]
fn maps_are_bounded_and_say_what_they_threw_away() {
    let mut w = World::with(crate::stitch::Config {
        max_connections: 4,
        max_calls: 3,
        max_processes: 2,
        ..crate::stitch::Config::default()
    });
    for n in 0..10 {
        w.open(&info(
            n,
            1,
            &format!("10.0.0.1:{}", 50 + n),
            "10.0.0.2:80",
            1,
        ));
        w.start(&chat(n, 1, Role::Client, n, n + 1));
        w.stitcher.process_seen(
            process(u32::try_from(n).expect("small") + 1),
            crate::stitch::facts::ProcessFacts::default(),
        );
    }
    w.tick(MS);
    let (connections, calls, processes) = w.stitcher.sizes();
    assert!(connections <= 4 && calls <= 3 && processes <= 2);
    let counters = w.stitcher.counters();
    assert_eq!(counters.connections_evicted, 6);
    assert!(counters.calls_refused > 0 && counters.processes_refused == 8);
    // A call that found no room is a span all the same.
    w.spans.clear();
    for n in 6..10 {
        w.start(&chat(n, 1, Role::Client, n, n + 1));
    }
    w.end(&chat(99, 1, Role::Client, 1, 2));
    assert_eq!(w.spans.len(), 1);
}
