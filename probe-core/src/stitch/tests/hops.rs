//! Each generation counts once.

use super::world::*;
use crate::call::{Call, CallKind, Operation};
use crate::ids::Role;

fn counting(world: &World) -> Vec<(u32, crate::span::SpanKind)> {
    let counting = world.spans.iter().filter(|s| s.summary.counts);
    counting.map(|s| (s.process.tgid, s.kind)).collect()
}

/// client 1 → proxy 2 → server 3; the calls in the order of the chain.
fn chain() -> [Call; 4] {
    [
        chat(0, 1, Role::Client, 10, 50),
        chat(1, 2, Role::Server, 11, 49),
        chat(2, 2, Role::Client, 20, 40),
        chat(3, 3, Role::Server, 21, 39),
    ]
}

#[test]
fn a_chain_through_a_proxy_counts_at_the_model() {
    let mut world = World::new();
    world.connect(0, 1, 2);
    world.connect(2, 2, 3);
    let [a, b, c, d] = chain();
    for call in [&a, &b, &c, &d] {
        world.start(call);
    }
    for call in [&d, &c, &b, &a] {
        world.end(call);
    }
    assert_eq!(world.spans.len(), 4, "nothing had to wait");
    assert_eq!(counting(&world), [(3, crate::span::SpanKind::Server)]);
    let hops = world
        .spans
        .iter()
        .map(|s| (s.process.tgid, s.summary.hop.expect("a hop")));
    let hops: Vec<_> = hops.collect();
    assert_eq!(
        hops,
        [(3, "origin"), (2, "origin"), (2, "proxy"), (1, "proxy")]
    );
    check(&world.spans, &[]);
}

#[test]
fn a_client_whose_server_is_not_seen_counts() {
    let mut world = World::new();
    world.run(&chat(0, 1, Role::Client, 10, 50));
    assert_eq!(counting(&world), [(1, crate::span::SpanKind::Client)]);
}

/// Over TLS through memory, or through a Service's address.
#[test]
fn ends_that_do_not_know_of_each_other_count_once() {
    let mut world = World::new();
    for (conn, process) in [(0, 1), (1, 2), (2, 2), (3, 3)] {
        let mut info = pair(conn, process, 9)[0].clone();
        info.endpoints = None;
        world.open(&info);
    }
    let [a, b, c, d] = chain();
    for call in [&a, &b, &c, &d] {
        world.start(call);
    }
    for call in [&d, &c, &b, &a] {
        world.end(call);
    }
    world.tick(1000 * MS);
    assert_eq!(world.spans.len(), 4);
    assert_eq!(counting(&world), [(3, crate::span::SpanKind::Server)]);
    // The model is elsewhere.
    world.spans.clear();
    let late = |mut call: Call| {
        call.key.exchange = 1;
        call
    };
    let [a, b, c] = [late(a), late(b), late(c)];
    for call in [&a, &b, &c] {
        world.start(call);
    }
    for call in [&c, &b, &a] {
        world.end(call);
    }
    world.tick(2000 * MS);
    assert_eq!(counting(&world), [(2, crate::span::SpanKind::Client)]);
}

#[test]
fn a_proxy_whose_upstream_is_elsewhere_counts_once() {
    let mut world = World::new();
    world.connect(0, 1, 2);
    let [a, b, c, _] = chain();
    for call in [&a, &b, &c] {
        world.start(call);
    }
    for call in [&c, &b, &a] {
        world.end(call);
    }
    assert_eq!(counting(&world), [(2, crate::span::SpanKind::Client)]);
}

#[test]
fn a_proxy_that_answers_before_its_upstream_call_has_ended_waits_for_it() {
    let mut world = World::new();
    world.connect(0, 1, 2);
    world.open(&pair(2, 2, 3)[0]);
    let [a, b, mut c, _] = chain();
    c.end = 60 * MS;
    for call in [&a, &b, &c] {
        world.start(call);
    }
    world.end(&b);
    world.end(&a);
    assert!(world.spans.is_empty());
    world.end(&c);
    assert_eq!(world.spans.len(), 3);
    assert_eq!(counting(&world), [(2, crate::span::SpanKind::Client)]);
}

#[test]
fn a_server_that_asks_for_embeddings_on_its_way_is_no_proxy() {
    let mut world = World::new();
    let (server, mut inner) = (
        chat(1, 2, Role::Server, 11, 49),
        chat(2, 2, Role::Client, 20, 40),
    );
    if let CallKind::Inference(i) = &mut inner.kind {
        i.operation = Operation::Embeddings;
        i.response_id = None;
    }
    world.connect(0, 1, 2);
    world.start(&server);
    world.run(&inner);
    world.end(&server);
    world.drain();
    assert_eq!(world.server(2).summary.hop, Some("origin"));
    assert_eq!(counting(&world).len(), 2, "two generations");
}

