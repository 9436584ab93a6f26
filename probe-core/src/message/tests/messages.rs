//! Sound messages in all their forms.

use super::driver::{Do, c, lines, play_all_ways, s};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &str = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[track_caller]
fn check(script: &[Do], wanted: &[&str]) {
    assert_eq!(lines(&play_all_ways(script)), wanted);
}

#[test]
fn lengths() {
    check(&[c(GET), s(OK)], &["GET /a [] 200 [ok] Complete"]);
    check(&[c(POST), s(OK)], &["POST /p [hello] 200 [ok] Complete"]);
    check(
        &[c(GET), s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
        &["GET /a [] 200 [] Complete"],
    );
}

#[test]
fn keep_alive_and_pipelining() {
    check(
        &[c(GET), s(OK), c(POST), s(OK)],
        &[
            "GET /a [] 200 [ok] Complete",
            "POST /p [hello] 200 [ok] Complete",
        ],
    );
    let three = [GET, POST, GET].concat();
    let wanted = [
        "GET /a [] 200 [ok] Complete",
        "POST /p [hello] 200 [x] Complete",
        "GET /a [] 404 [] Complete",
    ];
    let answers = [
        OK,
        CHUNKED,
        "1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n",
    ];
    check(&[c(three), s(answers.concat())], &wanted);
}

#[test]
fn chunks() {
    let chunks = "5;ext=1\r\nhello\r\n006\r\n world\r\n0\r\nTrailer: t\r\n\r\n";
    check(
        &[c(GET), s([CHUNKED, chunks].concat()), c(GET), s(OK)],
        &[
            "GET /a [] 200 [hello world] Complete",
            "GET /a [] 200 [ok] Complete",
        ],
    );
    let upload = "POST /p HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    check(&[c(upload), s(OK)], &["POST /p [abc] 200 [ok] Complete"]);
    check(
        &[c(GET), s([CHUNKED, "0\r\n\r\n"].concat())],
        &["GET /a [] 200 [] Complete"],
    );
}

#[test]
fn until_close() {
    let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    check(
        &[c(GET), s(head), s("some"), s("thing"), Do::FinS],
        &["GET /a [] 200 [something] Complete"],
    );
    check(&[c(GET), s(head), Do::FinS], &["GET /a [] 200 [] Complete"]);
}

#[test]
fn responses_without_a_body() {
    let with_length = "Content-Length: 99\r\n\r\n";
    let head = "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n";
    check(
        &[
            c(head),
            s(format!("HTTP/1.1 200 OK\r\n{with_length}")),
            c(GET),
            s(OK),
        ],
        &["HEAD /a [] 200 [] Complete", "GET /a [] 200 [ok] Complete"],
    );
    for status in [204, 304] {
        let answer = format!("HTTP/1.1 {status} X\r\n{with_length}");
        check(
            &[c(GET), s(answer), c(GET), s(OK)],
            &[
                &format!("GET /a [] {status} [] Complete"),
                "GET /a [] 200 [ok] Complete",
            ],
        );
    }
}

#[test]
fn interim_responses() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    check(
        &[c(GET), s([early, OK].concat())],
        &["GET /a [] 200 [ok] Complete"],
    );
}

#[test]
fn expecting_to_continue() {
    let head = "POST /p HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n";
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    check(
        &[c(head), s(go_on), c("hello"), s(OK)],
        &["POST /p [hello] 200 [ok] Complete"],
    );
    // The client does not wait.
    check(
        &[c(head), c("hello"), s(go_on), s(OK)],
        &["POST /p [hello] 200 [ok] Complete"],
    );
    // It is refused, sends nothing, and asks again.
    let refused = "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n";
    check(
        &[c(head), s(refused), c(GET), s(OK)],
        &["POST /p [] 417 [] Complete", "GET /a [] 200 [ok] Complete"],
    );
    // It is refused, and had sent the body already.
    check(
        &[c(head), s(refused), c("hello"), c(GET), s(OK)],
        &["POST /p [] 417 [] Complete", "GET /a [] 200 [ok] Complete"],
    );
}

#[test]
fn upgrades() {
    let ask = "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x01\x02";
    check(
        &[c(ask), s(switch), c(GET), s(OK)],
        &["GET /ws [] 101 [] Upgraded"],
    );
    let connect = "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n";
    let established = "HTTP/1.1 200 Connection established\r\n\r\n";
    check(
        &[c(connect), s(established), c("\x16\x03"), s(OK)],
        &["CONNECT h:443 [] 200 [] Upgraded"],
    );
    let denied = "HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno";
    check(
        &[c(connect), s(denied), c(GET), s(OK)],
        &[
            "CONNECT h:443 [] 407 [no] Complete",
            "GET /a [] 200 [ok] Complete",
        ],
    );
}

#[test]
fn an_answer_before_the_request_is_complete() {
    let head = "POST /p HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe";
    let script = [c(head), s(OK), c("llo"), c(GET), s(OK)];
    check(
        &script,
        &[
            "POST /p [hello] 200 [ok] Complete",
            "GET /a [] 200 [ok] Complete",
        ],
    );
    let seen = play_all_ways(&script);
    assert_eq!((seen[0].request_end, seen[0].end.unwrap().1), (Some(3), 3));
}

#[test]
fn an_answer_that_is_captured_before_its_request() {
    check(
        &[s(OK), c(GET), c(GET), s(OK)],
        &["GET /a [] 200 [ok] Complete", "GET /a [] 200 [ok] Complete"],
    );
    check(
        &[
            c(GET),
            s(OK),
            s(CHUNKED),
            s("2\r\nab\r\n"),
            c(POST),
            s("0\r\n\r\n"),
        ],
        &[
            "GET /a [] 200 [ok] Complete",
            "POST /p [hello] 200 [ab] Complete",
        ],
    );
}

#[test]
fn times_are_those_of_first_and_last_bytes() {
    let script = [
        c("GET /a HT"),
        c("TP/1.1\r\n"),
        c("\r\n"),
        s("HTTP/1.1 "),
        s("200 OK\r\nContent-Length: 2\r\n\r\n"),
        s("o"),
        s("k"),
    ];
    let seen = &play_all_ways(&script)[0];
    let times = (
        seen.begun,
        seen.request_end,
        seen.answered,
        seen.end.map(|end| end.1),
    );
    assert_eq!(times, (1, Some(3), Some(4), Some(7)));
}
