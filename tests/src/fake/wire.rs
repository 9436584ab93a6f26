//! Writes a reply as its script wants it, and notes when each part was written.

use std::io::{self, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::conn::Conn;
use super::dialect::{Body, Event, Reply, Stream};
use super::encode::Encoder;
use super::log::{Outcome, Record};
use super::script::{Fault, Script};
use crate::clock::monotonic;

/// What is to be done with the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come.
    Keep,
    /// Close it in an orderly way.
    Close,
    /// Reset it.
    Reset,
}

/// Sends a reply. `close`: the client wants no keep-alive. `fast`: all chunks of a stream may be
/// the same.
pub(super) fn send(
    conn: &mut Conn,
    reply: &Reply,
    close: bool,
    fast: bool,
    record: &mut Record,
) -> io::Result<After> {
    let close = close || reply.script.close;
    let mut out = Out::new(conn, reply.script.clone());
    out.pause(reply.script.before_head);
    if reply.script.hints {
        out.put(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")?;
    }
    record.status = reply.status;
    let after = if close { After::Close } else { After::Keep };
    match &reply.body {
        Body::Whole(body) => {
            let mut encoder = Encoder::new(reply.script.encoding);
            let mut bytes = encoder.piece(body.clone())?;
            bytes.extend(encoder.finish()?);
            let head = head(reply, close, Some(bytes.len()));
            whole(&mut out, head, bytes, record)?;
            Ok(after)
        }
        Body::Stream(stream) => {
            out.chunked = !close;
            let head = head(reply, close, None);
            out.put(head.as_bytes())?;
            record.head = monotonic();
            out.pause(reply.script.after_head);
            let sent = Sender {
                out: &mut out,
                encoder: Encoder::new(reply.script.encoding),
                record,
            };
            match sent.stream(stream, fast)? {
                Some(Fault::Reset) => Ok(After::Reset),
                Some(Fault::Cut) => Ok(After::Close),
                _ => Ok(after),
            }
        }
    }
}

fn whole(out: &mut Out<'_>, head: String, body: Vec<u8>, record: &mut Record) -> io::Result<()> {
    if out.script.after_head > Duration::ZERO {
        out.put(head.as_bytes())?;
        record.head = monotonic();
        out.pause(out.script.after_head);
        out.put(&body)?;
    } else {
        let mut all = head.into_bytes();
        all.extend(body);
        out.put(&all)?;
        record.head = monotonic();
    }
    record.end = monotonic();
    (record.first_chunk, record.done) = (record.end, record.end);
    Ok(())
}

fn head(reply: &Reply, close: bool, length: Option<usize>) -> String {
    let reason = match reply.status {
        200 => "OK",
        202 => "Accepted",
        404 => "Not Found",
        429 => "Too Many Requests",
        status if status >= 500 => "Internal Server Error",
        _ => "Bad Request",
    };
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", reply.status);
    let mut put = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    put("date", "Thu, 01 Oct 2026 00:00:00 GMT");
    put("content-type", reply.content_type);
    for (name, value) in &reply.headers {
        put(name, value);
    }
    for number in 0..reply.script.header_kib {
        put(&format!("x-filler-{number}"), &"f".repeat(1000));
    }
    if let Some(encoding) = reply.script.encoding.name() {
        put("content-encoding", encoding);
    }
    match length {
        Some(length) => put("content-length", &length.to_string()),
        None if !close => put("transfer-encoding", "chunked"),
        None => {}
    }
    put("connection", if close { "close" } else { "keep-alive" });
    head.push_str("\r\n");
    head
}

/// The way out: cuts bytes into HTTP chunks and writes.
struct Out<'a> {
    conn: &'a mut Conn,
    script: Script,
    chunked: bool,
    /// Pauses are counted from here, so that a slow write does not shift what follows.
    clock: Instant,
}

impl<'a> Out<'a> {
    fn new(conn: &'a mut Conn, script: Script) -> Self {
        Self {
            conn,
            script,
            chunked: false,
            clock: Instant::now(),
        }
    }

    fn pause(&mut self, time: Duration) {
        if time > Duration::ZERO {
            self.clock += time;
            let now = Instant::now();
            if self.clock > now {
                sleep(self.clock - now);
            } else {
                self.clock = now;
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = match self.script.cutting.write {
            0 => bytes.len().max(1),
            size => size,
        };
        bytes
            .chunks(size)
            .try_for_each(|piece| self.conn.write_all(piece))
    }

    /// Body bytes in their transfer coding.
    fn frame(&self, bytes: Vec<u8>) -> Vec<u8> {
        if !self.chunked || bytes.is_empty() {
            return bytes;
        }
        let size = match self.script.cutting.chunk {
            0 => bytes.len(),
            size => size,
        };
        let mut framed = Vec::with_capacity(bytes.len() + 16);
        for piece in bytes.chunks(size) {
            framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            framed.extend_from_slice(piece);
            framed.extend_from_slice(b"\r\n");
        }
        framed
    }
}

/// Sends one stream.
struct Sender<'o, 'c, 'r> {
    out: &'o mut Out<'c>,
    encoder: Encoder,
    record: &'r mut Record,
}

/// Events that wait for their write call.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    events: usize,
    data: u32,
}

