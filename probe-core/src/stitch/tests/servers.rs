//! Servers as they are, with random requests: no parent is wrong, whatever meets whatever.

use std::collections::HashMap;

use proptest::prelude::*;

use super::inside::*;
use super::world::*;
use crate::ids::{Context, Nanos};
use crate::span::SpanKind;

/// Where a server reads and works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// uvicorn on asyncio: reads in a context of the connection, a task for each request.
    TaskPerRequest,
    /// aiohttp on asyncio: the same, a task for each connection.
    TaskPerConnection,
    /// uvicorn on uvloop: reads outside, a task for each request.
    SharedReader,
    /// aiohttp on uvloop: reads outside, a task for each connection.
    SharedReaderTask,
    /// A task for each connection that is made at its first request.
    LazyTask,
    /// One thread for each connection.
    Thread,
}

/// Who makes a call.
#[derive(Clone, Copy, Debug)]
enum By {
    Task,
    Child,
    GrandChild,
    /// A child, after the answer.
    Background,
}

#[derive(Clone, Debug)]
struct Request {
    pause: Nanos,
    /// Until the answer begins, and from then on.
    lasts: [Nanos; 2],
    /// When after the request's begin, for how long, by whom.
    calls: Vec<(Nanos, Nanos, By)>,
}

/// What happens next, in the order of time.
enum Event {
    Copy(u64, Vec<u64>),
    Ask(Served),
    Answer(Served),
    Over(Served),
    Call(u64, Nanos, Nanos, Context),
}

fn request() -> impl Strategy<Value = Request> {
    let by = prop_oneof![
        Just(By::Task),
        Just(By::Child),
        Just(By::GrandChild),
        Just(By::Background)
    ];
    let calls = prop::collection::vec((2..30_u64, 1..30_u64, by), 0..4);
    (1..20_u64, [1..50_u64, 1..20_u64], calls).prop_map(|(pause, lasts, calls)| Request {
        pause,
        lasts,
        calls,
    })
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![
        Just(Style::TaskPerRequest),
        Just(Style::TaskPerConnection),
        Just(Style::SharedReader),
        Just(Style::SharedReaderTask),
        Just(Style::LazyTask),
        Just(Style::Thread),
    ]
}

/// Plays a server and its clients.
#[derive(Default)]
struct Play {
    events: Vec<(Nanos, Event)>,
    /// The request's path by the begin of the call.
    truth: HashMap<Nanos, String>,
    contexts: u64,
    calls: u64,
}

/// The context that everything began in, long before any connection.
const MAIN: u64 = 7;

impl Play {
    fn copy(&mut self, at: Nanos, line: &[u64]) -> u64 {
        self.contexts += 1;
        let token = at * MS + self.contexts;
        self.events.push((at, Event::Copy(token, line.to_vec())));
        token
    }

    fn connection(&mut self, style: Style, conn: u64, accepted: Nanos, requests: &[Request]) {
        let shared = vec![MAIN];
        let own = matches!(style, Style::TaskPerRequest | Style::TaskPerConnection);
        let root = if own {
            let root = self.copy(accepted + 1, &shared);
            vec![root, MAIN]
        } else {
            shared
        };
        let reader = if own {
            self.copy(accepted + 1, &root)
        } else {
            MAIN
        };
        let task = self.copy(accepted + 2, &root);
        let mut lazy = 0;
        let mut now = accepted + 3;
        for (exchange, request) in (0..).zip(requests) {
            now += request.pause;
            let works = match style {
                Style::TaskPerRequest => {
                    let line = [&[reader], root.as_slice()].concat();
                    [&[self.copy(now + 1, &line)], line.as_slice()].concat()
                }
                Style::SharedReader => [&[self.copy(now + 1, &root)], root.as_slice()].concat(),
                Style::TaskPerConnection | Style::SharedReaderTask => {
                    [&[task], root.as_slice()].concat()
                }
                Style::LazyTask => {
                    if lazy == 0 {
                        lazy = self.copy(now + 1, &root);
                    }
                    [&[lazy], root.as_slice()].concat()
                }
                Style::Thread => Vec::new(),
            };
            now = self.request(conn, exchange, now, request, reader, &works);
        }
    }