#[test]
fn an_agent_is_no_proxy_and_its_model_counts() {
    let mut world = World::new();
    world.agent(2, "boss");
    world.connect(0, 1, 2);
    world.connect(2, 2, 3);
    let [a, b, c, d] = chain();
    for call in [&a, &b, &c, &d] {
        world.start(call);
    }
    for call in [&d, &c, &b, &a] {
        world.end(call);
    }
    assert_eq!(world.server(2).summary.hop, Some("agent"));
    assert_eq!(counting(&world), [(3, crate::span::SpanKind::Server)]);
}

#[test]
fn ollamas_own_runner_is_no_second_model_call() {
    let mut world = World::new();
    world.process(2, "/usr/bin/ollama", None);
    world.process(3, "/usr/bin/ollama", Some(2));
    world.connect(0, 1, 2);
    world.connect(2, 2, 3);
    let [a, b, mut c, mut d] = chain();
    c.http.path = "/completion".to_owned();
    d.http.path = "/completion".to_owned();
    for call in [&a, &b, &c, &d] {
        world.start(call);
    }
    for call in [&d, &c, &b, &a] {
        world.end(call);
    }
    assert_eq!(world.spans.len(), 2);
    assert_eq!(counting(&world), [(2, crate::span::SpanKind::Server)]);
    assert_eq!(world.server(2).summary.hop, Some("origin"));
    assert_eq!(world.stitcher.counters().runner_calls, 2);
}

#[test]
fn another_program_at_completion_is_a_model() {
    for (executable, parent) in [("/usr/bin/llama-server", Some(2)), ("/usr/bin/app", None)] {
        let mut world = World::new();
        world.process(2, "/usr/bin/app", None);
        world.process(3, executable, parent);
        world.connect(2, 2, 3);
        let mut d = chat(3, 3, Role::Server, 21, 39);
        d.http.path = "/completion".to_owned();
        world.run(&d);
        world.drain();
        assert_eq!(world.spans.len(), 1, "{executable}");
    }
}

#[test]
fn loading_a_model_is_no_generation() {
    let mut world = World::new();
    let mut s = chat(1, 2, Role::Server, 11, 49);
    if let CallKind::Inference(i) = &mut s.kind {
        i.no_inference = true;
    }
    world.run(&s);
    assert!(!world.server(2).summary.counts);
}

#[test]
fn the_client_counts_where_the_servers_capture_lost_the_usage() {
    for (missed, expected) in [(0, 2), (5000, 1)] {
        let mut world = World::new();
        world.connect(0, 1, 2);
        let client = chat(0, 1, Role::Client, 10, 50);
        let mut server = chat(1, 2, Role::Server, 11, 49);
        server.capture.missed_bytes = missed;
        if let CallKind::Inference(i) = &mut server.kind {
            i.usage = crate::call::Usage::default();
        }
        world.start(&client);
        world.run(&server);
        world.end(&client);
        let counting = counting(&world);
        assert_eq!(counting.len(), 1);
        assert_eq!(counting[0].0, expected);
    }
}

#[test]
fn only_calls_that_were_made_meanwhile_are_what_is_forwarded() {
    for (start, end, hop) in [(5, 30, "origin"), (20, 30, "proxy"), (60, 70, "origin")] {
        let mut world = World::new();
        world.connect(0, 1, 2);
        world.open(&pair(2, 2, 3)[0]);
        let server = chat(1, 2, Role::Server, 11, 49);
        let inner = chat(2, 2, Role::Client, start, end);
        world.start(&server);
        world.start(&inner);
        if start > 49 {
            // Seen before the server's end has left.
            world.end(&server);
            world.end(&inner);
        } else {
            world.end(&inner);
            world.end(&server);
        }
        world.drain();
        assert_eq!(world.server(2).summary.hop, Some(hop), "{start}");
    }
}

#[test]
fn who_delegates_to_an_agent_forwards_nothing() {
    let mut world = World::new();
    world.agent(3, "worker");
    world.connect(0, 1, 2);
    world.connect(2, 2, 3);
    let [a, b, c, d] = chain();
    for call in [&a, &b, &c, &d] {
        world.start(call);
    }
    for call in [&d, &c, &b, &a] {
        world.end(call);
    }
    assert_eq!(world.server(2).summary.hop, Some("origin"));
    assert_eq!(world.server(3).summary.hop, Some("agent"));
}

