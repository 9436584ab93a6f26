//! Messages that are odd, broken, or no HTTP at all.

use super::driver::{Cut, Do, Notes, Stage, c, lines, play, play_all_ways, s};
use crate::ids::{Context, Direction, Role};
use crate::message::{Connection, Protocol};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const DONE: &str = "GET /a [] 200 [ok] Complete";

#[track_caller]
fn check(script: &[Do], wanted: &[&str]) {
    assert_eq!(lines(&play_all_ways(script)), wanted);
}

fn protocol(script: &[Do]) -> Protocol {
    Stage::new(Role::Server, false, Cut::None)
        .play(script)
        .connection
        .protocol()
}

#[test]
fn odd_heads() {
    check(
        &[
            c("GET /a HTTP/1.1\nHost: h\n\n"),
            s("HTTP/1.1 200 OK\ncontent-LENGTH: 2\n\nok"),
        ],
        &[DONE],
    );
    check(
        &[
            c(["\r\n\r\n", GET].concat()),
            s(["\r\n", OK].concat()),
            c(["\n", GET].concat()),
        ],
        &[DONE, "GET /a [] - [] open"],
    );
    check(
        &[c("GET http://u:p@h:80/a?b HTTP/1.1\r\n\r\n"), s(OK)],
        &["GET http://u:p@h:80/a?b [] 200 [ok] Complete"],
    );
    check(
        &[c("OPTIONS * HTTP/1.0\r\n\r\n"), s(OK)],
        &["OPTIONS * [] 200 [ok] Complete"],
    );
    let folded = play_all_ways(&[c("GET /a HTTP/1.1\r\nX: a\r\n\tb\r\nY: c\r\n\r\n")]);
    let fields: Vec<_> = folded[0]
        .fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(fields, [("X", "a  \tb"), ("Y", "c")]);
}

#[test]
fn odd_lengths() {
    let post = |fields: &str, body: &str| c(format!("POST /a HTTP/1.1\r\n{fields}\r\n{body}"));
    let twice = "Content-Length: 2\r\nContent-Length: 2, 2\r\n";
    check(
        &[post(twice, "hi"), s(OK), c(GET)],
        &["POST /a [hi] 200 [ok] Complete", "GET /a [] - [] open"],
    );
    let both = "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n";
    check(
        &[post(both, "1\r\nx\r\n0\r\n\r\n"), s(OK)],
        &["POST /a [x] 200 [ok] Complete"],
    );
    // Nobody knows where this body ends; the next record with a head is believed.
    let against = "Content-Length: 2\r\nContent-Length: 3\r\n";
    check(
        &[post(against, "hi!"), s(OK), c(GET), s(OK)],
        &["POST /a [] 200 [ok] Complete", DONE],
    );
    // But not in the same record: there it may be the body.
    let script = [post(against, GET), s(OK), c(GET), s(OK)];
    assert_eq!(
        lines(&play(&script)),
        ["POST /a [] 200 [ok] Complete", DONE]
    );
    let invalid = "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nbody";
    check(
        &[c(GET), s(invalid), Do::FinS],
        &["GET /a [] 200 [body] Complete"],
    );
}

#[test]
fn a_long_head_is_read_and_a_longer_one_is_not() {
    let head = |n: usize| format!("GET /a HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(n));
    for cut in [Cut::None, Cut::At(1000), Cut::Bytes] {
        let seen = |n| {
            lines(
                &Stage::new(Role::Client, false, cut)
                    .play(&[c(head(n)), s(OK)])
                    .notes
                    .seen,
            )
        };
        assert_eq!(seen(65_000), [DONE], "{cut:?}");
        assert_eq!(seen(66_000), [""; 0], "{cut:?}");
    }
    let mut stage = Stage::new(Role::Client, false, Cut::None);
    stage.play(&[c(GET), s(OK), c(head(66_000)), s(OK)]);
    assert_eq!(stage.connection.take_losses().long_heads, 1);
    let long_answer = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(66_000));
    assert_eq!(
        lines(&play(&[c(GET), s(long_answer), c(GET)])),
        ["GET /a [] - [] Lost"]
    );
}

#[test]
fn a_broken_answer_loses_its_exchange_only() {
    check(
        &[c(GET), s("what?\r\n\r\n"), c(GET), s(OK)],
        &["GET /a [] - [] Lost", DONE],
    );
    check(
        &[c(GET), s("HTTP/1.1 abc\r\n\r\n"), c(GET), s(OK)],
        &["GET /a [] - [] Lost", DONE],
    );
}

