//! The kernel half on this kernel: what it records against what a socket really did.
//!
//! The test process opts itself in and talks to itself over loopback. Needs root; without it the
//! tests fail, because a probe that cannot be loaded is not tested.

mod ways;

use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use probe_common::capture;
use probe_common::maps::{CONNECTIONS, CREDIT, Grant, POLICY_FULL, POLICY_OFF, Process};
use probe_common::record::{Header, IN, Kind, OUT, Open};
use rustix::net::{RecvFlags, SendFlags};

use super::helpers::Helpers;
use super::{Control, Feed, Tap, load_for};

/// The longest that a record may take to come: an emulated machine is slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of the ring.
const RING: u32 = 16 << 20;

/// What is loaded: one at a time, for the programs see the whole process. To load takes seconds on
/// an emulated machine, so a test leaves it to the next one.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// While it is held no other test has the programs loaded.
pub(crate) type Alone = MutexGuard<'static, Option<Loaded>>;

/// Waits until no other test has the programs loaded, and takes them away.
pub(crate) fn alone() -> Alone {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    *loaded = None;
    loaded
}

/// What is not left to the kernel.
type Forced = (Option<Helpers>, Option<Tap>);

pub(crate) struct Loaded {
    feed: Feed,
    control: Control,
}

struct Rig {
    /// `None` only while it is dropped.
    loaded: Option<Loaded>,
    all: Vec<Seen>,
    /// Whether the next test may have what is loaded.
    is_common: bool,
    next: Alone,
}

impl Deref for Rig {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        self.loaded.as_ref().expect("it is not dropped")
    }
}

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Loaded {
        self.loaded.as_mut().expect("it is not dropped")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let Some(mut loaded) = self.loaded.take().filter(|_| self.is_common) else {
            return;
        };
        loaded.feed.drain(usize::MAX, |_| ());
        if loaded.control.rest().is_ok() {
            *self.next = Some(loaded);
        }
    }
}

/// What was recorded of one connection.
#[derive(Clone, Default, Debug)]
struct Seen {
    conn: u64,
    open: Option<Open>,
    data: Vec<(u8, u64, u64, Vec<u8>)>,
    events: Vec<(Kind, u8)>,
}

impl Rig {
    fn new(policy: u32) -> Self {
        let mut next = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = next
            .take()
            .unwrap_or_else(|| Loaded::with((None, tap()), RING));
        Self::of(loaded, policy, next, true)
    }

    /// With a ring of this size.
    fn with_ring(policy: u32, bytes: u32) -> Self {
        Self::alone((None, tap()), policy, bytes)
    }

    /// With the programs for older kernels. Functions have had other arguments there.
    fn older() -> Self {
        Self::alone(
            (Some(Helpers::Older), Some(Tap::Syscalls)),
            POLICY_FULL,
            RING,
        )
    }

    fn alone(forced: Forced, policy: u32, bytes: u32) -> Self {
        // The programs of others would see the process too.
        let next = alone();
        Self::of(Loaded::with(forced, bytes), policy, next, false)
    }

    fn of(loaded: Loaded, policy: u32, next: Alone, is_common: bool) -> Self {
        let mut rig = Self {
            loaded: Some(loaded),
            all: Vec::new(),
            is_common,
            next,
        };
        rig.set(std::process::id(), policy);
        rig
    }

    fn set(&mut self, tgid: u32, policy: u32) {
        let policy = Process {
            policy,
            flags: 0,
            start: 0,
        };
        self.control.set_policy(tgid, policy).unwrap();
    }

    fn opt_in(&mut self, tgid: u32) {
        self.set(tgid, POLICY_FULL);
    }

    /// Everything recorded so far of the connection with this local port, once it is `enough`.
    fn seen(&mut self, local_port: u16, enough: impl Fn(&Seen) -> bool) -> Seen {
        let end = Instant::now() + PATIENCE;
        loop {
            let Self { loaded, all, .. } = self;
            let feed = &mut loaded.as_mut().expect("it is not dropped").feed;
            feed.drain(100_000, |raw| take(all, raw));
            let ours = |s: &&Seen| s.open.is_some_and(|open| open.local_port == local_port);
            match self.all.iter().find(ours) {
                Some(seen) if enough(seen) || Instant::now() > end => return seen.clone(),
                None if Instant::now() > end => return Seen::default(),
                _ => self.feed.wait(Duration::from_millis(20)).unwrap(),
            }
        }
    }
}