#[test]
fn a_helpers_caller_that_was_named_keeps_its_span() {
    // The runner's span left before it was known whose child it is.
    let mut world = World::new();
    world.connect(2, 2, 3);
    let (mut c, mut d) = (
        chat(2, 2, Role::Client, 20, 40),
        chat(3, 3, Role::Server, 21, 39),
    );
    c.http.path = "/completion".to_owned();
    d.http.path = "/completion".to_owned();
    world.start(&c);
    world.run(&d);
    world.process(2, "/usr/bin/ollama", None);
    world.process(3, "/usr/bin/ollama", Some(2));
    world.end(&c);
    assert_eq!(world.server(3).parent, Some(world.client(2).id));
    let lost = attribute(world.client(2), "telemetry.kaos.capture.lost_end");
    assert_eq!(lost, None);
}

#[test]
fn a_runner_that_is_known_late_is_no_model_either() {
    let mut world = World::new();
    world.silent = true;
    world.connect(0, 1, 2);
    world.connect(2, 2, 3);
    let [a, b, mut c, mut d] = chain();
    c.http.path = "/completion".to_owned();
    d.http.path = "/completion".to_owned();
    for call in [&a, &b, &c, &d] {
        world.start(call);
    }
    for call in [&d, &c, &b, &a] {
        world.end(call);
    }
    assert!(world.spans.is_empty());
    world.process(1, "/usr/bin/curl", None);
    world.process(2, "/usr/bin/ollama", None);
    world.process(3, "/usr/bin/ollama", Some(2));
    world.tick(60 * MS);
    assert_eq!(world.spans.len(), 2);
    assert_eq!(counting(&world), [(2, crate::span::SpanKind::Server)]);
    assert_eq!(world.server(2).summary.hop, Some("origin"));
}

#[test]
fn one_end_of_a_runners_call_is_enough() {
    // The other end was not seen.
    for (conn, tgid, role) in [(2, 2, Role::Client), (3, 3, Role::Server)] {
        let mut world = World::new();
        world.process(2, "/usr/bin/ollama", None);
        world.process(3, "/usr/bin/ollama", Some(2));
        let end = usize::from(role == Role::Server);
        world.open(&pair(2, 2, 3)[end]);
        let mut call = chat(conn, tgid, role, 20, 40);
        call.http.path = "/completion".to_owned();
        world.run(&call);
        world.drain();
        assert!(world.spans.is_empty());
    }
}

#[test]
fn a_server_that_lost_its_usage_counts_when_the_client_has_left() {
    let mut world = World::new();
    world.connect(0, 1, 2);
    let client = chat(0, 1, Role::Client, 10, 50);
    let mut server = chat(1, 2, Role::Server, 11, 490);
    server.capture.missed_bytes = 1;
    if let CallKind::Inference(i) = &mut server.kind {
        i.usage = crate::call::Usage::default();
    }
    world.start(&client);
    world.start(&server);
    world.end(&client);
    world.tick(300 * MS);
    world.end(&server);
    assert_eq!(counting(&world), [(2, crate::span::SpanKind::Server)]);
}

#[test]
fn a_damaged_capture_with_usage_counts_where_it_is() {
    let mut world = World::new();
    world.connect(0, 1, 2);
    let client = chat(0, 1, Role::Client, 10, 50);
    let mut server = chat(1, 2, Role::Server, 11, 49);
    server.capture.missed_bytes = 1;
    world.start(&client);
    world.run(&server);
    world.end(&client);
    assert_eq!(counting(&world), [(2, crate::span::SpanKind::Server)]);
}

#[test]
fn a_helpers_parent_is_known_by_its_number() {
    // Discovery did not know yet when the parent began.
    let mut world = World::new();
    world.process(2, "/usr/bin/ollama", None);
    world.facts(
        3,
        crate::stitch::facts::ProcessFacts {
            executable: "/usr/bin/ollama".to_owned(),
            parent: Some(crate::ids::ProcessId { tgid: 2, start: 0 }),
            ..Default::default()
        },
    );
    world.connect(2, 2, 3);
    let mut call = chat(3, 3, Role::Server, 20, 40);
    call.http.path = "/completion".to_owned();
    world.run(&call);
    world.drain();
    assert!(world.spans.is_empty());
}

#[test]
fn at_the_end_inner_calls_leave_first() {
    // All of it is held back for what discovery will not say any more.
    let mut world = World::new();
    world.silent = true;
    world.connect(0, 1, 2);
    world.connect(2, 2, 3);
    for call in chain() {
        world.start(&call);
        world.end(&call);
    }
    assert!(world.spans.is_empty());
    world.drain();
    assert_eq!(counting(&world), [(3, crate::span::SpanKind::Server)]);
    assert_eq!(world.server(2).summary.hop, Some("proxy"));
    check(&world.spans, &[]);
}
