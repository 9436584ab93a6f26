//! Which exchanges of a connection are one, where the two ends do not count alike.

use super::world::*;
use crate::call::CallKind;
use crate::ids::Role;
use crate::message::End;

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

/// A client's write that was seen 1 ms after the server's answer, which took 10 ms to 20 ms.
fn seen_late(late: bool) -> (World, [crate::call::Call; 2]) {
    let mut w = World::new();
    let [c, mut s] = pair(0, 1, 2);
    s.late = late;
    w.open(&c);
    w.open(&s);
    let calls = [
        chat(0, 1, Role::Client, 21, 22),
        chat(1, 2, Role::Server, 10, 20),
    ];
    (w, calls)
}

#[test]
fn a_client_that_is_seen_after_the_answer_is_the_other_end() {
    for late in [false, true] {
        let (mut w, [c, s]) = seen_late(late);
        w.run(&s);
        w.start(&c);
        w.tick(21 * MS);
        assert!(w.spans.is_empty(), "perhaps it is the next exchange");
        w.end(&c);
        w.tick(1000 * MS);
        assert_eq!(w.server(2).parent, Some(w.client(1).id));
        assert_eq!(text(w.server(2), "telemetry.kaos.parent"), Some("peer"));
        check(&w.spans, &[]);
    }
}

#[test]
fn the_next_exchange_is_not_the_other_end() {
    // A hole took the client's first exchange away, so its second has the first one's number.
    for late in [false, true] {
        let (mut w, [mut c, s]) = seen_late(late);
        let CallKind::Inference(inference) = &mut c.kind else {
            panic!("a model call");
        };
        inference.response_id = Some("chatcmpl-2".to_owned());
        w.run(&s);
        w.run(&c);
        w.tick(1000 * MS);
        assert_eq!(w.server(2).parent, None);
    }
    let (mut w, [mut c, s]) = seen_late(false);
    (c.start, c.end) = (60 * MS, 70 * MS);
    w.run(&s);
    w.run(&c);
    w.tick(1000 * MS);
    assert_eq!(w.server(2).parent, None, "nobody is seen that late");
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
