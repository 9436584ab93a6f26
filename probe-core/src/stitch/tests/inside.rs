//! Parents inside a process: by thread, by context, inferred, and none.

use super::world::*;
use crate::call::{Answered, Asked, Call, ExchangeKey, HttpFacts};
use crate::ids::{ANCESTORS, ConnId, Context, ContextInfo, Nanos, Role};
use crate::message::End;
use crate::span::Span;

/// A request to process 1 on connection `conn`, from `start` to `end` milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Served {
    conn: u64,
    pub(super) exchange: u64,
    start: Nanos,
    pub(super) end: Nanos,
    pub(super) reader: Context,
    writer: Context,
}

pub(super) fn served(conn: u64, start: Nanos, end: Nanos) -> Served {
    Served {
        conn,
        exchange: 0,
        start,
        end,
        reader: Context::default(),
        writer: Context::default(),
    }
}

impl Served {
    pub(super) const fn key(self) -> ExchangeKey {
        ExchangeKey {
            conn: ConnId(self.conn),
            exchange: self.exchange,
        }
    }

    pub(super) fn thread(self, tid: u32) -> Self {
        let context = Context {
            tid,
            token: 0,
            blocking: true,
        };
        Self {
            reader: context,
            writer: context,
            ..self
        }
    }

    pub(super) fn by(self, token: u64) -> Self {
        Self {
            writer: inside(token),
            ..self
        }
    }

    pub(super) fn ask(self, w: &mut World) -> Self {
        self.ask_with(w, HttpFacts::default())
    }

    fn ask_with(self, w: &mut World, http: HttpFacts) -> Self {
        self.head(w, http);
        w.stitcher.read(self.key(), None);
        self
    }

    /// Its head alone has come.
    pub(super) fn ask_unread(self, w: &mut World) {
        self.head(w, HttpFacts::default());
    }

    fn head(self, w: &mut World, http: HttpFacts) {
        w.stitcher.asked(Asked {
            key: self.key(),
            process: process(1),
            context: self.reader,
            at: self.start * MS,
            http: HttpFacts {
                method: "POST".to_owned(),
                path: format!("/{}/{}", self.conn, self.exchange),
                ..http
            },
            trace: None,
        });
    }

    pub(super) fn answer(self, w: &mut World) -> Self {
        w.stitcher.answered(&Answered {
            key: self.key(),
            context: self.writer,
            at: self.end * MS,
            status: 200,
        });
        self
    }

    pub(super) fn over(self, w: &mut World) {
        self.over_at(w, self.end);
    }

    pub(super) fn over_at(self, w: &mut World, ms: Nanos) {
        let at = ms * MS;
        w.stitcher
            .over(self.key(), End::Complete, at, at, &mut w.spans);
    }

    pub(super) const fn by_thread(&mut self, tid: u32) {
        self.writer.tid = tid;
    }

    pub(super) fn finish(self, w: &mut World) {
        self.answer(w).over(w);
    }
}

pub(super) fn inside(token: u64) -> Context {
    Context {
        tid: 1,
        token,
        blocking: false,
    }
}

/// A context that was born at so many milliseconds.
pub(super) const fn born(ms: u64, cpu: u64) -> u64 {
    (cpu << 56) | (ms * MS)
}

pub(super) fn copy(w: &mut World, token: u64, line: &[u64]) {
    let mut ancestors = [0; ANCESTORS];
    ancestors[..line.len()].copy_from_slice(line);
    w.stitcher.context(&ContextInfo { token, ancestors });
}

/// A call of process 1 on connection `conn`, made in this context.
pub(super) fn ask_model(conn: u64, start: Nanos, end: Nanos, context: Context) -> Call {
    Call {
        context,
        ..chat(conn, 1, Role::Client, start, end)
    }
}

