//! Holes in the capture, one at a time.

use super::driver::{Cut, Do, Stage, c, lines, play, play_all_ways, s};
use crate::ids::Role;
use crate::message::Closed;

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const DONE: &str = "GET /a [] 200 [ok] Complete";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[track_caller]
fn check(script: &[Do], wanted: &[&str]) {
    assert_eq!(lines(&play_all_ways(script)), wanted);
}

#[test]
fn in_a_body_of_known_length() {
    let ten = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab";
    check(
        &[c(GET), s(ten), Do::HoleS(5), s("hij"), c(GET), s(OK)],
        &["GET /a [] 200 [ab<5>hij] Complete", DONE],
    );
    check(
        &[c(GET), s(ten), Do::HoleS(8), c(GET), s(OK)],
        &["GET /a [] 200 [ab<8>] Complete", DONE],
    );
    let post = "POST /p HTTP/1.1\r\nContent-Length: 1000\r\n\r\nab";
    check(
        &[c(post), Do::HoleC(990), c("stuvwxyz"), s(OK), c(GET), s(OK)],
        &["POST /p [ab<990>stuvwxyz] 200 [ok] Complete", DONE],
    );
    // Beyond the body: whatever came there is unknown.
    check(
        &[c(GET), s(ten), Do::HoleS(20), c(GET), s(OK)],
        &["GET /a [] 200 [ab<8>] Complete", DONE],
    );
    check(
        &[c(post), Do::HoleC(5000), s(OK), c(GET), s(OK)],
        &["POST /p [ab<998>] 200 [ok] Complete", DONE],
    );
}

#[test]
fn in_a_body_that_ends_with_the_connection() {
    check(
        &[
            c(GET),
            s("HTTP/1.0 200 OK\r\n\r\nab"),
            Do::HoleS(7),
            s("c"),
            Do::FinS,
        ],
        &["GET /a [] 200 [ab<7>c] Complete"],
    );
}

#[test]
fn inside_a_chunk() {
    let begun = [CHUNKED, "a\r\nab"].concat();
    check(
        &[
            c(GET),
            s(begun),
            Do::HoleS(5),
            s("hij\r\n0\r\n\r\n"),
            c(GET),
            s(OK),
        ],
        &["GET /a [] 200 [ab<5>hij] Complete", DONE],
    );
}

#[test]
fn to_the_end_of_a_chunk() {
    let begun = [CHUNKED, "a\r\nab"].concat();
    for (missing, rest) in [(8, "\r\n0\r\n\r\n"), (9, "\n0\r\n\r\n"), (10, "0\r\n\r\n")] {
        check(
            &[
                c(GET),
                s(&begun),
                Do::HoleS(missing),
                s(rest),
                c(GET),
                s(OK),
            ],
            &["GET /a [] 200 [ab<8>] Complete", DONE],
        );
    }
    let script = [c(GET), s(&begun), Do::HoleS(10), s("2\r\ncd\r\n0\r\n\r\n")];
    check(&script, &["GET /a [] 200 [ab<8>cd] Complete"]);
}

#[test]
fn an_answer_whose_end_may_go_by_is_told_of() {
    let blurred = |begun: &str, hole| {
        let seen = play(&[c(GET), s(begun), Do::HoleS(hole)]);
        assert_eq!(seen[0].end, None);
        seen[0].blurred.is_some()
    };
    assert!(blurred(&[CHUNKED, "2\r\nab\r\n"].concat(), 50));
    assert!(!blurred(&[CHUNKED, "a\r\nab"].concat(), 5));
    let ten = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab";
    assert!(!blurred(ten, 5));
}

