//! The same through the message stage: bytes of a connection, not pieces of bodies.

use crate::call::{Call, Options, Output, Reader};
use crate::ids::{ConnId, ConnInfo, Context, Direction, ProcessId, Role, Transport};
use crate::message::{Closed, Connection, End};

/// What moves, in order.
type Move<'a> = (Direction, &'a [u8]);

/// The bytes in records of at most `size`, the clock one more with each; then the peer is gone.
fn calls(moves: &[Move<'_>], size: usize) -> Vec<Call> {
    let info = ConnInfo {
        id: ConnId(1),
        process: ProcessId { tgid: 1, start: 1 },
        transport: Transport::Plain,
        endpoints: None,
        late: false,
        accepted: None,
    };
    let mut reader = Reader::new(&info, Options::default());
    let mut connection = Connection::new(false);
    let mut clock = 0;
    for (direction, bytes) in moves {
        for record in bytes.chunks(size) {
            clock += 1;
            connection.data(*direction, record, clock, Context::default(), &mut reader);
        }
    }
    connection.closed(clock + 1, Closed::Peer, &mut reader);
    let finished = |output| match output {
        Output::Finished(call) => Some(*call),
        _ => None,
    };
    reader.outputs().filter_map(finished).collect()
}

const ASK: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 41\r\n\r\n{\"model\":\"m\",\"messages\":[],\"stream\":true}";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n45\r\ndata: {\"id\":\"c\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}   \n\n\r\n31\r\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\r\n10\r\n\ndata: [DONE]\n\n\n\r\n0\r\n\r\n";
const POLL: &[u8] = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn calls_of_a_kept_connection_are_read_from_either_end() {
    for (role, out, back) in [
        (Role::Client, Direction::Out, Direction::In),
        (Role::Server, Direction::In, Direction::Out),
    ] {
        let moves = [
            (out, ASK),
            (back, ANSWER),
            (out, POLL),
            (back, OK),
            (out, ASK),
            (back, ANSWER),
        ];
        for size in [1, 2, 7, 100, 10_000] {
            let calls = calls(&moves, size);
            assert_eq!(calls.len(), 2, "size {size}");
            for (call, exchange) in calls.iter().zip([0, 2]) {
                assert_eq!(call.key.exchange, exchange);
                assert_eq!(call.role, role);
                assert_eq!(call.error, None, "size {size}");
                assert_eq!(call.ended, End::Complete);
                assert_eq!(call.inference().usage.input, Some(3));
                assert_eq!(call.inference().finish_reasons, ["stop"]);
                assert_eq!(call.timing.chunks, 2);
            }
        }
    }
}

#[test]
fn a_peer_that_goes_away_is_seen() {
    let cut = &ANSWER[..ANSWER.len() - 40];
    let calls = calls(&[(Direction::Out, ASK), (Direction::In, cut)], 50);
    assert_eq!(calls.len(), 1);
    assert!(calls[0].error.is_some());
}