#[test]
fn broken_chunks_are_a_gap_until_the_chunks_go_on() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    let script = [
        c(GET),
        s([head, "nonsense"].concat()),
        s("2\r\nbc\r\n"),
        s("0\r\n\r\n"),
    ];
    assert_eq!(lines(&play(&script)), ["GET /a [] 200 [a<8>bc] Complete"]);
}

#[test]
fn what_is_not_http_is_ignored() {
    let others: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\x16\x03\x01\x02\x00",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET key\r\n",
        b"220 mail ESMTP\r\n",
        b"OPTIONS rtsp://h RTSP/1.0\r\n\r\n",
    ];
    for other in others {
        let script = [c(other), c(GET), s(OK)];
        assert_eq!(lines(&play_all_ways(&script)), [""; 0], "{other:?}");
        assert_eq!(protocol(&script), Protocol::Other, "{other:?}");
    }
    assert_eq!(protocol(&[s("220 mail"), c(GET)]), Protocol::Other);
    assert_eq!(protocol(&[c(GET)]), Protocol::Http1);
    assert_eq!(protocol(&[c("GE")]), Protocol::Unknown);
}

#[test]
fn http2_is_named() {
    let preface = c("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(
        lines(&play_all_ways(&[preface.clone(), c(GET), s(OK)])),
        [""; 0]
    );
    assert_eq!(protocol(std::slice::from_ref(&preface)), Protocol::Http2);
    let mut late = Stage::new(Role::Server, true, Cut::None);
    assert_eq!(late.play(&[preface]).connection.protocol(), Protocol::Http2);
}

#[test]
fn what_the_server_says_unasked_is_dropped() {
    let timeout = "HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n";
    check(&[c(GET), s(OK), s(timeout), Do::FinS], &[DONE]);
    check(
        &[c(GET), s([OK, "garbage"].concat()), c(GET), s(OK)],
        &[DONE, DONE],
    );
}

#[test]
fn too_many_requests_in_a_row_are_given_up() {
    let mut stage = Stage::new(Role::Client, false, Cut::None);
    stage.play(&[c(GET.repeat(70)), s(OK)]);
    assert_eq!(stage.notes.seen.len(), 64);
    assert_eq!(stage.connection.take_losses().pipelines, 1);
    assert!(stage.notes.seen.iter().all(|seen| seen.end.is_some()));
}

#[test]
fn bodies_that_nobody_wants_are_framed_only() {
    let mut stage = Stage::new(Role::Client, false, Cut::None);
    stage.notes.heads_only = true;
    let answer = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok";
    let post = "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
    stage.play(&[c(post), s(answer), Do::HoleC(0), c(post), s(answer)]);
    assert_eq!(lines(&stage.notes.seen), ["POST /a [] 200 [] Complete"; 2]);
}

#[test]
fn accessors_follow_the_bodies() {
    let mut connection = Connection::new(false);
    let mut notes = Notes::default();
    let mut data = |connection: &mut Connection, direction, bytes: &str| {
        connection.data(
            direction,
            bytes.as_bytes(),
            1,
            Context::default(),
            &mut notes,
        );
    };
    assert_eq!(connection.role(), None);
    data(
        &mut connection,
        Direction::In,
        "POST /a HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc",
    );
    assert_eq!(connection.role(), Some(Role::Server));
    assert_eq!(connection.body_end(Direction::In), Some(7));
    assert_eq!(connection.body_end(Direction::Out), None);
    data(&mut connection, Direction::In, "defghij");
    assert_eq!(connection.body_end(Direction::In), None);
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    data(&mut connection, Direction::Out, head);
    assert!(connection.is_streaming_response());
    assert_eq!(connection.open_exchanges(), 1);
    data(&mut connection, Direction::Out, "0\r\n\r\n");
    assert!(!connection.is_streaming_response());
    assert_eq!(connection.open_exchanges(), 0);
}

#[test]
fn an_idle_connection_is_small() {
    let mut stage = Stage::new(Role::Client, false, Cut::Bytes);
    stage.play(&[c(GET), s(OK)]);
    assert!(
        stage
            .connection
            .halves
            .iter()
            .all(|half| half.partial.is_none())
    );
    assert!(
        size_of::<Connection>() <= 256,
        "{}",
        size_of::<Connection>()
    );
}