pub(super) fn world(clients: &[u64], servers: &[(u64, Nanos)]) -> World {
    let mut w = World::new();
    for conn in clients {
        w.open(&pair(*conn, 1, 9)[0]);
    }
    for (conn, accepted) in servers {
        let mut info = pair(*conn - 1, 8, 1)[1].clone();
        info.accepted = Some(accepted * MS);
        w.open(&info);
    }
    w
}

/// How the call on this connection found its parent, and the path of the parent's request.
pub(super) fn parent(w: &World, start: Nanos) -> (&str, Option<&str>) {
    let found = w
        .spans
        .iter()
        .find(|s| s.kind == crate::span::SpanKind::Client && s.start == start * MS)
        .expect("the call has left");
    let of = |span: &&Span| Some(span.id) == found.parent;
    let parent = w.spans.iter().find(of).map(|s| {
        assert_eq!(s.trace, found.trace, "one trace");
        text(s, "url.path").expect("a server's span")
    });
    (text(found, "telemetry.kaos.parent").unwrap(), parent)
}

#[test]
fn a_thread_that_waits_for_its_request_works_for_it() {
    let mut w = world(&[0, 2], &[(21, 1), (23, 1)]);
    let (a, b) = (
        served(21, 10, 50).thread(5).ask(&mut w),
        served(23, 11, 60).thread(6).ask(&mut w),
    );
    let by = |tid| Context {
        tid,
        token: 0,
        blocking: false,
    };
    w.run(&ask_model(0, 20, 30, by(6)));
    w.run(&ask_model(2, 21, 31, by(5)));
    assert!(w.spans.is_empty(), "who writes the answers is not known");
    a.finish(&mut w);
    b.finish(&mut w);
    assert_eq!(parent(&w, 20), ("exact", Some("/23/0")));
    assert_eq!(parent(&w, 21), ("exact", Some("/21/0")));
    check(&w.spans, &[]);
}

#[test]
fn a_thread_is_free_after_its_answer() {
    let mut w = world(&[0], &[(21, 1)]);
    served(21, 10, 50).thread(5).ask(&mut w).finish(&mut w);
    let by = Context {
        tid: 5,
        token: 0,
        blocking: false,
    };
    w.run(&ask_model(0, 60, 70, by));
    assert_eq!(parent(&w, 60), ("none", None));
    assert_eq!(w.stitcher.counters().idle, 1);
}

#[test]
fn a_thread_whose_request_another_answers_tells_nothing() {
    let mut w = world(&[0], &[(21, 1)]);
    let mut a = served(21, 10, 50).thread(5);
    a.writer.tid = 7;
    a.ask(&mut w);
    let by = Context {
        tid: 5,
        token: 0,
        blocking: false,
    };
    w.run(&ask_model(0, 20, 30, by));
    a.finish(&mut w);
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.counters().other, 1);
}

#[test]
fn who_writes_the_answer_made_the_calls() {
    // As uvicorn does it: a task for each request; the second call comes from a child.
    let mut w = world(&[0, 2, 4], &[(21, 1), (23, 1)]);
    let a = served(21, 10, 50).by(born(11, 1)).ask(&mut w);
    let b = served(23, 12, 60).by(born(13, 1)).ask(&mut w);
    let (root, child) = (1 << 63 | born(0, 1), born(14, 1));
    copy(&mut w, born(11, 1), &[root]);
    copy(&mut w, born(13, 1), &[root]);
    copy(&mut w, child, &[born(13, 1), root]);
    w.run(&ask_model(0, 20, 30, inside(born(11, 1))));
    w.run(&ask_model(2, 20, 30, inside(born(13, 1))));
    w.run(&ask_model(4, 22, 30, inside(child)));
    b.finish(&mut w);
    a.finish(&mut w);
    assert_eq!(parent(&w, 22), ("exact", Some("/23/0")));
    check(&w.spans, &[]);
    assert_eq!(w.stitcher.counters().exact, 3);
}

