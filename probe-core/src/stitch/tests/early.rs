//! Parents that are settled before the answer, and what is told of calls until then.

use super::inside::*;
use super::world::*;
use crate::ids::Context;
use crate::span::Span;
use crate::stitch::Config;

pub(super) const ROOT: u64 = born(2, 1);
pub(super) const READER: u64 = born(3, 1);

/// As asyncio reads: in a context of the connection's own, which was accepted at 1 ms.
pub(super) fn asyncio(clients: &[u64]) -> World {
    let mut w = world(clients, &[(21, 1)]);
    copy(&mut w, ROOT, &[]);
    copy(&mut w, READER, &[ROOT]);
    w
}

pub(super) fn request(exchange: u64, start: u64, end: u64, task: u64) -> Served {
    let mut request = served(21, start, end).by(task);
    request.reader = inside(READER);
    request.exchange = exchange;
    request
}

fn told(w: &mut World) -> Vec<Span> {
    w.stitcher.ended().collect()
}

#[test]
fn a_task_that_was_copied_from_the_reader_is_settled_before_the_answer() {
    let mut w = asyncio(&[0, 2]);
    let (task, child) = (born(11, 1), born(12, 1));
    copy(&mut w, task, &[READER, ROOT]);
    copy(&mut w, child, &[task, READER, ROOT]);
    let request = request(0, 10, 50, task).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(child)));
    w.run(&ask_model(2, 21, 31, inside(task)));
    assert_eq!(w.spans.len(), 2, "their places are known");
    assert!(w.spans.iter().all(|span| !span.late) && told(&mut w).is_empty());
    request.finish(&mut w);
    assert_eq!(parent(&w, 20), ("exact", Some("/21/0")));
    assert_eq!(parent(&w, 21), ("exact", Some("/21/0")));
    check(&w.spans, &[]);
    assert_eq!(w.stitcher.counters().contradicted, 0);
}

#[test]
fn a_task_of_the_connection_is_settled_before_the_answer() {
    // The task is older than each request; between two it makes timers.
    let mut w = asyncio(&[0, 2]);
    let (task, timer) = (born(4, 1), born(35, 1));
    copy(&mut w, task, &[ROOT]);
    copy(&mut w, timer, &[task, ROOT]);
    let first = request(0, 10, 30, task).ask(&mut w);
    w.run(&ask_model(0, 12, 14, inside(task)));
    assert_eq!(w.spans.len(), 1);
    first.finish(&mut w);
    let second = request(1, 40, 60, task).ask(&mut w);
    w.run(&ask_model(2, 45, 47, inside(timer)));
    assert_eq!(w.spans.len(), 3);
    second.finish(&mut w);
    assert_eq!(parent(&w, 12), ("exact", Some("/21/0")));
    assert_eq!(parent(&w, 45), ("exact", Some("/21/1")));
    check(&w.spans, &[]);
}

#[test]
fn what_outlives_its_request_waits_for_the_next_answer() {
    let mut w = asyncio(&[0, 2]);
    let (one, two) = (born(11, 1), born(41, 1));
    copy(&mut w, one, &[READER, ROOT]);
    copy(&mut w, two, &[READER, ROOT]);
    request(0, 10, 30, one).ask(&mut w).finish(&mut w);
    let next = request(1, 40, 60, two).ask(&mut w);
    w.run(&ask_model(0, 45, 46, inside(one)));
    assert!(w.spans.is_empty(), "a task of the connection, perhaps");
    let known = told(&mut w);
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].summary.link, known[0].parent), ("", None));
    assert_eq!(text(&known[0], "telemetry.kaos.parent"), None);
    next.answer(&mut w);
    w.tick(61 * MS);
    assert_eq!(
        parent(&w, 45).0,
        "exact",
        "with the first byte of the answer"
    );
    assert!(w.spans[0].late || w.spans[1].late);
    next.over(&mut w);
    assert_eq!(parent(&w, 45), ("exact", Some("/21/0")));
    assert!(told(&mut w).is_empty(), "a call ends once");
}

#[test]
fn a_task_that_was_born_late_and_answers_all_works_for_the_current_one() {
    let mut w = asyncio(&[0, 2]);
    let task = born(11, 1);
    copy(&mut w, task, &[ROOT]);
    let first = request(0, 10, 30, task).ask(&mut w);
    w.run(&ask_model(0, 12, 14, inside(task)));
    first.finish(&mut w);
    let second = request(1, 40, 60, task).ask(&mut w);
    w.run(&ask_model(2, 45, 47, inside(task)));
    second.finish(&mut w);
    assert_eq!(parent(&w, 12), ("exact", Some("/21/0")));
    assert_eq!(parent(&w, 45), ("exact", Some("/21/1")));
}

