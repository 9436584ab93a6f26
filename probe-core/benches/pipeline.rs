//! What a record costs from the ring buffer's bytes to the span.
//!
//! Synthetic records of many chat completions that stream side by side, one chunk a record, the
//! next chunk always on another connection: the worst case for caches. `cargo xtask bench
//! pipeline` runs it, alone for records per second and under callgrind for instructions.

use std::collections::HashMap;
use std::hint::black_box;

use probe_common::record::{HEADER, Header, IN, Kind, OUT};
use probe_core::call::{Options, Output, Reader};
use probe_core::conventions::Conventions;
use probe_core::ids::{ConnId, ConnInfo, Context, Direction, Endpoints, ProcessId, Transport};
use probe_core::message::Connection;
use probe_core::span::Span;
use probe_core::stitch::{Config, Stitcher};
use probe_core::stream::{Assembler, Data};

struct Stages {
    assembler: Assembler,
    messages: Connection,
    reader: Reader,
}

struct Pipeline {
    connections: HashMap<ConnId, Stages>,
    stitcher: Stitcher,
    spans: Vec<Span>,
}

fn main() {
    let number = |name: &str, default: u64| {
        let value = std::env::var(name).ok();
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let (streams, chunks) = (number("STREAMS", 1000), number("CHUNKS", 100));
    let mut pipeline = Pipeline::new(streams);
    let (before, measured, after) = records(streams, chunks);
    feed(&mut pipeline, &before);
    let start = cpu_nanos();
    feed_measured(&mut pipeline, &measured);
    let seconds = (cpu_nanos() - start) as f64 / 1e9;
    feed(&mut pipeline, &after);
    pipeline.stitcher.drain(u64::MAX / 2, &mut pipeline.spans);
    let spans = pipeline.spans.len() as u64;
    assert_eq!(spans, streams, "each stream is one span");
    for span in &pipeline.spans {
        assert!(
            format!("{span:?}").contains("gpt-4o-2024-08-06"),
            "{span:?}"
        );
    }
    println!(
        "records={} seconds={seconds:.6} spans={spans}",
        measured.len()
    );
}

/// Time that this thread has had a processor; others that share it do not count.
fn cpu_nanos() -> u64 {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let first = said
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    first.expect("the first number is the time in nanoseconds")
}

/// What callgrind counts: nothing but the chunks. Never inlined, to be found by its name.
#[inline(never)]
fn feed_measured(pipeline: &mut Pipeline, records: &[Vec<u8>]) {
    feed(pipeline, black_box(records));
}

fn feed(pipeline: &mut Pipeline, records: &[Vec<u8>]) {
    for record in records {
        pipeline.record(record);
    }
}

impl Pipeline {
    fn new(streams: u64) -> Self {
        let config = Config {
            conventions: Conventions::default(),
            ..Config::default()
        };
        let mut stitcher = Stitcher::new(config, [7; 32]);
        let mut connections = HashMap::new();
        for stream in 0..streams {
            let info = connection(stream);
            stitcher.connection_opened(&info);
            let stages = Stages {
                assembler: Assembler::new(false),
                messages: Connection::new(false),
                reader: Reader::new(&info, Options::default()),
            };
            connections.insert(info.id, stages);
        }
        Self {
            connections,
            stitcher,
            spans: Vec::new(),
        }
    }

    fn record(&mut self, record: &[u8]) {
        let (header, bytes) = Header::parse(record).expect("the record is ours");
        let conn = ConnId(header.conn);
        let stages = self
            .connections
            .get_mut(&conn)
            .expect("the connection is open");
        let data = Data {
            conn,
            direction: if header.direction == OUT {
                Direction::Out
            } else {
                Direction::In
            },
            offset: header.offset,
            len: header.len,
            bytes,
            at: header.at,
            context: Context {
                tid: header.tid,
                token: header.token,
                blocking: false,
            },
        };
        let parts = stages.assembler.push(&data);
        assert_eq!((parts.gap_before, parts.gap_after), (0, 0), "no holes");
        let Stages {
            messages, reader, ..
        } = stages;
        messages.data(data.direction, parts.bytes, data.at, data.context, reader);
        for output in reader.outputs() {
            match output {
                Output::Started(started) => self.stitcher.started(&started),
                Output::Finished(call) => {
                    self.stitcher.finished(*call, header.at, &mut self.spans);
                }
                Output::Asked(asked) => self.stitcher.asked(*asked),
                Output::Read(key, trace) => self.stitcher.read(key, trace.map(|t| *t)),
                Output::Answered(answered) => self.stitcher.answered(&answered),
                Output::Blurred(key, at) => self.stitcher.blurred(key, at),
                Output::Over(key, end, at) => {
                    self.stitcher.over(key, end, at, header.at, &mut self.spans);
                }
            }
        }
    }
}

fn connection(stream: u64) -> ConnInfo {
    let port = 10_000 + u16::try_from(stream % 50_000).expect("below 50 000");
    ConnInfo {
        id: ConnId(stream),
        process: ProcessId {
            tgid: 100,
            start: 1,
        },
        transport: Transport::Plain,
        endpoints: Some(Endpoints {
            local: ([10, 0, 0, 1], port).into(),
            peer: ([10, 0, 0, 2], 8000).into(),
            netns: 1,
        }),
        late: false,
        accepted: None,
    }
}

/// Records in the order in which they come.
type Records = Vec<Vec<u8>>;

/// Requests and heads; the chunks in turn over all streams; the last chunks.
fn records(streams: u64, chunks: u64) -> (Records, Records, Records) {
    let mut offsets = vec![[0u64; 2]; usize::try_from(streams).expect("fits")];
    let mut at = 1_000;
    let mut all = |direction: u8, payload: &[u8]| {
        let write = |(stream, offset): (usize, &mut [u64; 2])| {
            at += 1_000;
            let place = &mut offset[usize::from(direction)];
            let bytes = record(stream as u64, direction, *place, at, payload);
            *place += payload.len() as u64;
            bytes
        };
        offsets
            .iter_mut()
            .enumerate()
            .map(write)
            .collect::<Vec<_>>()
    };
    let body = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: model:8000\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let mut before = all(OUT, request.as_bytes());
    before.extend(all(IN, head.as_bytes()));
    let chunk = chunked(&event(r#"{"content":" token"}"#, "null", ""));
    let measured = (0..chunks)
        .flat_map(|_| all(IN, chunk.as_bytes()))
        .collect();
    let usage = r#","usage":{"prompt_tokens":9,"completion_tokens":100,"total_tokens":109}"#;
    let last = chunked(&event("{}", r#""stop""#, usage)) + &chunked("data: [DONE]\n\n");
    let after = all(IN, (last + "0\r\n\r\n").as_bytes());
    (before, measured, after)
}

/// An event as OpenAI sends it.
fn event(delta: &str, finish: &str, more: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\
         \"object\":\"chat.completion.chunk\",\"created\":1741570283,\
         \"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\
         \"system_fingerprint\":\"fp_fc9f1d7035\",\"choices\":[{{\"index\":0,\
         \"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]{more}}}\n\n"
    )
}

fn chunked(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A record as the kernel half writes it.
fn record(conn: u64, direction: u8, offset: u64, at: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let mut put = |place: usize, value: &[u8]| {
        bytes[place..place + value.len()].copy_from_slice(value);
    };
    let length = u32::try_from(payload.len()).expect("a record is short");
    put(0, &[Kind::Data as u8, direction]);
    put(4, &length.to_ne_bytes());
    put(8, &at.to_ne_bytes());
    put(16, &conn.to_ne_bytes());
    put(24, &100u32.to_ne_bytes());
    put(28, &100u32.to_ne_bytes());
    put(32, &1u64.to_ne_bytes());
    put(40, &offset.to_ne_bytes());
    put(48, &u64::from(length).to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