#[test]
fn a_task_of_a_connection_works_for_its_current_request() {
    // As aiohttp does it. What was begun during the first request stays with it.
    let mut w = world(&[0, 2, 4], &[(21, 1)]);
    let (task, background) = (born(2, 1), born(15, 1));
    copy(&mut w, task, &[]);
    copy(&mut w, background, &[task]);
    let first = served(21, 10, 30).by(task).ask(&mut w);
    w.run(&ask_model(0, 12, 14, inside(task)));
    first.finish(&mut w);
    let mut second = served(21, 40, 60).by(task);
    second.exchange = 1;
    second.ask(&mut w);
    w.run(&ask_model(2, 45, 47, inside(background)));
    w.run(&ask_model(4, 46, 48, inside(task)));
    second.finish(&mut w);
    assert_eq!(parent(&w, 12), ("exact", Some("/21/0")));
    assert_eq!(parent(&w, 45), ("inferred", Some("/21/0")));
    assert_eq!(parent(&w, 46), ("exact", Some("/21/1")));
    check(&w.spans, &[]);
}

#[test]
fn a_reader_that_was_made_during_an_earlier_request_is_not_its() {
    // Flow control makes asyncio add the reader again, inside the task of the first request.
    let mut w = world(&[0], &[(21, 1)]);
    let (one, reader, two) = (born(11, 1), born(12, 1), born(41, 1));
    copy(&mut w, one, &[]);
    copy(&mut w, reader, &[one]);
    copy(&mut w, two, &[reader, one]);
    served(21, 10, 30).by(one).ask(&mut w).finish(&mut w);
    let mut second = served(21, 40, 60).by(two);
    second.exchange = 1;
    second.ask(&mut w);
    w.run(&ask_model(0, 45, 46, inside(two)));
    second.finish(&mut w);
    assert_eq!(parent(&w, 45), ("exact", Some("/21/1")));
}

#[test]
fn what_several_connections_share_is_nobodys() {
    let mut w = world(&[0], &[(21, 5), (23, 5)]);
    let worker = born(6, 1);
    copy(&mut w, worker, &[]);
    let a = served(21, 10, 50).by(worker).ask(&mut w);
    let b = served(23, 11, 60).by(worker).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(worker)));
    a.finish(&mut w);
    assert!(w.spans.is_empty(), "the other answer is to come");
    b.finish(&mut w);
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.counters().shared, 1);
}

#[test]
fn what_is_older_than_the_connection_is_not_its_own() {
    let mut w = world(&[0], &[(21, 5)]);
    let (main, task, timer) = (born(1, 1), born(11, 1), born(3, 1));
    copy(&mut w, task, &[main]);
    copy(&mut w, timer, &[main]);
    let a = served(21, 10, 50).by(task).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(timer)));
    a.finish(&mut w);
    assert_eq!(
        parent(&w, 20),
        ("none", None),
        "a timer beside the requests"
    );
}

#[test]
fn a_context_that_is_known_and_matches_nothing_is_not_guessed_at() {
    let mut w = world(&[0], &[(21, 5)]);
    let a = served(21, 10, 50).by(born(11, 1)).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(born(3, 2))));
    a.finish(&mut w);
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.counters().other, 1);
}

#[test]
fn the_only_request_is_inferred_and_of_several_none() {
    let mut w = world(&[0, 2], &[(21, 5), (23, 5)]);
    let a = served(21, 10, 50).ask(&mut w);
    w.run(&ask_model(0, 20, 30, Context::default()));
    let b = served(23, 25, 60).ask(&mut w);
    w.run(&ask_model(2, 26, 30, Context::default()));
    a.finish(&mut w);
    b.finish(&mut w);
    assert_eq!(parent(&w, 20), ("inferred", Some("/21/0")));
    assert_eq!(parent(&w, 26), ("none", None));
    assert_eq!(w.stitcher.counters().several, 1);
    check(&w.spans, &[]);
}

