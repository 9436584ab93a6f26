//! Event streams: a cut anywhere changes nothing, and a hole is survived.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probe_core::message::sse::{MAX_NAME, Scanner, Token};

fuzz_target!(|input: (u16, bool, Vec<u8>)| {
    let (cut, hole, bytes) = input;
    let (head, tail) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let mut cut_events = Vec::new();
    let mut scanner = Scanner::new();
    scanner.push(head, &mut |token| keep(&mut cut_events, token));
    if hole {
        scanner.gap();
    }
    scanner.push(tail, &mut |token| keep(&mut cut_events, token));
    if !hole {
        let mut whole_events = Vec::new();
        Scanner::new().push(&bytes, &mut |token| keep(&mut whole_events, token));
        assert_eq!(
            cut_events,
            whole_events,
            "a cut at {} changes the events",
            head.len()
        );
    }
});

/// Adds `token` to one text of all tokens, in which pieces of data run together.
fn keep(events: &mut Vec<u8>, token: Token<'_>) {
    match token {
        Token::EventName(name) => {
            assert!(name.len() <= MAX_NAME);
            events.extend_from_slice(b"\0name ");
            events.extend_from_slice(name.as_bytes());
        }
        Token::Data(data) => events.extend_from_slice(data),
        Token::Dispatch => events.extend_from_slice(b"\0end"),
    }
}
