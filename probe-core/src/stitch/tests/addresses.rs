//! Which connections are the two ends of one.

use super::world::*;
use crate::ids::{ConnId, ConnInfo, Role, Transport};

/// Whether a client's and a server's call on these two connections become parent and child.
fn joins(one: &ConnInfo, other: &ConnInfo) -> bool {
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
fn the_clients_address_joins_what_a_service_stands_between() {
    let client = info(0, 1, "10.0.0.1:4", "10.96.0.2:80", 1);
    let server = |peer| info(1, 2, "10.0.0.2:8", peer, 2);
    assert!(joins(&client, &server("10.0.0.1:4")));
    assert!(!joins(&client, &server("10.0.0.1:5")), "another port");
    assert!(!joins(&client, &server("10.0.0.3:4")), "another client");
    let own = info(0, 1, "127.0.0.1:4", "127.0.0.9:80", 1);
    let other = info(1, 2, "127.0.0.1:8", "127.0.0.1:4", 1);
    assert!(!joins(&own, &other), "nothing translates loopback");
}

#[test]
fn an_address_that_two_calls_come_from_joins_nothing() {
    let mut w = World::new();
    w.open(&info(0, 1, "10.0.0.1:4", "10.96.0.2:80", 1));
    w.open(&info(1, 1, "10.0.0.1:4", "10.96.0.3:80", 1));
    w.open(&info(2, 2, "10.0.0.2:8", "10.0.0.1:4", 2));
    w.start(&chat(0, 1, Role::Client, 10, 40));
    w.start(&chat(1, 1, Role::Client, 10, 40));
    w.run(&chat(2, 2, Role::Server, 11, 39));
    w.end(&chat(0, 1, Role::Client, 10, 40));
    w.drain();
    assert_eq!(w.server(2).parent, None);
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
            true,
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

fn joins_in_other_order(one: &ConnInfo, other: &ConnInfo) -> bool {
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
    let tls = |mut i: ConnInfo| {
        i.transport = Transport::Tls;
        i
    };
    let [c, s] = pair(0, 1, 2).map(tls);
    assert!(joins(&c, &s));
    let unknown = ConnInfo {
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
    let unbound = ConnInfo {
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
    let peer = attribute(w.client(1), "network.peer.port");
    assert_eq!(peer, Some(&crate::span::Value::Int(1002)));
    w.tick(1000 * MS);
    let (connections, calls, _) = w.stitcher.sizes();
    assert_eq!((connections, calls), (0, 0));
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
    let ends = [
        info(0, 1, "10.0.0.1:4", "10.0.0.2:8", 1),
        info(1, 2, "10.0.0.2:8", "10.0.0.1:4", 2),
        info(2, 3, "10.0.0.1:4", "10.0.0.2:8", 7),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 0, 1]] {
        for (conn, tgid) in [(0, 1), (2, 3)] {
            let mut w = World::new();
            for n in order {
                w.open(&ends[n]);
            }
            w.start(&chat(conn, tgid, Role::Client, 10, 40));
            w.run(&chat(1, 2, Role::Server, 11, 39));
            w.end(&chat(conn, tgid, Role::Client, 10, 40));
            w.drain();
            assert_eq!(w.server(2).parent, None, "{order:?}");
        }
    }
}