#[test]
fn of_requests_that_came_at_once_none_is_taken_early() {
    let mut w = asyncio(&[0]);
    let task = born(11, 1);
    copy(&mut w, task, &[READER, ROOT]);
    let first = request(0, 10, 30, task).ask(&mut w);
    let second = request(1, 10, 40, born(31, 1)).ask(&mut w);
    w.run(&ask_model(0, 20, 25, inside(task)));
    assert!(w.spans.is_empty());
    first.finish(&mut w);
    second.finish(&mut w);
    assert_eq!(parent(&w, 20), ("exact", Some("/21/0")));
}

#[test]
fn one_that_reads_for_several_connections_says_nothing() {
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    let (shared, task) = (born(5, 1), born(12, 1));
    copy(&mut w, shared, &[]);
    copy(&mut w, task, &[shared]);
    let by = |conn| {
        let mut request = served(conn, 10, 50);
        request.reader = inside(shared);
        request
    };
    let one = by(21).by(born(11, 1)).ask(&mut w);
    let two = by(23).by(task).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(task)));
    assert!(w.spans.is_empty());
    one.finish(&mut w);
    two.finish(&mut w);
    assert_eq!(parent(&w, 20), ("exact", Some("/23/0")));
}

#[test]
fn a_process_that_answers_where_it_reads_is_known_to() {
    let by = Context {
        tid: 5,
        token: 0,
        blocking: false,
    };
    let mut w = world(&[0, 2, 4], &[(21, 1)]);
    let next = |exchange, start| {
        let mut request = served(21, start, start + 9).thread(5);
        request.exchange = exchange;
        request
    };
    let first = next(0, 10).ask(&mut w);
    w.run(&ask_model(0, 11, 12, by));
    assert!(w.spans.is_empty(), "nothing was seen of it before");
    first.answer(&mut w);
    w.tick(13 * MS);
    assert_eq!(w.spans.len(), 1, "with the first byte of the answer");
    first.over(&mut w);
    let second = next(1, 20).ask(&mut w);
    w.run(&ask_model(2, 21, 22, by));
    assert_eq!(parent(&w, 21).0, "exact");
    second.finish(&mut w);
    // One that another thread answers.
    let mut third = next(2, 30).ask(&mut w);
    third.by_thread(7);
    third.finish(&mut w);
    let fourth = next(3, 40).ask(&mut w);
    w.run(&ask_model(4, 41, 42, by));
    assert!(!w.spans.iter().any(|s| s.start == 41 * MS), "not any more");
    fourth.finish(&mut w);
    assert_eq!(parent(&w, 41), ("exact", Some("/21/3")));
    check(&w.spans, &[]);
}

#[test]
fn a_request_that_was_named_leaves_though_it_never_ends() {
    for drained in [false, true] {
        let mut w = asyncio(&[0]);
        let task = born(11, 1);
        copy(&mut w, task, &[READER, ROOT]);
        request(0, 10, 50, task).ask(&mut w);
        w.run(&ask_model(0, 20, 30, inside(task)));
        assert_eq!(w.spans.len(), 1);
        if drained {
            w.drain();
        } else {
            w.stitcher.process_gone(process(1), 40 * MS);
            w.tick(30_000 * MS);
        }
        assert_eq!(parent(&w, 20), ("exact", Some("/21/0")));
        check(&w.spans, &[]);
        w.drain();
        assert_eq!(w.spans.len(), 2, "once");
    }
}

#[test]
fn a_request_that_is_known_as_a_call_late_keeps_its_name() {
    let mut w = asyncio(&[0]);
    let task = born(11, 1);
    copy(&mut w, task, &[READER, ROOT]);
    let request = request(0, 10, 50, task).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(task)));
    request.answer(&mut w);
    w.run(&chat(21, 1, crate::ids::Role::Server, 10, 50));
    request.over(&mut w);
    w.tick(1000 * MS);
    assert_eq!(w.spans.len(), 2);
    assert_eq!(w.server(1).id, w.client(1).parent.unwrap());
    check(&w.spans, &[]);
}

#[test]
fn too_many_do_not_wait() {
    let mut w = World::with(Config {
        max_waiting: 1,
        ..Config::default()
    });
    for conn in [0, 2] {
        w.open(&pair(conn, 1, 9)[0]);
    }
    let request = served(21, 10, 50).by(born(11, 1)).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(born(11, 1))));
    w.run(&ask_model(2, 21, 31, inside(born(11, 1))));
    assert_eq!(parent(&w, 21), ("none", None));
    assert_eq!(w.stitcher.counters().crowded, 1);
    request.finish(&mut w);
    assert_eq!(parent(&w, 20), ("exact", Some("/21/0")));
}
