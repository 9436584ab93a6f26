//! Goroutines: one serves a connection, reads and answers in it; others are started by it.

use super::inside::*;
use super::world::*;

/// Each serves a connection that was accepted at 1 ms.
const ONE: u64 = born(2, 1);
const TWO: u64 = born(3, 1);
/// Who was started by the first, as the kernel half says it.
const STARTED: u64 = ONE | 1 << 63;

fn two_requests(w: &mut World) -> [Served; 2] {
    [(21, 10, ONE), (23, 11, TWO)].map(|(conn, start, goroutine)| {
        let mut request = served(conn, start, 50).by(goroutine);
        request.reader = inside(goroutine);
        request.ask(w)
    })
}

#[test]
fn who_reads_a_request_works_for_it_before_the_answer() {
    let mut w = world(&[0, 2], &[(21, 1), (23, 1)]);
    let requests = two_requests(&mut w);
    w.run(&ask_model(0, 20, 30, inside(TWO)));
    w.run(&ask_model(2, 21, 31, inside(ONE)));
    assert_eq!(w.spans.len(), 2, "their places are known");
    for request in requests {
        request.finish(&mut w);
    }
    assert_eq!(parent(&w, 20), ("exact", Some("/23/0")));
    assert_eq!(parent(&w, 21), ("exact", Some("/21/0")));
    check(&w.spans, &[]);
}

#[test]
fn who_was_started_by_it_works_for_it_likely() {
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    let requests = two_requests(&mut w);
    w.run(&ask_model(0, 20, 30, inside(STARTED)));
    assert_eq!(w.spans.len(), 1, "its place is known");
    for request in requests {
        request.finish(&mut w);
    }
    assert_eq!(parent(&w, 20), ("inferred", Some("/21/0")));
    check(&w.spans, &[]);
}

#[test]
fn who_goes_on_after_the_answer_works_for_nobody() {
    let mut w = world(&[0, 2], &[(21, 1), (23, 1)]);
    let [one, two] = two_requests(&mut w);
    one.finish(&mut w);
    w.run(&ask_model(0, 55, 56, inside(STARTED)));
    w.run(&ask_model(2, 57, 58, inside(STARTED)));
    two.over_at(&mut w, 60);
    assert_eq!(parent(&w, 55), ("none", None));
    assert_eq!(w.stitcher.counters().other, 2);
}