#[test]
fn of_several_the_one_of_the_same_session_is_inferred() {
    let mut w = world(&[0], &[(21, 5), (23, 5)]);
    let session = |id: &str| HttpFacts {
        session_id: Some(id.to_owned()),
        ..HttpFacts::default()
    };
    let a = served(21, 10, 50).ask_with(&mut w, session("s1"));
    let b = served(23, 11, 60).ask_with(&mut w, session("s2"));
    let mut call = ask_model(0, 20, 30, Context::default());
    call.http.session_id = Some("s2".to_owned());
    w.run(&call);
    a.finish(&mut w);
    b.finish(&mut w);
    assert_eq!(parent(&w, 20), ("inferred", Some("/23/0")));
}

#[test]
fn a_call_of_an_agent_is_the_parent_in_one_trace() {
    // Client → agent (1) → model (9): the agent's span is the child of its client's.
    let mut w = World::new();
    w.connect(20, 8, 1);
    w.connect(0, 1, 9);
    let (asks, serves) = (
        chat(20, 8, Role::Client, 9, 70),
        chat(21, 1, Role::Server, 10, 60),
    );
    w.start(&asks);
    let request = served(21, 10, 60).thread(5).ask(&mut w);
    w.start(&serves);
    let mut inner = ask_model(0, 20, 30, Context::default());
    inner.context.tid = 5;
    let model = chat(1, 9, Role::Server, 21, 29);
    w.start(&inner);
    w.start(&model);
    w.end(&model);
    w.end(&inner);
    w.tick(1000 * MS);
    assert!(w.spans.is_empty(), "the trace is not known yet");
    request.answer(&mut w);
    w.end(&serves);
    request.over(&mut w);
    w.end(&asks);
    assert_eq!(w.spans.len(), 4);
    assert!(w.spans.iter().all(|s| s.trace == w.spans[0].trace));
    check(&w.spans, &[]);
}

#[test]
fn who_waits_when_the_process_ends_leaves() {
    let mut w = world(&[0], &[(21, 5)]);
    served(21, 10, 50).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(born(12, 1))));
    w.stitcher.process_gone(process(1), 40 * MS);
    w.tick(30_000 * MS);
    w.tick(30_001 * MS);
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.sizes().1, 0);
}

#[test]
fn at_the_end_nobody_waits() {
    let mut w = world(&[0], &[(21, 5)]);
    served(21, 10, 50).ask(&mut w);
    w.run(&ask_model(0, 20, 30, inside(born(12, 1))));
    assert!(w.spans.is_empty());
    w.drain();
    assert_eq!(parent(&w, 20), ("none", None));
    assert_eq!(w.stitcher.counters().crowded, 1);
}

#[test]
fn a_server_that_asks_inside_its_answer_asks_for_it() {
    let mut w = world(&[], &[(21, 5)]);
    let request = served(21, 10, 50).ask(&mut w);
    let mut sampling = ask_model(21, 20, 30, Context::default());
    sampling.key.part = 1;
    w.run(&sampling);
    request.finish(&mut w);
    assert_eq!(parent(&w, 20), ("exact", Some("/21/0")));
}

#[test]
fn a_call_is_not_made_for_its_own_other_end() {
    // A process that asks itself; the server's end reads before the client's write returns.
    let mut w = World::new();
    w.connect(20, 1, 1);
    let asks = chat(20, 1, Role::Client, 10, 60);
    let serves = chat(21, 1, Role::Server, 9, 50);
    let request = served(21, 9, 50).ask(&mut w);
    w.start(&asks);
    w.start(&serves);
    request.answer(&mut w);
    w.end(&serves);
    request.over(&mut w);
    w.end(&asks);
    w.tick(1000 * MS);
    assert_eq!(parent(&w, 10), ("none", None));
    assert_eq!(w.server(1).parent, Some(w.client(1).id));
}