impl Loaded {
    fn with((helpers, tap): Forced, ring: u32) -> Self {
        let (feed, control) =
            load_for(helpers, tap, ring).expect("these tests want root and a kernel with BTF");
        Self { feed, control }
    }
}

/// The socket tap under test: the best one, or that of the variable, which virtual machines set.
fn tap() -> Option<Tap> {
    let name = std::env::var("KAOS_TEST_TAP").ok()?;
    Some(Tap::from_str(&name, false).expect("a tap's name"))
}

fn take(all: &mut Vec<Seen>, raw: &[u8]) {
    let (header, bytes) = Header::parse(raw).unwrap();
    let kind = Kind::from_u8(header.kind).unwrap();
    if header.tgid != std::process::id() || header.conn == 0 || kind == Kind::Fork {
        return;
    }
    let at = all
        .iter()
        .position(|s| s.conn == header.conn)
        .unwrap_or_else(|| {
            all.push(Seen {
                conn: header.conn,
                ..Seen::default()
            });
            all.len() - 1
        });
    match kind {
        Kind::Open => all[at].open = Open::parse(bytes),
        Kind::Data => {
            all[at]
                .data
                .push((header.direction, header.offset, header.len, bytes.to_vec()));
        }
        other => all[at].events.push((other, header.direction)),
    }
}

impl Seen {
    fn bytes(&self, direction: u8) -> Vec<u8> {
        let pieces = self.data.iter().filter(|d| d.0 == direction);
        pieces.flat_map(|d| d.3.iter().copied()).collect()
    }

    fn has(&self, direction: u8, n: usize) -> bool {
        self.bytes(direction).len() >= n
    }

    /// The holes of a direction: offset and length of what moved and was not captured.
    fn holes(&self, direction: u8) -> Vec<(u64, u64)> {
        let mut next = 0;
        let mut holes = Vec::new();
        for (_, offset, len, bytes) in self.data.iter().filter(|d| d.0 == direction) {
            if *offset > next {
                holes.push((next, offset - next));
            }
            if (bytes.len() as u64) < *len {
                holes.push((offset + bytes.len() as u64, len - bytes.len() as u64));
            }
            next = offset + len;
        }
        holes
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

fn port(stream: &TcpStream) -> u16 {
    stream.local_addr().unwrap().port()
}

const HEAD: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n";

#[test]
fn write_and_read_are_recorded_byte_for_byte_on_both_sides() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    client.write_all(b"{\"a\": 12}").unwrap();
    let mut got = vec![0; HEAD.len() + 9];
    server.read_exact(&mut got).unwrap();
    let seen = rig.seen(port(&client), |s| s.has(OUT, got.len()));
    assert_eq!(seen.bytes(OUT), got);
    assert_eq!(seen.holes(OUT), []);
    let open = seen.open.unwrap();
    assert_eq!(
        (open.peer_port, &open.local[..4]),
        (port(&server), &[127, 0, 0, 1][..])
    );
    assert_eq!(open.flags & probe_common::record::LATE, 0);
    let seen = rig.seen(port(&server), |s| s.has(IN, got.len()));
    assert_eq!(seen.bytes(IN), got);
    assert_eq!(seen.holes(IN), []);
}

#[test]
fn every_segment_of_a_vector_is_recorded() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    let parts = [
        IoSlice::new(&HEAD[..20]),
        IoSlice::new(b""),
        IoSlice::new(&HEAD[20..]),
    ];
    assert_eq!(client.write_vectored(&parts).unwrap(), HEAD.len());
    let (mut a, mut b) = ([0; 7], [0; 500]);
    let n = server
        .read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])
        .unwrap();
    assert_eq!(n, HEAD.len());
    assert_eq!(rig.seen(port(&client), |s| s.has(OUT, n)).bytes(OUT), HEAD);
    assert_eq!(rig.seen(port(&server), |s| s.has(IN, n)).bytes(IN), HEAD);
}

