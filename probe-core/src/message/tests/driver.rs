//! Scripts of what two ends do, and a handler that checks the rules and takes notes.

use crate::ids::{Context, Direction, Nanos, Role};
use crate::message::{
    Closed, Connection, End, ExchangeIndex, Handler, Interest, Piece, RequestHead, ResponseHead,
};

/// What happens next on the connection; each step happens at its own place in the script.
#[derive(Clone, Debug)]
pub(super) enum Do {
    /// The client sends.
    C(Vec<u8>),
    /// The server sends.
    S(Vec<u8>),
    /// So many bytes of the client's were not captured.
    HoleC(u64),
    /// So many bytes of the server's were not captured.
    HoleS(u64),
    /// The client sends no more.
    FinC,
    /// The server sends no more.
    FinS,
    /// The connection is gone.
    Close(Closed),
}

pub(super) fn c(bytes: impl AsRef<[u8]>) -> Do {
    Do::C(bytes.as_ref().to_vec())
}

pub(super) fn s(bytes: impl AsRef<[u8]>) -> Do {
    Do::S(bytes.as_ref().to_vec())
}

/// How records are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    None,
    /// Each in two, here.
    At(usize),
    /// Into single bytes.
    Bytes,
}

/// What was seen of one exchange. Adjoining bytes and gaps are joined. Times are places in the
/// script, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) request: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) begun: Nanos,
    pub(super) request_body: String,
    pub(super) request_end: Option<Nanos>,
    pub(super) status: Option<u16>,
    pub(super) answered: Option<Nanos>,
    pub(super) body: String,
    pub(super) blurred: Option<Nanos>,
    pub(super) end: Option<(End, Nanos)>,
}

/// Takes notes, and panics when the rules of [`Handler`] are broken.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) seen: Vec<Seen>,
    pub(super) heads_only: bool,
    pub(super) pieces: usize,
    undecodable: Vec<(ExchangeIndex, bool)>,
}

impl Notes {
    fn open(&mut self, x: ExchangeIndex) -> &mut Seen {
        let seen = self.seen.get_mut(x as usize).expect("a head comes first");
        assert_eq!(seen.end, None, "nothing comes after the end of {x}");
        seen
    }

    fn piece(&mut self, x: ExchangeIndex, of_request: bool, piece: Piece<'_>) {
        assert!(!self.heads_only, "a body that nobody wants");
        assert!(
            !self.undecodable.contains(&(x, of_request)),
            "bytes after undecodable"
        );
        self.pieces += 1;
        if piece == Piece::Undecodable {
            self.undecodable.push((x, of_request));
        }
        let seen = self.open(x);
        let text = if of_request {
            &mut seen.request_body
        } else {
            &mut seen.body
        };
        match piece {
            Piece::Bytes(bytes) => {
                assert!(!bytes.is_empty(), "an empty piece");
                text.push_str(
                    &bytes
                        .iter()
                        .map(|&byte| char::from(byte))
                        .collect::<String>(),
                );
            }
            Piece::Gap(n) => {
                assert!(n > 0, "an empty gap");
                add_gap(text, n);
            }
            Piece::Undecodable => text.push_str("<undecodable>"),
        }
    }
}

/// Appends `<n>`, or adds to one that stands at the end.
fn add_gap(text: &mut String, n: u64) {
    let before = text
        .strip_suffix('>')
        .and_then(|rest| rest.rsplit_once('<'));
    let (kept, sum) = match before.and_then(|(kept, old)| Some((kept, old.parse::<u64>().ok()?))) {
        Some((kept, old)) => (kept.to_owned(), old.saturating_add(n)),
        None => (text.clone(), n),
    };
    *text = format!("{kept}<{sum}>");
}

impl Handler for Notes {
    fn request_head(&mut self, x: ExchangeIndex, head: &RequestHead<'_>, _: Role) -> Interest {
        assert_eq!(
            x as usize,
            self.seen.len(),
            "exchanges are numbered in order"
        );
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.seen.push(Seen {
            request: format!("{} {}", head.method, head.target),
            fields: head
                .headers
                .iter()
                .map(|(n, v)| (n.to_owned(), text(v)))
                .collect(),
            begun: head.at,
            ..Seen::default()
        });
        if self.heads_only {
            Interest::Heads
        } else {
            Interest::Full
        }
    }