impl Sender<'_, '_, '_> {
    fn stream(mut self, stream: &Stream, fast: bool) -> io::Result<Option<Fault>> {
        let mut waiting = Waiting::default();
        for event in &stream.opening {
            self.event(stream, event, &mut waiting)?;
        }
        if fast {
            self.same(stream)?;
        } else if !self.pieces(stream, &mut waiting)? {
            return self.fail(stream, waiting);
        }
        for event in &stream.closing {
            self.event(stream, event, &mut waiting)?;
        }
        if let Some(event) = &stream.end_mark {
            self.event(stream, event, &mut waiting)?;
        }
        self.flush(&mut waiting)?;
        self.record.done = monotonic();
        self.out.pause(self.out.script.before_end);
        self.finish()?;
        Ok(None)
    }

    /// Sends the pieces of text; false where the script wants the stream to fail.
    fn pieces(&mut self, stream: &Stream, waiting: &mut Waiting) -> io::Result<bool> {
        let script = self.out.script.clone();
        for number in 0..stream.chunks {
            if script.interval > Duration::ZERO && number > 0 {
                self.pause(script.interval, waiting)?;
            }
            if script.fault.is_some() && number == stream.chunks.div_ceil(2) {
                return Ok(false);
            }
            self.event(stream, &(stream.chunk)(number), waiting)?;
            if script.pings && number % 2 == 0 {
                self.event(stream, &stream.ping, waiting)?;
            }
            if let Some((_, pause)) = script.stall.filter(|(after, _)| *after == number + 1) {
                self.pause(pause, waiting)?;
            }
        }
        Ok(true)
    }

    /// Sends the same piece again and again, made once: what is left is the pause and the write.
    fn same(&mut self, stream: &Stream) -> io::Result<()> {
        let bytes = (stream.chunk)(0).render(stream.framing, self.out.script.crlf);
        let bytes = self.out.frame(bytes);
        for _ in 0..stream.chunks {
            self.out.pause(self.out.script.interval);
            self.out.conn.write_all(&bytes)?;
        }
        Ok(())
    }

    fn fail(mut self, stream: &Stream, mut waiting: Waiting) -> io::Result<Option<Fault>> {
        let fault = self.out.script.fault;
        if fault == Some(Fault::Event) {
            self.event(stream, &stream.error, &mut waiting)?;
            self.flush(&mut waiting)?;
            self.record.done = monotonic();
            self.finish()?;
        } else {
            self.flush(&mut waiting)?;
            self.record.outcome = Outcome::Cut;
            self.record.end = monotonic();
            self.record.done = self.record.end;
        }
        Ok(fault)
    }

    fn finish(self) -> io::Result<()> {
        let mut last = self.out.frame(self.encoder.finish()?);
        if self.out.chunked {
            last.extend_from_slice(b"0\r\n\r\n");
        }
        self.out.put(&last)?;
        self.record.end = monotonic();
        Ok(())
    }

    fn event(&mut self, stream: &Stream, event: &Event, waiting: &mut Waiting) -> io::Result<()> {
        let bytes = event.render(stream.framing, self.out.script.crlf);
        let bytes = self.encoder.piece(bytes)?;
        waiting.bytes.extend(self.out.frame(bytes));
        waiting.events += 1;
        waiting.data += u32::from(matches!(event, Event::Data(..)));
        if waiting.events >= self.out.script.cutting.join {
            self.flush(waiting)?;
        }
        Ok(())
    }

    fn pause(&mut self, time: Duration, waiting: &mut Waiting) -> io::Result<()> {
        self.flush(waiting)?;
        self.out.pause(time);
        Ok(())
    }

    fn flush(&mut self, waiting: &mut Waiting) -> io::Result<()> {
        if !waiting.bytes.is_empty() {
            self.out.put(&waiting.bytes)?;
            if self.record.chunks == 0 && waiting.data > 0 {
                self.record.first_chunk = monotonic();
            }
            self.record.chunks += waiting.data;
        }
        *waiting = Waiting::default();
        Ok(())
    }
}
