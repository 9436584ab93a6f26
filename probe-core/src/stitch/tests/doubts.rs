//! Parents inside a process where something was not seen, came too late, or serves all.

use super::inside::*;
use super::world::*;
use crate::ids::{ConnId, Context};
use crate::message::End;

/// A call of thread 5.
fn by_five() -> Context {
    Context {
        tid: 5,
        token: 0,
        blocking: false,
    }
}

/// It goes on in a way that hides its end.
fn ends_unseen(request: Served, w: &mut World, end: End) {
    let at = request.end * MS;
    request.answer(w);
    w.stitcher.over(request.key(), end, at, at, &mut w.spans);
}

#[test]
fn a_request_whose_end_goes_by_unseen_is_over_when_its_connection_is() {
    for end in [End::Lost, End::Upgraded] {
        let mut w = world(&[0], &[(21, 1)]);
        ends_unseen(served(21, 10, 50).thread(5).ask(&mut w), &mut w, end);
        w.stitcher.connection_closed(ConnId(21), 55 * MS);
        w.run(&ask_model(0, 60, 70, by_five()));
        assert_eq!(parent(&w, 60), ("none", None));
        assert_eq!(w.stitcher.counters().idle, 1, "{end:?}");
    }
}

#[test]
fn a_request_whose_end_goes_by_unseen_is_over_when_the_next_one_comes() {
    let mut w = world(&[0], &[(21, 1)]);
    ends_unseen(served(21, 10, 20).ask(&mut w), &mut w, End::Lost);
    let mut next = served(21, 30, 80);
    next.exchange = 1;
    next.ask(&mut w);
    w.run(&ask_model(0, 40, 50, Context::default()));
    next.finish(&mut w);
    assert_eq!(parent(&w, 40), ("inferred", Some("/21/1")));
}

#[test]
fn a_thread_that_may_be_done_is_not_taken_for_busy() {
    // The connection stays open, and the answer's end was not captured.
    let mut w = world(&[0], &[(21, 1)]);
    let request = served(21, 10, 20).thread(5).ask(&mut w).answer(&mut w);
    w.stitcher.blurred(request.key(), 25 * MS);
    w.run(&ask_model(0, 30, 40, by_five()));
    assert_eq!(parent(&w, 30), ("none", None));
}

#[test]
fn a_thread_that_waits_for_several_works_for_none_alone() {
    // A loop over sockets that block.
    let mut w = world(&[0, 2], &[(21, 1), (23, 1)]);
    let one = served(21, 10, 50).thread(5).ask(&mut w);
    let two = served(23, 11, 60).thread(5).ask(&mut w);
    w.run(&ask_model(0, 20, 30, by_five()));
    one.finish(&mut w);
    two.finish(&mut w);
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.counters().shared, 1);
    // From now on nothing is taken for granted of its process.
    let mut third = served(21, 70, 90).thread(5);
    third.exchange = 1;
    third.ask(&mut w);
    w.run(&ask_model(2, 75, 80, by_five()));
    assert!(!w.spans.iter().any(|s| s.start == 75 * MS));
    third.finish(&mut w);
    assert_eq!(parent(&w, 75), ("exact", Some("/21/1")));
}

#[test]
fn what_was_forgotten_is_not_taken_for_not_there() {
    // One long request and a thousand short ones that ended during the call.
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    let long = served(21, 10, 9000).ask(&mut w);
    for exchange in 0..1100 {
        let start = 19 + exchange;
        let mut short = served(23, start, start + 2);
        short.exchange = exchange;
        short.ask(&mut w).finish(&mut w);
    }
    w.run(&ask_model(0, 20, 5000, Context::default()));
    long.finish(&mut w);
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.counters().crowded, 1);
}

#[test]
fn ends_that_come_out_of_order_hide_none() {
    let mut w = world(&[0], &[(21, 1), (23, 1), (25, 1)]);
    let one = served(21, 10, 40).ask(&mut w);
    let two = served(23, 11, 15).ask(&mut w);
    let three = served(25, 12, 90).ask(&mut w);
    one.finish(&mut w);
    two.finish(&mut w);
    w.run(&ask_model(0, 20, 50, Context::default()));
    three.finish(&mut w);
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.counters().several, 1);
}

#[test]
fn a_process_that_was_full_is_not_blind_for_ever() {
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    let mut open = Vec::new();
    for exchange in 0..1030 {
        let mut request = served(21, 10, 20);
        request.exchange = exchange;
        open.push(request.ask(&mut w));
    }
    assert_eq!(w.stitcher.counters().requests_refused, 6);
    for request in open {
        request.finish(&mut w);
    }
    let last = served(23, 30, 50).ask(&mut w);
    w.run(&ask_model(0, 40, 45, Context::default()));
    last.finish(&mut w);
    assert_eq!(parent(&w, 40), ("inferred", Some("/23/0")));
}