    fn request_body(&mut self, x: ExchangeIndex, piece: Piece<'_>, _: Nanos) {
        assert_eq!(self.open(x).request_end, None, "a body after its end");
        self.piece(x, true, piece);
    }

    fn request_end(&mut self, x: ExchangeIndex, at: Nanos) {
        assert_eq!(
            self.open(x).request_end.replace(at),
            None,
            "two ends of a request"
        );
    }

    fn response_head(&mut self, x: ExchangeIndex, head: &ResponseHead<'_>) {
        let seen = self.open(x);
        assert_eq!(seen.status.replace(head.status), None, "two responses");
        seen.answered = Some(head.at);
    }

    fn response_body(&mut self, x: ExchangeIndex, piece: Piece<'_>, _: Nanos) {
        assert!(self.open(x).status.is_some(), "a body before its head");
        self.piece(x, false, piece);
    }

    fn response_blurred(&mut self, x: ExchangeIndex, at: Nanos) {
        self.open(x).blurred.get_or_insert(at);
    }

    fn end(&mut self, x: ExchangeIndex, end: End, at: Nanos) {
        self.open(x).end = Some((end, at));
    }
}

/// Plays a script as the process in `role` sees it.
pub(super) struct Stage {
    pub(super) connection: Connection,
    pub(super) notes: Notes,
    role: Role,
    cut: Cut,
    now: Nanos,
}

impl Stage {
    pub(super) fn new(role: Role, late: bool, cut: Cut) -> Self {
        let connection = Connection::new(late);
        Self {
            connection,
            notes: Notes::default(),
            role,
            cut,
            now: 0,
        }
    }

    pub(super) fn play(&mut self, script: &[Do]) -> &mut Self {
        let client = match self.role {
            Role::Client => Direction::Out,
            Role::Server => Direction::In,
        };
        for step in script {
            self.now += 1;
            let Self {
                connection,
                notes,
                now,
                ..
            } = self;
            match step {
                Do::C(bytes) => self.send(client, bytes),
                Do::S(bytes) => self.send(client.flip(), bytes),
                Do::HoleC(n) => connection.gap(client, *n, *now, notes),
                Do::HoleS(n) => connection.gap(client.flip(), *n, *now, notes),
                Do::FinC => connection.half_closed(client, *now, notes),
                Do::FinS => connection.half_closed(client.flip(), *now, notes),
                Do::Close(why) => connection.closed(*now, *why, notes),
            }
        }
        self
    }

    fn send(&mut self, direction: Direction, bytes: &[u8]) {
        let parts: Vec<&[u8]> = match self.cut {
            Cut::None => vec![bytes],
            Cut::At(at) => {
                let (one, two) = bytes.split_at(at.min(bytes.len()));
                vec![one, two]
            }
            Cut::Bytes => bytes.chunks(1).collect(),
        };
        for part in parts {
            self.connection.data(
                direction,
                part,
                self.now,
                Context::default(),
                &mut self.notes,
            );
        }
    }
}

/// Plays a script uncut as the client.
pub(super) fn play(script: &[Do]) -> Vec<Seen> {
    Stage::new(Role::Client, false, Cut::None)
        .play(script)
        .notes
        .seen
        .clone()
}

/// Plays a script from both ends, whole, cut at every position and byte by byte; all must
/// agree on what was seen.
pub(super) fn play_all_ways(script: &[Do]) -> Vec<Seen> {
    let wanted = play(script);
    let longest = script.iter().map(|step| match step {
        Do::C(bytes) | Do::S(bytes) => bytes.len(),
        _ => 0,
    });
    let cuts = (0..longest.max().unwrap_or(0))
        .map(Cut::At)
        .chain([Cut::Bytes]);
    for cut in cuts {
        for role in [Role::Client, Role::Server] {
            let mut stage = Stage::new(role, false, cut);
            let seen = &stage.play(script).notes.seen;
            assert_eq!(seen, &wanted, "{cut:?} as {role:?}");
        }
    }
    wanted
}

/// The exchange in one line: request, its body, status, its body, end.
pub(super) fn line(seen: &Seen) -> String {
    let Seen {
        request,
        request_body,
        status,
        body,
        end,
        ..
    } = seen;
    let status = status.map_or("-".to_owned(), |status| status.to_string());
    let end = end.map_or("open".to_owned(), |(end, _)| format!("{end:?}"));
    format!("{request} [{request_body}] {status} [{body}] {end}")
}

pub(super) fn lines(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(line).collect()
}