/// Sends each text as a message of one `sendmmsg`.
fn send_messages(client: &TcpStream, texts: &[&[u8]]) {
    let vectors: Vec<_> = texts.iter().map(|text| [IoSlice::new(text)]).collect();
    let mut none: Vec<_> = texts
        .iter()
        .map(|_| rustix::net::SendAncillaryBuffer::default())
        .collect();
    let messages = vectors.iter().zip(&mut none);
    let mut messages: Vec<_> = messages
        .map(|(vector, none)| rustix::net::MMsgHdr::new(vector, none))
        .collect();
    let sent = rustix::net::sendmmsg(client, &mut messages, SendFlags::empty()).unwrap();
    assert_eq!(sent, texts.len());
}

#[test]
fn several_messages_of_one_system_call_are_recorded_or_a_hole() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, _server) = pair();
    send_messages(&client, &[HEAD]);
    send_messages(&client, &[b"abc", b"defgh"]);
    client.write_all(b"ijk").unwrap();
    // The functions of the kernel send one after the other.
    let (want, holes) = match rig.control.tap().0 {
        Tap::Syscalls => ([HEAD, b"ijk"].concat(), vec![(HEAD.len() as u64, 8)]),
        Tap::Fentry | Tap::Kprobe => ([HEAD, b"abcdefghijk"].concat(), vec![]),
    };
    let seen = rig.seen(port(&client), |s| s.has(OUT, want.len()));
    assert_eq!(seen.bytes(OUT), want);
    assert_eq!(seen.holes(OUT), holes);
}

#[test]
fn messages_are_recorded_and_a_peek_is_not() {
    let mut rig = Rig::new(POLICY_FULL);
    let (client, server) = pair();
    rustix::net::send(&client, HEAD, SendFlags::empty()).unwrap();
    let mut got = [0; 500];
    rustix::net::recv(&server, &mut got, RecvFlags::PEEK).unwrap();
    let (n, _) = rustix::net::recv(&server, &mut got, RecvFlags::empty()).unwrap();
    assert_eq!(n, HEAD.len());
    let more = [IoSlice::new(b"abc"), IoSlice::new(b"def")];
    rustix::net::sendmsg(
        &client,
        &more,
        &mut rustix::net::SendAncillaryBuffer::default(),
        SendFlags::empty(),
    )
    .unwrap();
    let mut buffers = [IoSliceMut::new(&mut got)];
    rustix::net::recvmsg(
        &server,
        &mut buffers,
        &mut rustix::net::RecvAncillaryBuffer::default(),
        RecvFlags::empty(),
    )
    .unwrap();
    let want = [HEAD, b"abcdef"].concat();
    assert_eq!(
        rig.seen(port(&client), |s| s.has(OUT, want.len()))
            .bytes(OUT),
        want
    );
    let seen = rig.seen(port(&server), |s| s.has(IN, want.len()));
    assert_eq!(seen.bytes(IN), want);
    assert_eq!(seen.holes(IN), []);
}

/// Looks at what waits by `recvmmsg`, which takes its flags elsewhere than its kin.
#[expect(unsafe_code, reason = "rustix has no recvmmsg")]
fn peek_messages(server: &TcpStream) -> u32 {
    let mut buffer = [0_u8; 500];
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zeros is an empty message.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = &raw mut vector;
    message.msg_hdr.msg_iovlen = 1;
    let (fd, flags) = (server.as_raw_fd(), libc::MSG_PEEK);
    // SAFETY: one message with one buffer, all of which outlive the call.
    let n = unsafe { libc::recvmmsg(fd, &raw mut message, 1, flags, std::ptr::null_mut()) };
    assert_eq!(n, 1);
    message.msg_len
}

