//! Connections that were joined in the middle.

use super::driver::{Cut, Do, Stage, c, lines, s};
use crate::ids::Role;

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const DONE: &str = "GET /a [] 200 [ok] Complete";

#[track_caller]
fn check(script: &[Do], wanted: &[&str]) {
    for role in [Role::Client, Role::Server] {
        for cut in (0..60).map(Cut::At).chain([Cut::Bytes]) {
            let mut stage = Stage::new(role, true, cut);
            assert_eq!(
                lines(&stage.play(script).notes.seen),
                wanted,
                "{cut:?} as {role:?}"
            );
        }
    }
}

#[test]
fn at_rest() {
    check(&[c(GET), s(OK), c(GET), s(OK)], &[DONE, DONE]);
}

#[test]
fn in_a_request_body() {
    check(
        &[c("rest of a body"), c("{\"x\": 1}"), s(OK), c(GET), s(OK)],
        &[DONE],
    );
}

#[test]
fn in_a_response() {
    check(
        &[
            s("data: x\n\n\r\n"),
            s("5\r\nhello\r\n"),
            s("0\r\n\r\n"),
            c(GET),
            s(OK),
        ],
        &[DONE],
    );
    check(&[s(OK), c(GET), s(OK)], &[DONE]);
    check(
        &[s("HTTP/1.1 20"), s("0 OK\r\n\r\nbody"), c(GET), s(OK)],
        &[DONE],
    );
}

#[test]
fn what_only_resembles_a_head_is_not_believed() {
    check(
        &[
            c("GET up, stand up"),
            c("PUT it down"),
            c("POST"),
            c(GET),
            s(OK),
        ],
        &[DONE],
    );
    check(&[c("DELETE /x\r\n\r\n"), c(GET), s(OK)], &[DONE]);
}

#[test]
fn only_the_start_of_a_record_is_believed() {
    let mut stage = Stage::new(Role::Client, true, Cut::None);
    stage.play(&[c(["tail", GET].concat()), s(OK), c(GET), s(OK)]);
    assert_eq!(lines(&stage.notes.seen), [DONE]);
}
