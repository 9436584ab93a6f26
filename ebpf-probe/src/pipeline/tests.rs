//! Records in; spans and counters out.

use probe_core::ids::{Context, ProcessId, Transport};
use probe_core::span::Value;
use probe_core::stream::Data;

use super::published::Published;
use super::*;
use crate::export::selfmetrics::{self, Def};

const PROCESS: ProcessId = ProcessId { tgid: 7, start: 1 };
const BODY: &str = r#"{"model":"m","messages":[]}"#;

/// A pipeline, and how far each direction of each connection is.
struct Rig {
    pipeline: Pipeline,
    offsets: HashMap<(ConnId, usize), u64>,
    now: Nanos,
}

impl Rig {
    fn new() -> Self {
        let stitcher = Stitcher::new(stitch::Config::default(), [7; 32]);
        Self {
            pipeline: Pipeline::new(stitcher, Options::default()),
            offsets: HashMap::new(),
            now: 1_000,
        }
    }

    fn record(&mut self, record: &Record<'_>) {
        self.now += 1;
        self.pipeline.record(record, self.now);
    }

    fn open(&mut self, conn: u64) {
        self.open_as(conn, false);
    }

    fn open_as(&mut self, conn: u64, late: bool) {
        self.record(&Record::Open(ConnInfo {
            id: ConnId(conn),
            process: PROCESS,
            transport: Transport::Plain,
            endpoints: None,
            late,
            accepted: None,
        }));
    }

    /// `len` bytes, of which these were captured.
    fn moved(&mut self, conn: u64, direction: Direction, bytes: &[u8], len: u64) {
        let conn = ConnId(conn);
        let offset = self.offsets.entry((conn, direction.index())).or_default();
        let data = Data {
            conn,
            direction,
            offset: *offset,
            len,
            bytes,
            at: self.now,
            context: Context::default(),
        };
        *offset += len;
        self.record(&Record::Data(data));
    }

    fn sends(&mut self, conn: u64, text: &str) {
        self.moved(conn, Direction::Out, text.as_bytes(), text.len() as u64);
    }

    fn gets(&mut self, conn: u64, bytes: &[u8]) {
        self.moved(conn, Direction::In, bytes, bytes.len() as u64);
    }

    /// Begins a call.
    fn asks(&mut self, conn: u64) {
        let head =
            "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
        self.sends(conn, &request);
    }

    fn answers(&mut self, conn: u64, fields: &str, body: &[u8]) {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n");
        self.gets(conn, head.as_bytes());
        self.gets(conn, body);
    }

    fn spans(&mut self) -> Vec<Arc<Span>> {
        self.now += 10_000_000_000;
        self.pipeline.tick(self.now);
        let leaving = self.pipeline.leaving();
        leaving.filter_map(|one| one.span().cloned()).collect()
    }
}

#[test]
fn too_many_connections_make_room_by_the_ones_longest_unused() {
    let mut rig = Rig::new();
    rig.open(0);
    rig.asks(0);
    for conn in 1..MOST as u64 {
        rig.open(conn);
    }
    rig.sends(1, "GET / HTTP/1.1\r\n");
    assert_eq!(rig.pipeline.len(), MOST);
    rig.open(MOST as u64);
    assert_eq!(rig.pipeline.len(), MOST - EVICTED + 1);
    let evicted: HashSet<_> = rig.pipeline.evicted().collect();
    assert_eq!(evicted.len(), EVICTED);
    assert!(evicted.contains(&ConnId(0)), "the oldest");
    assert!(!evicted.contains(&ConnId(1)), "it was used since");
    let spans = rig.spans();
    let lost = |span: &Span| {
        let name = "telemetry.kaos.capture.lost_end";
        let mut attributes = span.attributes.iter();
        attributes.any(|it| it.name == name && it.value == Value::Bool(true))
    };
    assert!(
        matches!(spans.as_slice(), [span] if lost(span)),
        "{spans:?}"
    );
    let counted = rig.pipeline.counters();
    assert_eq!(counted.evicted, EVICTED as u64);
    rig.sends(0, "x");
    assert_eq!(rig.pipeline.counters().orphans, 1);
}

/// The value of a metric.
fn shown(counters: &selfmetrics::Counters, def: &'static Def, label: &str) -> u64 {
    counters.labelled(def, label).get()
}

#[test]
fn a_connection_is_late_when_something_passed_before_its_first_head() {
    let mut rig = Rig::new();
    let answer = b"HTTP/1.1 204 No\r\n\r\n";
    // As TLS is whose socket is not known: from its first byte, in the middle of an answer, and
    // in the middle of a request.
    for (conn, before, late) in [(0, [0, 0], 0), (1, [0, 9], 1), (2, [9, 9], 2)] {
        rig.open_as(conn, true);
        for direction in [Direction::In, Direction::Out] {
            let offset = before[direction.index()];
            rig.offsets
                .insert((ConnId(conn), direction.index()), offset);
        }
        rig.asks(conn);
        rig.gets(conn, answer);
        rig.asks(conn);
        assert_eq!(rig.pipeline.counters().late, late, "{conn}");
    }
}

