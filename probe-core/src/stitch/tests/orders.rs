//! Whatever comes in whatever order: the invariant holds and nothing is lost or doubled.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::world::*;
use crate::call::Call;
use crate::ids::{ConnId, ConnInfo, Nanos, ProcessId, Role};
use crate::message::End;
use crate::stitch::Counters;
use crate::trace_context::TraceContext;

/// What happens to one end of one exchange.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that may go wrong"
)]
struct Fate {
    seen: bool,
    started: bool,
    finished: bool,
    late: bool,
    closed: bool,
    mcp: bool,
    lost: bool,
    /// The trace context on its request, 0 for none.
    context: u8,
}

#[derive(Clone, Debug)]
enum Event {
    Open(ConnInfo),
    Start(Call),
    End(Call),
    Close(ConnId),
    Gone(ProcessId),
    Tick,
}

fn fate() -> impl Strategy<Value = Fate> {
    let mostly = || prop::bool::weighted(0.9);
    let rarely = || prop::bool::weighted(0.15);
    (
        mostly(),
        mostly(),
        mostly(),
        rarely(),
        rarely(),
        rarely(),
        rarely(),
        0_u8..4,
    )
        .prop_map(
            |(seen, started, finished, late, closed, mcp, lost, context)| Fate {
                seen,
                started,
                finished,
                late,
                closed,
                mcp,
                lost,
                context,
            },
        )
}

/// The events of both ends of connection `n`, between two of five processes.
fn events(n: u64, fates: &[Fate; 2]) -> Vec<Event> {
    let client = u32::try_from(n % 4).expect("small") + 1;
    let ends = pair(n * 2, client, client + 1);
    let mut events = Vec::new();
    for (end, (info, fate)) in ends.into_iter().zip(fates).enumerate() {
        let role = if end == 0 { Role::Client } else { Role::Server };
        let tgid = info.process.tgid;
        let (start, stop) = (10 + n, 100 - n);
        let mut call = chat(info.id.0, tgid, role, start, stop);
        if fate.mcp {
            call.kind = mcp("tools/call", Some("t"));
        }
        if fate.lost {
            call.ended = End::Lost;
        }
        if fate.context > 0 {
            call.trace = Some(wire(fate.context, fate.context & 1));
        }
        let id = info.id;
        if fate.seen {
            events.push(Event::Open(ConnInfo {
                late: fate.late,
                accepted: None,
                ..info
            }));
        }
        if fate.started {
            events.push(Event::Start(call.clone()));
        }
        if fate.finished {
            events.push(Event::End(call));
        }
        if fate.closed {
            events.push(Event::Close(id));
        }
        events.push(Event::Tick);
    }
    if fates[0].lost && fates[1].closed {
        events.push(Event::Gone(process(client)));
    }
    events
}

fn shuffle(events: &mut [Event], order: &[Index]) {
    for n in (1..events.len()).rev() {
        let other = order[n % order.len()].index(n + 1);
        events.swap(n, other);
    }
}

/// Runs the events as they stand; gives the calls that were finished.
fn play(w: &mut World, events: &[Event], step: Nanos) -> HashSet<crate::call::CallKey> {
    let mut finished = HashSet::new();
    let mut now = 0;
    for event in events {
        now += step;
        match event {
            Event::Open(info) => w.open(info),
            // The stage before never begins a call that has ended.
            Event::Start(call) if finished.contains(&call.key) => {}
            Event::Start(call) => w.start(call),
            Event::End(call) => {
                finished.insert(call.key);
                w.stitcher.finished(call.clone(), now, &mut w.spans);
            }
            Event::Close(id) => w.stitcher.connection_closed(*id, now),
            Event::Gone(id) => w.stitcher.process_gone(*id, now),
            Event::Tick => w.tick(now),
        }
    }
    finished
}

fn contexts() -> Vec<TraceContext> {
    (1..4).map(|n| wire(n, n & 1)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_span_names_a_parent_that_nobody_has(
        fates in prop::collection::vec([fate(), fate()], 1..8),
        order in prop::collection::vec(any::<Index>(), 60),
        step in prop_oneof![Just(0), Just(MS), Just(60 * MS)],
    ) {
        let mut w = World::new();
        let mut list: Vec<Event> =
            fates.iter().zip(0..).flat_map(|(f, n)| events(n, f)).collect();
        shuffle(&mut list, &order);
        let finished = play(&mut w, &list, step);
        w.drain();
        check(&w.spans, &contexts());
        let Counters { abandoned, .. } = w.stitcher.counters();
        // Each finished call is one span; the rest was named and never ended.
        let expected = finished.len() as u64 + abandoned;
        prop_assert_eq!(w.spans.len() as u64, expected);
        let (_, calls, _) = w.stitcher.sizes();
        prop_assert_eq!(calls, 0);
    }

    #[test]
    fn whatever_the_order_both_ends_join_and_the_model_counts_once(
        order in prop::collection::vec(any::<Index>(), 40),
        proxies in 0_u64..3,
    ) {
        // client 1 → … → model server, every process in between a proxy.
        let mut w = World::new();
        let mut opens = Vec::new();
        let mut list = Vec::new();
        for n in 0..=proxies {
            let client = u32::try_from(n).expect("small") + 1;
            opens.extend(pair(n * 2, client, client + 1));
            let (start, end) = (10 + 10 * n, 100 - 10 * n);
            for call in [
                chat(n * 2, client, Role::Client, start, end),
                chat(n * 2 + 1, client + 1, Role::Server, start + 1, end - 1),
            ] {
                list.push(Event::Start(call.clone()));
                list.push(Event::End(call));
            }
        }
        for info in &opens {
            w.open(info);
        }
        // Heads come before ends, as on the wire; otherwise any order.
        shuffle(&mut list, &order);
        list.sort_by_key(|e| matches!(e, Event::End(_)));
        play(&mut w, &list, 0);
        w.drain();
        check(&w.spans, &[]);
        prop_assert_eq!(w.spans.iter().filter(|s| s.summary.counts).count(), 1);
        let last = u32::try_from(proxies).expect("small") + 2;
        prop_assert!(w.server(last).summary.counts);
        for n in 1..last {
            prop_assert_eq!(w.server(n + 1).parent, Some(w.client(n).id));
        }
    }
}

#[test]
fn the_generated_events_join_when_nothing_goes_wrong() {
    let fate = Fate {
        seen: true,
        started: true,
        finished: true,
        late: false,
        closed: false,
        mcp: false,
        lost: false,
        context: 0,
    };
    let mut w = World::new();
    let mut list = events(0, &[fate.clone(), fate]);
    list.sort_by_key(|event| match event {
        Event::Open(_) => 0,
        Event::Start(_) => 1,
        _ => 2,
    });
    play(&mut w, &list, MS);
    w.drain();
    assert_eq!(w.stitcher.counters().joined, 1);
    assert!(
        w.spans
            .iter()
            .any(|s| matches!(s.summary.hop, Some("origin")))
    );
}