#[test]
fn messages_that_are_looked_at_only_have_not_moved() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    assert_eq!(peek_messages(&server) as usize, HEAD.len());
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    let seen = rig.seen(port(&server), |s| s.has(IN, HEAD.len()));
    assert_eq!(seen.bytes(IN), HEAD);
    assert_eq!(seen.holes(IN), []);
}

/// One thread's long write waits for room; another's short ones get in between and end first.
#[test]
fn a_call_that_was_overtaken_moves_no_offset_too_far() {
    // More than a socket's buffers hold, both ends together.
    const LONG: usize = 64 << 20;
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    let mut writer = client.try_clone().unwrap();
    let long = std::thread::spawn(move || writer.write(&vec![b'x'; LONG]).unwrap());
    let (mut read, mut short) = (0, 0);
    let mut buffer = vec![0; 64 << 10];
    // For as long as so little was read the write is under way.
    while read < LONG / 2 {
        read += server.read(&mut buffer).unwrap();
        if read > 1 << 20 && short < 1000 {
            short += usize::from(rustix::net::send(&client, b"y", SendFlags::DONTWAIT).is_ok());
        }
    }
    let reader = std::thread::spawn(move || std::io::copy(&mut server, &mut std::io::sink()));
    assert_eq!(long.join().unwrap(), LONG);
    assert!(short > 0, "nothing got in between");
    client.write_all(b"end").unwrap();
    let total = (HEAD.len() + LONG + short + 3) as u64;
    let end = |s: &Seen| s.data.iter().map(|d| d.1 + d.2).max().unwrap_or(0);
    let seen = rig.seen(port(&client), |s| end(s) >= total);
    assert_eq!(end(&seen), total);
    client.shutdown(Shutdown::Both).unwrap();
    reader.join().unwrap().unwrap();
}

#[test]
fn a_long_write_comes_in_pieces_up_to_its_credit_and_then_its_tail() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        all
    });
    let mut body = HEAD.to_vec();
    body.extend((0..3_000_000u32).map(|n| (n % 251) as u8));
    client.write_all(&body).unwrap();
    let local = port(&client);
    drop(client);
    assert_eq!(reader.join().unwrap(), body);
    let seen = rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    let mut next = 0;
    for (_, offset, len, bytes) in seen.data.iter().filter(|d| d.0 == OUT) {
        assert!(*offset >= next, "offsets go back");
        assert!(bytes.len() as u64 <= *len);
        let at = usize::try_from(*offset).unwrap();
        assert_eq!(bytes[..], body[at..at + bytes.len()]);
        next = offset + len;
    }
    assert_eq!(next, body.len() as u64);
    assert_eq!(
        seen.bytes(OUT)[..usize::try_from(CREDIT).unwrap()],
        body[..usize::try_from(CREDIT).unwrap()]
    );
    assert!(!seen.holes(OUT).is_empty());
    assert_eq!(seen.bytes(OUT).last(), body.last());
}

#[test]
fn an_answer_runs_on_beyond_its_credit_while_the_ring_has_room() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    let local = port(&client);
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\n\r\n";
    let body = vec![b'x'; 8 << 10];
    let writer = std::thread::spawn(move || {
        server.write_all(answer).unwrap();
        // Beyond the credit, but less than makes the ring half full on both sides.
        for _ in 0..CREDIT / (8 << 10) + 20 {
            server.write_all(&body).unwrap();
        }
        server
    });
    let mut all = Vec::new();
    let n = answer.len() + (CREDIT as usize) + 20 * (8 << 10);
    all.resize(n, 0);
    client.read_exact(&mut all).unwrap();
    let seen = rig.seen(local, |s| s.has(IN, n));
    assert_eq!(seen.bytes(IN).len(), n);
    assert_eq!(seen.holes(IN), []);
    drop((client, writer.join().unwrap()));
}

#[test]
fn the_programs_for_older_kernels_record_long_writes_too() {
    let mut rig = Rig::older();
    let (mut client, mut server) = pair();
    let body: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
    });
    client.write_all(HEAD).unwrap();
    client.write_all(&body).unwrap();
    let want = [HEAD, &body].concat();
    let seen = rig.seen(port(&client), |s| s.has(OUT, want.len()));
    assert_eq!(seen.bytes(OUT), want);
    drop(client);
    reader.join().unwrap();
}