#[test]
fn whatever_is_lost_is_shown() {
    let counters = selfmetrics::Counters::default();
    let published = Published::new(&counters);
    let mut rig = Rig::new();
    for conn in 0..6 {
        rig.open(conn);
        rig.asks(conn);
    }
    rig.answers(0, "Content-Encoding: br\r\n", b"\xff\xff\xff\xff");
    rig.gets(1, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    rig.moved(1, Direction::In, b"", 9);
    rig.gets(2, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig.moved(2, Direction::In, b"", 9);
    rig.gets(3, b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n");
    rig.gets(4, b"nonsense and more of it");
    rig.sends(5, &format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(70_000)));
    rig.offsets.insert((ConnId(0), 0), 0);
    rig.gets(0, b"HTTP");
    rig.gets(99, b"whose?");
    rig.open_as(6, true);
    rig.offsets.insert((ConnId(6), Direction::Out.index()), 5);
    rig.asks(6);
    published.set(&rig.pipeline);
    for (def, label) in [
        (&selfmetrics::RECORDS, ""),
        (&selfmetrics::BYTES, ""),
        (&selfmetrics::LOST_BYTES, ""),
        (&selfmetrics::TRUNCATED_BODIES, ""),
        (&selfmetrics::UNKNOWN_ENCODINGS, ""),
        (&selfmetrics::LATE_ATTACHMENTS, ""),
        (&selfmetrics::CONNECTIONS, ""),
        (&selfmetrics::READER, "orphan_records"),
        (&selfmetrics::READER, "stale_bytes"),
        (&selfmetrics::READER, "malformed_heads"),
        (&selfmetrics::READER, "long_heads"),
        (&selfmetrics::READER, "lost_chunks"),
        (&selfmetrics::READER, "upgraded_connections"),
    ] {
        assert!(shown(&counters, def, label) > 0, "{} {label}", def.name);
    }
    assert_eq!(shown(&counters, &selfmetrics::LOST_BYTES, ""), 18);
    assert_eq!(shown(&counters, &selfmetrics::UNKNOWN_ENCODINGS, ""), 1);
}

#[test]
fn of_a_connection_that_was_upgraded_nothing_more_is_wanted() {
    let mut rig = Rig::new();
    rig.open(0);
    rig.sends(
        0,
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
    );
    assert!(rig.pipeline.grants().all(|(_, grant)| grant.ignore == 0));
    rig.gets(
        0,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    );
    let grants: Vec<_> = rig.pipeline.grants().collect();
    assert!(matches!(grants.as_slice(), [(ConnId(0), grant)] if grant.ignore == 1));
}

#[test]
fn heads_that_are_never_whole_take_no_more_than_their_share() {
    let mut rig = Rig::new();
    rig.open(0);
    rig.sends(0, "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n");
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(60_000));
    let mut most = 0;
    for conn in 1..1_000 {
        rig.open(conn);
        rig.sends(conn, &long);
        most = most.max(rig.pipeline.held.heads);
    }
    assert!(rig.pipeline.counters().shed_heads > 500);
    assert!(most <= 16 << 20, "{most}");
    let rest = format!("Content-Length: {}\r\n\r\n{BODY}", BODY.len());
    rig.sends(0, &rest);
    rig.answers(0, "Content-Type: application/json\r\n", b"{}");
    assert_eq!(
        rig.spans().len(),
        1,
        "a small one is not among those that go"
    );
    rig.asks(1);
    rig.answers(1, "Content-Type: application/json\r\n", b"{}");
    assert_eq!(
        rig.spans().len(),
        1,
        "what went is read from its next head on"
    );
    for conn in 0..1_000 {
        rig.record(&Record::Closed(ConnId(conn), Direction::In, 9));
    }
    assert_eq!(rig.pipeline.held, Held::default());
}

#[test]
fn decoders_take_no_more_than_their_share() {
    let mut rig = Rig::new();
    // zstd with a window of 8 MiB, and blocks of 128 KiB that are not compressed (RFC 8878).
    let mut encoded = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
    for _ in 0..40 {
        encoded.extend([0, 0, 0x10]);
        encoded.extend(vec![b' '; 128 << 10]);
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: zstd";
    let head = format!("{head}\r\nContent-Length: 99999999\r\n\r\n");
    for conn in 0..20 {
        rig.open(conn);
        rig.asks(conn);
        rig.gets(conn, head.as_bytes());
        rig.gets(conn, &encoded);
        assert!(rig.pipeline.held.decoders <= 64 << 20);
    }
    assert!(rig.pipeline.counters().shed_decoders > 0);
    for conn in 0..20 {
        rig.gets(conn, b"x");
        rig.record(&Record::Closed(ConnId(conn), Direction::In, 9));
    }
    let counted = rig.pipeline.counters();
    assert!(counted.undecodable_bodies >= counted.shed_decoders);
}
