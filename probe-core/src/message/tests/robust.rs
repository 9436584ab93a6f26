//! Whatever comes, the rules of the handler hold and every exchange ends once.

use proptest::prelude::*;

use super::driver::{Cut, Do, Stage, c, s};
use crate::ids::Role;
use crate::message::Closed;

fn close() -> impl Strategy<Value = Closed> {
    prop_oneof![Just(Closed::Local), Just(Closed::Peer), Just(Closed::Exit)]
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        "HEAD /h HTTP/1.0\r\n\r\n",
        "CONNECT h:1 HTTP/1.1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
    ]);
    prop_oneof![
        8 => known.clone().prop_map(|text| text.as_bytes().to_vec()),
        2 => (known, any::<prop::sample::Index>())
            .prop_map(|(text, at)| text.as_bytes()[..at.index(text.len())].to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn step() -> impl Strategy<Value = Do> {
    prop_oneof![
        10 => fragment().prop_map(Do::C),
        10 => fragment().prop_map(Do::S),
        1 => (0u64..40).prop_map(Do::HoleC),
        1 => (0u64..40).prop_map(Do::HoleS),
        1 => Just(Do::HoleS(u64::MAX)),
        1 => Just(Do::FinC),
        1 => Just(Do::FinS),
    ]
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        Just(Cut::None),
        (0usize..60).prop_map(Cut::At),
        Just(Cut::Bytes)
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

/// A sound conversation: each body holds nothing that looks like a head.
fn conversation() -> Vec<Do> {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    vec![
        c("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"),
        s("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world!"),
        c("POST /2 HTTP/1.1\r\nContent-Length: 20\r\n\r\n0123456789"),
        c("0123456789"),
        s(chunked),
        s("9\r\ndata: a\n\n\r\n"),
        s("9\r\ndata: b\n\n\r\n"),
        s("0\r\n\r\n"),
        c("POST /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"),
        s("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
        c("GET /4 HTTP/1.1\r\nHost: h\r\n\r\n"),
        s("HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        Do::FinS,
    ]
}

/// Makes holes: each `(step, start, length)` takes bytes out of a step.
fn with_holes(script: Vec<Do>, holes: &[(usize, usize, usize)]) -> Vec<Do> {
    let mut out = Vec::new();
    for (number, step) in script.into_iter().enumerate() {
        let hole = holes.iter().find(|hole| hole.0 == number);
        let (Some(&(_, start, length)), Do::C(bytes) | Do::S(bytes)) = (hole, &step) else {
            out.push(step);
            continue;
        };
        let start = start.min(bytes.len());
        let end = (start + length).min(bytes.len());
        let (before, behind) = (bytes[..start].to_vec(), bytes[end..].to_vec());
        let missing = (end - start) as u64;
        out.extend(match step {
            Do::C(_) => [Do::C(before), Do::HoleC(missing), Do::C(behind)],
            _ => [Do::S(before), Do::HoleS(missing), Do::S(behind)],
        });
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn anything_may_come(
        script in prop::collection::vec(step(), 0..24),
        (role, late, cut, why) in (role(), any::<bool>(), cut(), close()),
    ) {
        let mut stage = Stage::new(role, late, cut);
        stage.play(&script).play(&[Do::Close(why)]);
        prop_assert!(stage.notes.seen.iter().all(|seen| seen.end.is_some()));
        prop_assert_eq!(stage.connection.open_exchanges(), 0);
        prop_assert!(stage.connection.halves.iter().all(|half| half.partial.is_none()));
    }

    #[test]
    fn holes_invent_nothing(
        holes in prop::collection::vec((0usize..13, 0usize..60, 1usize..60), 0..4),
        (role, late, cut) in (role(), any::<bool>(), cut()),
    ) {
        let mut stage = Stage::new(role, late, cut);
        stage.play(&with_holes(conversation(), &holes)).play(&[Do::Close(Closed::Local)]);
        let seen = &stage.notes.seen;
        prop_assert!(seen.iter().all(|seen| seen.end.is_some()));
        let known = ["GET /1", "POST /2", "POST /3", "GET /4"];
        let places: Vec<usize> =
            seen.iter().filter_map(|seen| known.iter().position(|k| *k == seen.request)).collect();
        prop_assert_eq!(places.len(), seen.len(), "a request that was never sent: {:?}", seen);
        prop_assert!(places.is_sorted_by(|a, b| a < b), "a request twice: {:?}", seen);
        for (place, seen) in places.iter().zip(seen) {
            let wanted = [Some(200), Some(200), Some(204), Some(200)][*place];
            prop_assert!(seen.status.is_none() || seen.status == wanted, "{:?}", seen);
        }
        if holes.is_empty() {
            prop_assert_eq!(places, vec![0, 1, 2, 3]);
        }
    }
}