#[test]
fn over_chunks() {
    let begun = [CHUNKED, "2\r\nab\r\n"].concat();
    let lost = |rest: &[Do]| {
        let script = [&[c(GET), s(&begun), Do::HoleS(50)][..], rest].concat();
        lines(&play(&script))
    };
    // A record that begins with a chunk.
    assert_eq!(
        lost(&[s("3\r\ncde\r\n"), s("0\r\n\r\n")]),
        ["GET /a [] 200 [ab<50>cde] Complete"]
    );
    // Only the end is recognised.
    assert_eq!(
        lost(&[s("fgh"), s("i\r\n0\r\n\r\n"), c(GET), s(OK)]),
        ["GET /a [] 200 [ab<61>] Complete", DONE,]
    );
    // Nothing is, and the client asks again.
    assert_eq!(
        lost(&[s("fgh"), c(GET), s(OK)]),
        ["GET /a [] 200 [ab<53>] Lost", DONE]
    );
    assert_eq!(lost(&[s("fgh"), Do::FinS]), ["GET /a [] 200 [ab<53>] Lost"]);
    assert_eq!(
        lost(&[Do::Close(Closed::Exit)]),
        ["GET /a [] 200 [ab<50>] ProcessGone"]
    );
}

#[test]
fn a_lost_end_is_where_the_last_byte_was_seen() {
    let begun = [CHUNKED, "2\r\nab\r\n"].concat();
    let seen = play(&[
        c(GET),
        s(begun),
        Do::HoleS(50),
        s("fgh"),
        Do::HoleS(9),
        c(GET),
    ]);
    assert_eq!(seen[0].end.unwrap().1, 4);
}

#[test]
fn over_the_chunks_of_a_request() {
    let post = "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n";
    let lost = |rest: &[Do]| lines(&play(&[&[c(post), Do::HoleC(50)][..], rest].concat()));
    assert_eq!(
        lost(&[s(OK), c(GET), s(OK)]),
        ["POST /p [ab<50>] 200 [ok] Complete", DONE]
    );
    assert_eq!(
        lost(&[c("x\r\n0\r\n\r\n"), s(OK)]),
        ["POST /p [ab<58>] 200 [ok] Complete"]
    );
}

#[test]
fn in_a_head() {
    check(
        &[
            c("GET /lo"),
            Do::HoleC(10),
            c("more\r\n\r\n"),
            s(OK),
            c(GET),
            s(OK),
        ],
        &[DONE],
    );
    check(
        &[
            c(GET),
            s("HTTP/1.1 2"),
            Do::HoleS(50),
            s("rest"),
            c(GET),
            s(OK),
        ],
        &["GET /a [] - [] Lost", DONE],
    );
}

#[test]
fn over_a_whole_request() {
    check(
        &[c(GET), s(OK), Do::HoleC(99), s(OK), c(GET), s(OK)],
        &[DONE, DONE],
    );
    check(&[Do::HoleC(99), s(OK), c(GET), s(OK)], &[DONE]);
    // Its answer was captured first.
    let other = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    check(
        &[c(GET), s(OK), s(other), Do::HoleC(99), c(GET), s(OK)],
        &[DONE, DONE],
    );
    check(
        &[c(GET), Do::HoleC(99), s(OK), s(OK), c(GET), s(OK)],
        &[DONE, DONE],
    );
}

#[test]
fn over_a_whole_response() {
    check(
        &[c(GET), Do::HoleS(99), c(GET), s(OK)],
        &["GET /a [] - [] Lost", DONE],
    );
}

#[test]
fn among_several_waiting_requests_gives_the_connection_up() {
    let script = [c(GET.repeat(2)), Do::HoleS(9), s(OK), c(GET), s(OK)];
    check(&script, &["GET /a [] - [] Lost", "GET /a [] - [] Lost"]);
}

#[test]
fn a_coded_body_cannot_go_on_behind_a_hole() {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n";
    let mut stage = Stage::new(Role::Client, false, Cut::None);
    stage.play(&[c(GET), s(head), Do::HoleS(20), s("0123456789")]);
    assert_eq!(lines(&stage.notes.seen), ["GET /a [] 200 [<30>] Complete"]);
}
