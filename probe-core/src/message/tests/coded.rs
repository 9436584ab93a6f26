//! Coded bodies, and that plain ones are not copied.

use std::io::Write;
use std::ops::Range;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::driver::{Cut, Do, Stage, c, lines, play_all_ways, s};
use crate::ids::{Context, Direction, Nanos, Role};
use crate::message::{
    Connection, End, ExchangeIndex, Handler, Interest, Piece, RequestHead, ResponseHead,
};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// A chunked answer, a record for its head and for each chunk, the last one included.
fn answer(coding: &str, chunks: &[&[u8]]) -> Vec<Do> {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: ";
    let chunk =
        |data: &&[u8]| s([format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat());
    let mut script = vec![c(GET), s(format!("{head}{coding}\r\n\r\n"))];
    script.extend(chunks.iter().map(chunk));
    script.push(s("0\r\n\r\n"));
    script
}

#[test]
fn a_flushed_event_comes_out_with_its_record() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut flushed = |text: &str| {
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    let (one, two) = (flushed("data: 1\n\n"), flushed("data: 2\n\n"));
    let last = encoder.finish().unwrap();
    let script = answer("gzip", &[&one, &two, &last]);
    assert_eq!(
        lines(&play_all_ways(&script)),
        ["GET /a [] 200 [data: 1\n\ndata: 2\n\n] Complete"]
    );
    let mut stage = Stage::new(Role::Client, false, Cut::None);
    stage.play(&script[..3]);
    assert_eq!(stage.notes.seen[0].body, "data: 1\n\n");
}

#[test]
fn what_cannot_be_decoded_is_told_once() {
    for coding in ["compress", "gzip, br", "gzip"] {
        let script = answer(coding, &[b"not gzip at all", b"more", b"and more"]);
        assert_eq!(
            lines(&play_all_ways(&script)),
            ["GET /a [] 200 [<undecodable>] Complete"]
        );
    }
    let script = answer("identity", &[b"plain"]);
    assert_eq!(
        lines(&play_all_ways(&script)),
        ["GET /a [] 200 [plain] Complete"]
    );
}

/// Notes where in memory the pieces are.
#[derive(Default)]
struct Places(Vec<Range<*const u8>>);

impl Handler for Places {
    fn request_head(&mut self, _: ExchangeIndex, _: &RequestHead<'_>, _: Role) -> Interest {
        Interest::Full
    }
    fn request_body(&mut self, _: ExchangeIndex, _: Piece<'_>, _: Nanos) {}
    fn request_end(&mut self, _: ExchangeIndex, _: Nanos) {}
    fn response_head(&mut self, _: ExchangeIndex, _: &ResponseHead<'_>) {}
    fn response_body(&mut self, _: ExchangeIndex, piece: Piece<'_>, _: Nanos) {
        if let Piece::Bytes(bytes) = piece {
            self.0.push(bytes.as_ptr_range());
        }
    }
    fn end(&mut self, _: ExchangeIndex, _: End, _: Nanos) {}
}

#[test]
fn a_plain_chunk_is_a_slice_of_its_record() {
    let mut connection = Connection::new(false);
    let mut places = Places::default();
    let mut data = |direction, bytes: &[u8]| {
        connection.data(direction, bytes, 1, Context::default(), &mut places);
    };
    data(Direction::Out, GET.as_bytes());
    data(
        Direction::In,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let record = b"9\r\ndata: x\n\n\r\n";
    data(Direction::In, record);
    let data = record[3..12].as_ptr_range();
    assert_eq!(places.0, [data]);
}
