//! How exchanges end when the connection does.

use super::driver::{Cut, Do, Stage, c, lines, play_all_ways, s};
use crate::ids::Role;
use crate::message::{Closed, End};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const PART: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart";
const OPEN_END: &str = "HTTP/1.1 200 OK\r\n\r\npart";

fn end(role: Role, script: &[Do]) -> String {
    let mut stage = Stage::new(role, false, Cut::None);
    let line = lines(&stage.play(script).notes.seen).pop().unwrap();
    line.rsplit_once(' ').unwrap().1.to_owned()
}

#[test]
fn in_the_middle_of_a_response() {
    use Closed::{Exit, Local, Peer, Unseen};
    let close = Do::Close;
    for (rest, as_client, as_server) in [
        (vec![close(Local)], "ClientGone", "ServerGone"),
        (vec![close(Peer)], "ServerGone", "ClientGone"),
        (vec![close(Exit)], "ProcessGone", "ProcessGone"),
        (vec![close(Unseen)], "Lost", "Lost"),
        (vec![Do::FinC, close(Unseen)], "Lost", "Lost"),
        (vec![Do::FinC, close(Local)], "ClientGone", "ClientGone"),
        (vec![Do::FinS], "ServerGone", "ServerGone"),
        (vec![Do::FinS, close(Exit)], "ServerGone", "ServerGone"),
        (vec![Do::FinC, Do::FinS], "ServerGone", "ServerGone"),
        (vec![Do::FinC], "open", "open"),
    ] {
        let script = [&[c(GET), s(PART)][..], &rest].concat();
        assert_eq!(end(Role::Client, &script), as_client, "{rest:?} as client");
        assert_eq!(end(Role::Server, &script), as_server, "{rest:?} as server");
    }
}

#[test]
fn a_body_that_ends_with_the_connection() {
    use Closed::{Exit, Local, Peer, Unseen};
    let close = Do::Close;
    for (rest, wanted) in [
        (vec![Do::FinS], "Complete"),
        (vec![close(Local)], "Complete"),
        (vec![close(Peer)], "Complete"),
        (vec![Do::FinC, close(Peer)], "ClientGone"),
        (vec![Do::FinC, Do::FinS], "Complete"),
        (vec![close(Exit)], "ProcessGone"),
        (vec![close(Unseen)], "Lost"),
    ] {
        let script = [&[c(GET), s(OPEN_END)][..], &rest].concat();
        assert_eq!(end(Role::Client, &script), wanted, "{rest:?}");
    }
}

#[test]
fn what_is_followed_no_longer_ends_with_its_last_byte() {
    let script = [c(GET), s(PART), Do::HoleS(1), Do::Close(Closed::Unseen)];
    let mut stage = Stage::new(Role::Client, false, Cut::None);
    let seen = &stage.play(&script).notes.seen[0];
    assert_eq!(seen.end, Some((End::Lost, 2)));
}

#[test]
fn before_any_response() {
    assert_eq!(end(Role::Client, &[c(GET), Do::FinS]), "ServerGone");
    assert_eq!(
        end(Role::Client, &[c(GET), Do::Close(Closed::Local)]),
        "ClientGone"
    );
    let posts = "POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc";
    assert_eq!(
        end(
            Role::Server,
            &[c(posts), Do::FinC, Do::Close(Closed::Local)]
        ),
        "ClientGone"
    );
}

#[test]
fn every_waiting_exchange_ends() {
    let seen = play_all_ways(&[c(GET.repeat(3)), s(PART), Do::FinS]);
    assert_eq!(
        lines(&seen),
        [
            "GET /a [] 200 [part] ServerGone",
            "GET /a [] - [] ServerGone",
            "GET /a [] - [] ServerGone",
        ]
    );
}

#[test]
fn an_answered_exchange_is_complete_even_if_its_request_is_cut_off() {
    let posts = "POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc";
    let too_large = "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n";
    for rest in [
        Do::FinC,
        Do::FinS,
        Do::Close(Closed::Peer),
        Do::Close(Closed::Exit),
    ] {
        let seen = play_all_ways(&[c(posts), s(too_large), rest]);
        assert_eq!(lines(&seen), ["POST /a [abc] 413 [] Complete"]);
    }
}

#[test]
fn silence_ends_nothing() {
    let mut stage = Stage::new(Role::Client, false, Cut::None);
    stage.play(&[c(GET), s(PART)]);
    assert_eq!(lines(&stage.notes.seen), ["GET /a [] 200 [part] open"]);
    stage.play(&[s(" and "), Do::FinC]);
    assert_eq!(
        lines(&stage.notes.seen),
        ["GET /a [] 200 [part and ] Complete"]
    );
}
