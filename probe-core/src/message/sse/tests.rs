use proptest::prelude::*;

use super::*;

/// An event's name and data.
type Event<'a> = (Option<&'a str>, &'a str);

/// What a script yields, adjoining data joined: events as `(name, data)`, then what is open.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<(Option<String>, Vec<u8>)>,
    open: (Option<String>, Vec<u8>),
}

impl Seen {
    fn take(&mut self, token: Token<'_>) {
        match token {
            Token::EventName(name) => self.open.0 = Some(name.to_owned()),
            Token::Data(data) => self.open.1.extend_from_slice(data),
            Token::Dispatch => self.events.push(std::mem::take(&mut self.open)),
        }
    }
}

fn scan(parts: &[&[u8]]) -> Seen {
    let mut scanner = Scanner::new();
    let mut seen = Seen::default();
    for part in parts {
        scanner.push(part, &mut |token| seen.take(token));
    }
    seen
}

/// Scans whole, cut in two at every place, and byte by byte: all must agree.
fn scan_all_ways(stream: &[u8]) -> Seen {
    let whole = scan(&[stream]);
    for cut in 0..=stream.len() {
        assert_eq!(
            whole,
            scan(&[&stream[..cut], &stream[cut..]]),
            "cut at {cut}"
        );
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(whole, scan(&bytes), "byte by byte");
    whole
}

fn event(name: Option<&str>, data: &str) -> (Option<String>, Vec<u8>) {
    (name.map(str::to_owned), data.as_bytes().to_vec())
}

#[test]
fn reads_events_at_any_cut() {
    let cases: &[(&str, &[Event<'_>])] = &[
        ("data: a\n\ndata: b\n\n", &[(None, "a"), (None, "b")]),
        (
            "data:a\r\n\r\ndata:  b\r\n\r\n",
            &[(None, "a"), (None, " b")],
        ),
        ("data: a\r\rdata: b\r\r", &[(None, "a"), (None, "b")]),
        (
            "event: message_stop\ndata: {}\n\n",
            &[(Some("message_stop"), "{}")],
        ),
        ("data: a\ndata: b\ndata:\ndata\n\n", &[(None, "a\nb\n\n")]),
        (
            "event: a\r\ndata: b\r\ndata: c\r\n\r\n",
            &[(Some("a"), "b\nc")],
        ),
        (": ping\n\n:\n\ndata: x\n: y\n\n", &[(None, "x")]),
        (
            "id: 1\nretry: 5\ndatum: no\ndata2: no\ndat: no\n d: no\ndata: x\n\n",
            &[(None, "x")],
        ),
        ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &[(None, "a")]),
        ("event: a\nevent: b\n\n", &[(Some("b"), "")]),
        ("event\ndata: a\n\n", &[(Some(""), "a")]),
        ("\n\n\r\n\rdata: a\n\n", &[(None, "a")]),
        ("id: 3\n\n", &[]),
    ];
    for (stream, wanted) in cases {
        let wanted: Vec<_> = wanted.iter().map(|(n, d)| event(*n, d)).collect();
        assert_eq!(
            scan_all_ways(stream.as_bytes()).events,
            wanted,
            "{stream:?}"
        );
    }
}

#[test]
fn an_event_without_a_blank_line_stays_open() {
    let seen = scan_all_ways(b"data: [DONE]\n");
    assert!(seen.events.is_empty());
    assert_eq!(seen.open, event(None, "[DONE]"));
}

#[test]
fn a_long_name_is_cut_and_a_broken_one_ends_where_it_breaks() {
    let long = format!("event: {}\n\n", "n".repeat(1000));
    assert_eq!(
        scan_all_ways(long.as_bytes()).events,
        [event(Some(&"n".repeat(64)), "")]
    );
    let broken = scan_all_ways(b"event: ab\xff\n\n");
    assert_eq!(broken.events, [event(Some("ab"), "")]);
}

#[test]
fn a_line_of_one_record_is_handed_over_in_one_piece() {
    let mut parts = Vec::new();
    Scanner::new().push(b"data: {\"a\":1}\n\n", &mut |token| {
        parts.push(format!("{token:?}"));
    });
    assert_eq!(
        parts,
        [
            format!("{:?}", Token::Data(b"{\"a\":1}")),
            "Dispatch".to_owned()
        ]
    );
}

#[test]
fn after_a_hole_reading_goes_on_at_the_next_event() {
    let run = |after: &[&[u8]]| {
        let mut scanner = Scanner::new();
        let mut seen = Seen::default();
        scanner.push(b"data: lost", &mut |_| {});
        scanner.gap();
        for part in after {
            scanner.push(part, &mut |token| seen.take(token));
        }
        seen.events
    };
    assert_eq!(run(&[b"rest\n\ndata: a\n\n"]), [event(None, "a")]);
    assert_eq!(
        run(&[b"rest\r\n", b"\r\n", b"data: a\r\n\r\n"]),
        [event(None, "a")]
    );
    assert_eq!(
        run(&[b"rest\nevent: cut\n\ndata: a\n\n"]),
        [event(None, "a")]
    );
    assert_eq!(run(&[b"data: a\n\n"]), [event(None, "a")]);
    assert_eq!(run(&[b"x", b"data: a\n\ndata: b\n\n"]), [event(None, "b")]);
}

proptest! {
    #[test]
    fn cuts_never_matter(
        stream in "(data: ?|event:|id|:|d|\u{feff}|[a-z ]{0,3}|\r|\n|\r\n){0,40}",
        cuts in prop::collection::vec(0usize..200, 0..8),
    ) {
        let bytes = stream.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        prop_assert_eq!(scan(&[bytes]), scan(&parts));
    }
}
