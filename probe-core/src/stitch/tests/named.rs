//! What a span has named leaves too, whatever becomes of it.

use super::early::*;
use super::inside::*;
use super::world::*;
use crate::call::{Call, CallKind};
use crate::ids::{ConnId, Role};
use crate::stitch::Config;

/// Process 8 asks process 1, which makes a call for that: its span has left, and has named those
/// of the other two, which have not ended.
fn delegated() -> (World, Call, Call) {
    let mut w = asyncio(&[0]);
    w.open(&pair(20, 8, 1)[0]);
    let task = born(11, 1);
    copy(&mut w, task, &[READER, ROOT]);
    let asks = chat(20, 8, Role::Client, 9, 70);
    let serves = chat(21, 1, Role::Server, 10, 60);
    w.start(&asks);
    request(0, 10, 60, task).ask(&mut w);
    w.start(&serves);
    w.run(&ask_model(0, 20, 30, inside(task)));
    assert_eq!(w.spans.len(), 1);
    (w, asks, serves)
}

#[test]
fn at_the_end_all_that_was_named_leaves() {
    let (mut w, ..) = delegated();
    w.drain();
    assert_eq!(w.spans.len(), 3);
    assert_eq!(w.server(1).parent, Some(w.client(8).id));
    check(&w.spans, &[]);
}

#[test]
fn a_client_that_was_named_leaves_though_its_end_is_lost() {
    let (mut w, _, serves) = delegated();
    w.stitcher.connection_closed(ConnId(20), 50 * MS);
    w.tick(5000 * MS);
    let mut serves = serves;
    serves.end = 6000 * MS;
    w.end(&serves);
    assert_eq!(w.server(1).parent, Some(w.client(8).id));
    check(&w.spans, &[]);
}

#[test]
fn a_server_that_was_named_leaves_though_its_process_died() {
    let (mut w, asks, _) = delegated();
    w.stitcher.process_gone(process(1), 50 * MS);
    w.tick(5000 * MS);
    assert_eq!(w.server(1).name, "POST");
    w.end(&asks);
    w.tick(9000 * MS);
    assert_eq!(w.spans.len(), 3);
    check(&w.spans, &[]);
}

fn part(number: u32) -> Call {
    let mut call = call(21, 1, Role::Server, 10, 50, mcp("tools/list", None));
    call.key.part = number;
    call
}

#[test]
fn a_later_part_of_a_batch_does_not_stand_for_the_first() {
    let mut w = asyncio(&[0]);
    let task = born(11, 1);
    copy(&mut w, task, &[READER, ROOT]);
    request(0, 10, 60, task).ask(&mut w);
    w.start(&part(0));
    w.start(&part(1));
    w.run(&ask_model(0, 20, 30, inside(task)));
    w.end(&part(1));
    w.tick(1000 * MS);
    assert_eq!(w.spans.len(), 2);
    w.drain();
    assert_eq!(w.spans.len(), 3, "the first part's, too");
    check(&w.spans, &[]);
}

#[test]
fn parts_that_found_no_room_have_ids_of_their_own() {
    let mut w = World::with(Config {
        max_calls: 0,
        ..Config::default()
    });
    w.open(&pair(20, 8, 1)[1]);
    served(21, 10, 50).ask(&mut w);
    w.run(&part(0));
    w.run(&part(1));
    assert_eq!(w.spans.len(), 2);
    check(&w.spans, &[]);
}

fn cards(serves_end: u64) -> (Call, Call) {
    let kind = CallKind::AgentCard { name: None };
    (
        call(20, 8, Role::Client, 9, 60, kind.clone()),
        call(21, 1, Role::Server, 10, serves_end, kind),
    )
}

#[test]
fn a_card_stays_while_a_call_that_was_made_for_it_may_wait() {
    let mut w = world(&[0], &[(21, 1), (23, 1)]);
    w.open(&pair(20, 8, 1)[0]);
    let (task, child) = (born(11, 1), born(12, 1));
    copy(&mut w, task, &[]);
    copy(&mut w, child, &[task]);
    let other = served(23, 5, 1000).by(born(6, 1)).ask(&mut w);
    let (asks, serves) = cards(50);
    w.start(&asks);
    let request = served(21, 10, 50).by(task).ask(&mut w);
    w.start(&serves);
    w.run(&ask_model(0, 20, 30, inside(child)));
    request.answer(&mut w);
    w.end(&serves);
    request.over(&mut w);
    w.end(&asks);
    w.tick(900 * MS);
    assert!(w.spans.is_empty(), "the other answer is to come");
    other.answer(&mut w);
    w.tick(1001 * MS);
    assert_eq!(w.spans.len(), 3);
    assert_eq!(parent(&w, 20).0, "exact");
    assert_eq!(w.server(1).parent, Some(w.client(8).id));
    check(&w.spans, &[]);
    assert_eq!(w.stitcher.sizes().1, 0);
}

#[test]
fn a_card_on_a_connection_that_was_joined_late_waits_for_its_server() {
    let mut w = world(&[0], &[]);
    let [near, mut far] = pair(20, 8, 1);
    far.late = true;
    far.accepted = Some(MS);
    w.open(&near);
    w.open(&far);
    copy(&mut w, ROOT, &[]);
    copy(&mut w, READER, &[ROOT]);
    let task = born(11, 1);
    copy(&mut w, task, &[READER, ROOT]);
    let (asks, serves) = cards(61);
    w.start(&asks);
    let request = request(0, 10, 61, task).ask(&mut w);
    w.start(&serves);
    w.run(&ask_model(0, 20, 30, inside(task)));
    w.end(&asks);
    request.answer(&mut w);
    w.end(&serves);
    request.over(&mut w);
    w.tick(1000 * MS);
    assert_eq!(w.server(1).parent, Some(w.client(8).id));
    assert_eq!(w.spans.len(), 3);
    check(&w.spans, &[]);
}