#[test]
fn a_grant_lifts_the_credit() {
    let mut rig = Rig::new(POLICY_FULL);
    // What was granted to connections that are gone does not stand in the way.
    for gone in 1..=2 * u64::from(CONNECTIONS) {
        rig.feed.grant(gone, Grant::default());
    }
    let (mut client, mut server) = pair();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
    });
    client.write_all(HEAD).unwrap();
    let local = port(&client);
    let conn = rig.seen(local, |s| s.has(OUT, HEAD.len())).conn;
    rig.feed.grant(
        conn,
        Grant {
            until: [0, u64::MAX],
            ..Grant::default()
        },
    );
    let body = vec![b'x'; 2 << 20];
    let at_once = if rig.control.has_loops() {
        body.len()
    } else {
        1 << 20
    };
    for part in body.chunks(at_once) {
        client.write_all(part).unwrap();
    }
    // The records above were taken; the ones from here on carry the same connection.
    let mut bytes = 0;
    let end = Instant::now() + PATIENCE;
    while bytes < body.len() && Instant::now() < end {
        rig.feed.drain(10_000, |raw| {
            let (header, captured) = Header::parse(raw).unwrap();
            if header.conn == conn && header.direction == OUT {
                assert_eq!(captured.len() as u64, header.len);
                bytes += captured.len();
            }
        });
        rig.feed.wait(Duration::from_millis(20)).unwrap();
    }
    assert_eq!(bytes, body.len());
    drop(client);
    reader.join().unwrap();
}

#[test]
fn a_tunnel_that_nobody_reads_costs_nothing_more() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    let seen = rig.seen(port(&client), |s| s.has(OUT, HEAD.len()));
    let tunnel = Grant {
        ignore: 1,
        ..Grant::default()
    };
    rig.feed.grant(seen.conn, tunnel);
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    let piece = vec![b'x'; 64 << 10];
    let mut sink = piece.clone();
    for _ in 0..40 {
        client.write_all(&piece).unwrap();
        server.read_exact(&mut sink).unwrap();
    }
    client.shutdown(Shutdown::Both).unwrap();
    drop(client);
    let local = seen.open.unwrap().local_port;
    let seen = rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    let end = seen.data.iter().map(|d| d.1 + d.2).max().unwrap();
    assert!(end <= CREDIT + (128 << 10), "{end}");
    assert!(seen.events.iter().any(|e| e.0 == Kind::Closed));
}

#[test]
fn bytes_that_another_way_moved_are_a_hole() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    let mut file = std::fs::File::open("/proc/self/exe").unwrap();
    // Linux copies a file to a socket by sendfile or splice: no bytes pass through user memory.
    let sent = std::io::copy(&mut (&mut file).take(1000), &mut client).unwrap();
    client.write_all(b"after").unwrap();
    let mut got = vec![0; HEAD.len() + 1005];
    server.read_exact(&mut got).unwrap();
    let seen = rig.seen(port(&client), |s| s.bytes(OUT).ends_with(b"after"));
    let unseen: u64 = seen.holes(OUT).iter().map(|hole| hole.1).sum();
    let captured = seen.bytes(OUT).len() as u64;
    assert_eq!(sent, 1000);
    assert_eq!(captured + unseen, got.len() as u64, "{:?}", seen.holes(OUT));
    assert!(seen.bytes(OUT).starts_with(HEAD));
}

#[test]
fn an_older_connection_is_late_and_keeps_its_offsets() {
    let (mut client, mut server) = pair();
    client.write_all(&[b'x'; 300]).unwrap();
    server.read_exact(&mut [0; 300]).unwrap();
    let mut rig = Rig::new(POLICY_FULL);
    client.write_all(HEAD).unwrap();
    let seen = rig.seen(port(&client), |s| s.has(OUT, HEAD.len()));
    assert_eq!(
        seen.open.unwrap().flags & probe_common::record::LATE,
        probe_common::record::LATE
    );
    assert_eq!(seen.bytes(OUT), HEAD);
    // The connecting side's SYN counts as one.
    assert!(matches!(seen.data[0].1, 300 | 301), "{}", seen.data[0].1);
}

