//! The kernel half on this kernel: what it records against what a socket really did.
//!
//! The test process opts itself in and talks to itself over loopback. Needs root; without it the
//! tests fail, because a probe that cannot be loaded is not tested.

mod credit;
mod ends;
mod offsets;
mod processes;
mod transfers;
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
        Self::after(|| (), policy).1
    }

    /// Whatever `earlier` does is done before the process is opted in. The tests are one process,
    /// so it would else be seen for another test.
    fn after<T>(earlier: impl FnOnce() -> T, policy: u32) -> (T, Self) {
        let mut next = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = next
            .take()
            .unwrap_or_else(|| Loaded::with((None, tap()), RING));
        let done = earlier();
        (done, Self::of(loaded, policy, next, true))
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

/// A pair over which bytes have gone that are no head.
fn used_pair() -> (TcpStream, TcpStream) {
    let (mut client, mut server) = pair();
    client.write_all(&[b'x'; 300]).unwrap();
    server.read_exact(&mut [0; 300]).unwrap();
    (client, server)
}

const HEAD: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n";
