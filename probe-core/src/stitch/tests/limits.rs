//! When calls and connections are forgotten, and how many are kept.

use super::world::*;
use crate::ids::{ConnId, Role};

#[test]
fn a_call_that_ends_twice_is_one_span() {
    let mut w = World::new();
    w.open(&pair(0, 1, 2)[1]);
    let s = chat(1, 2, Role::Server, 10, 20);
    w.run(&s);
    let mut again = s.clone();
    again.end = 30 * MS;
    w.end(&again);
    w.drain();
    assert_eq!(w.server(2).end, 20 * MS);
}

#[test]
fn a_pipelined_request_is_not_ended_by_the_one_before() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    let (first, mut second) = (
        chat(0, 1, Role::Client, 10, 20),
        chat(0, 1, Role::Client, 11, 9000),
    );
    second.key.exchange = 1;
    w.start(&first);
    w.start(&second);
    w.end(&first);
    w.tick(5000 * MS);
    let (_, calls, _) = w.stitcher.sizes();
    assert_eq!(calls, 1);
}

#[test]
fn an_unnamed_client_that_never_ends_leaves_no_span() {
    let mut w = World::new();
    w.connect(0, 1, 2);
    w.start(&chat(0, 1, Role::Client, 10, 40));
    assert_eq!(w.stitcher.sizes(), (2, 1, 2));
    w.stitcher.process_gone(process(1), 50 * MS);
    w.tick(600 * MS);
    assert!(w.spans.is_empty());
    assert_eq!(w.stitcher.sizes(), (2, 0, 1));
    w.drain();
    assert!(w.spans.is_empty());
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
    for tgid in [1, 2] {
        w.stitcher.process_gone(process(tgid), 5_000 * MS);
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