#[test]
fn the_first_byte_of_a_head_that_was_read_alone_is_not_lost() {
    let (mut client, mut server) = pair();
    client.write_all(&[b'x'; 300]).unwrap();
    server.read_exact(&mut [0; 300]).unwrap();
    let mut rig = Rig::new(POLICY_FULL);
    client.write_all(HEAD).unwrap();
    // As Go's HTTP server waits for the next request.
    server.read_exact(&mut [0; 1]).unwrap();
    server.read_exact(&mut [0; HEAD.len() - 1]).unwrap();
    let seen = rig.seen(port(&server), |s| s.has(IN, HEAD.len()));
    assert_eq!(seen.bytes(IN), HEAD);
    assert_eq!((seen.data[0].1, seen.data[0].2), (300, 1));
    assert_eq!(seen.data[1].1, 301);
}

#[test]
fn a_process_that_is_off_and_what_is_not_http_leave_no_record() {
    let mut rig = Rig::new(POLICY_OFF);
    // The tap is there for somebody else.
    rig.opt_in(1);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    rig.opt_in(std::process::id());
    let (mut other, mut peer) = pair();
    other.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    peer.read_exact(&mut [0; 14]).unwrap();
    other.write_all(HEAD).unwrap();
    let (mut last, _peer) = pair();
    last.write_all(HEAD).unwrap();
    let mut all = Vec::new();
    let end = Instant::now() + PATIENCE;
    while !all
        .iter()
        .any(|s: &Seen| s.open.is_some_and(|o| o.local_port == port(&last)))
    {
        assert!(Instant::now() < end, "the last connection was not seen");
        rig.feed.drain(10_000, |raw| take(&mut all, raw));
        rig.feed.wait(Duration::from_millis(20)).unwrap();
    }
    let opened = all.iter().filter(|seen| seen.open.is_some());
    assert_eq!(opened.count(), 1, "{all:?}");
}