#[test]
fn a_worker_that_the_first_request_made_is_not_its_own() {
    // It takes what others put into its queue: only while nobody else is served it is certain
    // for whom it works.
    let mut w = world(&[0, 2, 4, 6], &[(21, 1), (23, 1)]);
    let (one, worker) = (born(11, 1), born(12, 1));
    copy(&mut w, one, &[]);
    copy(&mut w, worker, &[one]);
    let first = served(21, 10, 30).by(one).ask(&mut w);
    w.run(&ask_model(0, 15, 16, inside(worker)));
    first.finish(&mut w);
    w.run(&ask_model(2, 35, 36, inside(worker)));
    let second = served(23, 40, 9000).by(born(41, 1)).ask(&mut w);
    w.run(&ask_model(4, 45, 46, inside(worker)));
    w.run(&ask_model(6, 8000, 8010, inside(worker)));
    second.finish(&mut w);
    assert_eq!(parent(&w, 15), ("exact", Some("/21/0")));
    assert_eq!(parent(&w, 35), ("exact", Some("/21/0")));
    assert_eq!(parent(&w, 45), ("inferred", Some("/21/0")));
    assert_eq!(parent(&w, 8000), ("none", None));
    check(&w.spans, &[]);
}

#[test]
fn a_worker_that_answers_for_others_too_is_nobodys() {
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    let worker = born(11, 1);
    copy(&mut w, worker, &[]);
    served(21, 10, 20).by(worker).ask(&mut w).finish(&mut w);
    let second = served(23, 30, 60).by(worker).ask(&mut w);
    w.run(&ask_model(0, 40, 50, inside(worker)));
    assert!(w.spans.is_empty(), "it has answered the first alone so far");
    second.finish(&mut w);
    assert_eq!(parent(&w, 40), ("none", None));
    assert_eq!(w.stitcher.counters().shared, 1);
}

#[test]
fn a_task_that_the_first_request_of_its_connection_made_serves_all_of_them() {
    // aiohttp on uvloop: the reader is nobody's, and the task is made after the first read.
    let mut w = world(&[0, 2], &[(21, 1)]);
    let task = born(11, 1);
    copy(&mut w, task, &[]);
    let first = served(21, 10, 30).by(task).ask(&mut w);
    w.run(&ask_model(0, 15, 16, inside(task)));
    first.finish(&mut w);
    let mut second = served(21, 40, 60).by(task);
    second.exchange = 1;
    second.ask(&mut w);
    w.run(&ask_model(2, 45, 46, inside(task)));
    second.finish(&mut w);
    assert_eq!(parent(&w, 15), ("exact", Some("/21/0")));
    assert_eq!(parent(&w, 45), ("exact", Some("/21/1")));
}

#[test]
fn a_request_that_never_comes_to_its_end_does_not_hold_all_calls() {
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    let slow = served(23, 5, 100).by(born(6, 1));
    slow.ask_unread(&mut w);
    let (task, child) = (born(11, 1), born(12, 1));
    copy(&mut w, task, &[]);
    copy(&mut w, child, &[task]);
    let request = served(21, 10, 50).by(task).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(child)));
    request.finish(&mut w);
    w.tick(10_029 * MS);
    assert!(w.spans.is_empty(), "the other one may still come");
    w.tick(10_030 * MS);
    assert_eq!(parent(&w, 20), ("inferred", Some("/21/0")));
}

#[test]
fn nobody_waits_for_ever() {
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    served(23, 5, 100).by(born(6, 1)).ask(&mut w);
    served(21, 10, 50).by(born(11, 1)).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(born(12, 1))));
    w.tick(20_000 * MS);
    assert!(w.spans.is_empty(), "agents take their time");
    w.tick(300_030 * MS);
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.sizes().1, 0);
}

#[test]
fn the_task_of_a_request_waits_for_its_own_answer_alone() {
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    let task = born(11, 1);
    let request = served(21, 10, 50).by(task).ask(&mut w);
    let other = served(23, 12, 90).by(born(13, 1)).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(task)));
    request.answer(&mut w);
    w.tick(51 * MS);
    assert_eq!(parent(&w, 20).0, "exact");
    request.over(&mut w);
    other.finish(&mut w);
    assert_eq!(parent(&w, 20), ("exact", Some("/21/0")));
}