    /// One request; gives the time of its end.
    fn request(
        &mut self,
        conn: u64,
        exchange: u64,
        start: Nanos,
        request: &Request,
        reader: u64,
        works: &[u64],
    ) -> Nanos {
        let answer = start + request.lasts[0];
        let end = answer + request.lasts[1];
        let tid = u32::try_from(conn).expect("small");
        let mut served = match works.first() {
            Some(task) => served(conn, start, answer).by(*task),
            None => served(conn, start, answer).thread(tid),
        };
        if !works.is_empty() {
            served.reader = inside(reader);
        }
        served.exchange = exchange;
        self.events.push((start, Event::Ask(served)));
        self.events.push((answer, Event::Answer(served)));
        self.events.push((end, Event::Over(served)));
        for (after, lasts, by) in &request.calls {
            let background = matches!(by, By::Background) && !works.is_empty();
            let mut from = start + after;
            if background {
                from += request.lasts[0];
            } else {
                from = from.min(answer.saturating_sub(1)).max(start);
            }
            let context = self.context(start, answer, from, *by, works, tid);
            self.calls += 1;
            // The begin of each call is one of its own, for the judge.
            let begin = from * MS + self.calls;
            let path = format!("/{conn}/{exchange}");
            self.truth.insert(begin, path);
            let call = Event::Call(self.calls * 2, begin, from + lasts, context);
            self.events.push((from + lasts, call));
        }
        end
    }

    fn context(
        &mut self,
        start: Nanos,
        answer: Nanos,
        from: Nanos,
        by: By,
        works: &[u64],
        tid: u32,
    ) -> Context {
        if works.is_empty() {
            return Context {
                tid,
                token: 0,
                blocking: false,
            };
        }
        let birth = (start + 1).min(from);
        let depth = match by {
            By::Task => 0,
            By::Child | By::Background => 1,
            By::GrandChild => 2,
        };
        let birth = if matches!(by, By::Background) {
            birth.max(answer.saturating_sub(1))
        } else {
            birth
        };
        let mut line = works.to_vec();
        for _ in 0..depth {
            let token = self.copy(birth, &line);
            line.insert(0, token);
        }
        inside(line[0])
    }
}

fn play(w: &mut World, mut play: Play) -> HashMap<Nanos, String> {
    play.events.sort_by_key(|(at, _)| *at);
    copy(w, MAIN, &[]);
    for (at, event) in play.events {
        match event {
            Event::Copy(token, line) => copy(w, token, &line),
            Event::Ask(served) => drop(served.ask(w)),
            Event::Answer(served) => drop(served.answer(w)),
            Event::Over(served) => served.over_at(w, at),
            Event::Call(conn, begin, end, context) => {
                w.open(&pair(1000 + conn, 1, 9)[0]);
                let mut call = ask_model(1000 + conn, 0, end, context);
                call.start = begin;
                w.run(&call);
            }
        }
        w.tick(at * MS);
    }
    play.truth
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_parent_is_wrong(
        style in style(),
        connections in prop::collection::vec(
            (1..40_u64, prop::collection::vec(request(), 1..4)),
            1..5,
        ),
    ) {
        let servers: Vec<(u64, Nanos)> =
            (0..).zip(&connections).map(|(n, (at, _))| (21 + 2 * n, *at)).collect();
        let mut w = world(&[], &servers);
        let mut server = Play::default();
        for ((conn, accepted), (_, requests)) in servers.iter().zip(&connections) {
            server.connection(style, *conn, *accepted, requests);
        }
        let truth = play(&mut w, server);
        check(&w.spans, &[]);
        prop_assert_eq!(w.stitcher.counters().contradicted, 0);
        for (begin, path) in truth {
            let client = w.spans.iter().find(|s| s.kind == SpanKind::Client && s.start == begin);
            let client = client.expect("all answers are there, so nobody waits");
            let parent = w.spans.iter().find(|s| Some(s.id) == client.parent);
            let found = parent.and_then(|s| text(s, "url.path"));
            let must = style != Style::LazyTask;
            prop_assert!(found == Some(&path) || (!must && found.is_none()),
                "{:?}: {:?} for {}", style, found, path);
        }
    }
}