#[test]
fn ends_are_told_with_who_made_them() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    server.write_all(b"HTTP/1.1 200 OK\r\n\r\nbody").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    let (c, s) = (port(&client), port(&server));
    drop((client, server));
    let seen = rig.seen(c, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    assert_eq!(seen.events, [(Kind::HalfClosed, IN), (Kind::Closed, OUT)]);
    assert_eq!(seen.holes(IN), [], "a FIN is no byte");
    let seen = rig.seen(s, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    assert_eq!(seen.events.first(), Some(&(Kind::HalfClosed, OUT)));
}

/// An answer and then a reset, both before the client reads.
fn answered_and_reset(rig: &mut Rig) -> (TcpStream, &'static [u8]) {
    const ANSWER: &[u8] = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\n\r\n";
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    server.write_all(ANSWER).unwrap();
    rustix::net::sockopt::set_socket_linger(&server, Some(Duration::ZERO)).unwrap();
    let local = port(&server);
    drop(server);
    rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    (client, ANSWER)
}

#[test]
fn what_was_unread_at_a_reset_comes_before_the_end() {
    let mut rig = Rig::new(POLICY_FULL);
    let (mut client, answer) = answered_and_reset(&mut rig);
    let local = port(&client);
    let seen = rig.seen(local, |s| s.has(OUT, HEAD.len()));
    assert_eq!(seen.events, [], "not over yet");
    client.read_exact(&mut vec![0; answer.len()]).unwrap();
    let seen = rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    assert_eq!(seen.bytes(IN), answer);
    assert_eq!(seen.events, [(Kind::Closed, IN)]);
}

#[test]
fn a_reset_whose_bytes_are_never_read_ends_with_the_socket() {
    let mut rig = Rig::new(POLICY_FULL);
    let (client, _) = answered_and_reset(&mut rig);
    let local = port(&client);
    drop(client);
    let seen = rig.seen(local, |s| s.events.iter().any(|e| e.0 == Kind::Closed));
    assert_eq!(seen.events, [(Kind::Closed, IN)]);
}

#[test]
fn a_connection_whose_opening_was_refused_is_told_at_its_next_head() {
    let mut rig = Rig::with_ring(POLICY_FULL, 1 << 16);
    let (mut noise, _peer) = pair();
    noise.write_all(HEAD).unwrap();
    // As much as the ring holds.
    noise.write_all(&vec![b'x'; 1 << 16]).unwrap();
    for _ in 0..1000 {
        noise.write_all(b"small").unwrap();
    }
    // What is left has no room for data, but for a few openings.
    let mut others: Vec<_> = (0..4).map(|_| pair()).collect();
    for (other, _) in &mut others {
        other.write_all(HEAD).unwrap();
    }
    let (mut client, mut server) = pair();
    client.write_all(HEAD).unwrap();
    server.read_exact(&mut [0; HEAD.len()]).unwrap();
    assert!(rig.seen(port(&noise), |_| true).open.is_some());
    server.write_all(b"HTTP/1.1 204 No\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 19]).unwrap();
    client.write_all(HEAD).unwrap();
    let seen = rig.seen(port(&client), |s| s.has(OUT, HEAD.len()));
    assert_eq!(seen.bytes(OUT), HEAD);
    let open = seen.open.unwrap();
    assert_ne!(open.flags & probe_common::record::LATE, 0);
}

#[test]
fn a_thread_that_starts_a_program_does_not_end_its_process() {
    let mut rig = Rig::new(POLICY_FULL);
    let script = "import os, threading\n\
        threading.Thread(target=lambda: os.execv('/bin/true', ['true'])).start()\n\
        threading.Event().wait()";
    let mut child = std::process::Command::new("python3")
        .args(["-c", script])
        .spawn()
        .unwrap();
    let tgid = child.id();
    child.wait().unwrap();
    let mut seen = Vec::new();
    let end = Instant::now() + PATIENCE;
    while !seen.contains(&Kind::Exit) && Instant::now() < end {
        rig.feed.drain(100_000, |raw| {
            let (header, _) = Header::parse(raw).unwrap();
            let kind = Kind::from_u8(header.kind).unwrap();
            if header.tgid == tgid && matches!(kind, Kind::Exec | Kind::Exit) {
                seen.push(kind);
            }
        });
        rig.feed.wait(Duration::from_millis(20)).unwrap();
    }
    assert!(seen.ends_with(&[Kind::Exec, Kind::Exit]), "{seen:?}");
    assert_eq!(seen.iter().filter(|kind| **kind == Kind::Exit).count(), 1);
}

#[test]
fn the_socket_tap_is_attached_only_while_somebody_is_opted_in() {
    let mut rig = Rig::new(POLICY_OFF);
    assert!(!rig.control.taps_sockets());
    rig.opt_in(std::process::id());
    let (mut client, _server) = pair();
    client.write_all(HEAD).unwrap();
    assert!(
        rig.seen(port(&client), |s| s.has(OUT, HEAD.len()))
            .open
            .is_some()
    );
    rig.control.rest().unwrap();
    assert!(!rig.control.taps_sockets());
    client.write_all(HEAD).unwrap();
    rig.opt_in(std::process::id());
    client.write_all(HEAD).unwrap();
    let n = 2 * HEAD.len();
    let seen = rig.seen(port(&client), |s| s.has(OUT, n));
    assert_eq!(
        seen.bytes(OUT).len(),
        n,
        "what was sent meanwhile is not recorded"
    );
    assert_eq!(
        seen.holes(OUT),
        [(HEAD.len() as u64, HEAD.len() as u64)],
        "but told as a hole"
    );
}

#[test]
fn the_counters_of_the_kernel_half_can_be_read() {
    let rig = Rig::new(POLICY_OFF);
    assert_eq!(
        rig.control.counters()[probe_common::maps::counter::RING_FULL as usize],
        0
    );
    assert_eq!(capture::NO_TURN, 2);
}
