use super::*;
use crate::export::testing::{agent, chat, failed_tool};
use crate::view::escape::width;
use probe_core::span::{Attribute, SpanKind, Value};
use probe_core::trace_context::SpanId;

const CLOCK: Clock = Clock::with_offset(1_700_000_000_000_000_000);

fn span(id: u8, parent: Option<u8>, start: u64) -> Arc<Span> {
    let mut span = chat();
    span.id = SpanId([id; 8]);
    span.parent = parent.map(|it| SpanId([it; 8]));
    span.start = start;
    span.end = start + 1_000_000_000;
    Arc::new(span)
}

fn forest(spans: impl IntoIterator<Item = Arc<Span>>) -> Forest {
    let mut forest = Forest::default();
    let resource = Arc::new(agent());
    for span in spans {
        forest.add(span, Arc::clone(&resource));
    }
    forest
}

fn finished(spans: impl IntoIterator<Item = Arc<Span>>) -> String {
    let mut out = Vec::new();
    let mut forest = forest(spans);
    forest.finish(&mut out, &Terminal::plain(), CLOCK).unwrap();
    String::from_utf8(out).unwrap()
}

fn terminal(width: usize, height: usize) -> Terminal {
    Terminal {
        width: Some(width),
        height,
        ..Terminal::plain()
    }
}

/// An agent's request with a model call, its proxied twin, and a tool that failed.
fn conversation() -> Vec<Arc<Span>> {
    let mut root = Span::clone(&span(9, None, 500_000_000));
    root.kind = SpanKind::Server;
    root.end = 3_000_000_000;
    root.attributes.push(Attribute {
        name: "gen_ai.conversation.id",
        value: Value::Static("talk-1"),
    });
    let summary = Arc::make_mut(&mut root.summary);
    summary.operation = "invoke_agent".to_owned();
    summary.target = Some("planner".to_owned());
    summary.counts = false;
    (summary.input_tokens, summary.output_tokens) = (None, None);
    (summary.time_to_first_token, summary.time_to_first_chunk) = (None, None);
    summary.finish_reasons.clear();
    let mut model = chat();
    model.parent = Some(root.id);
    let mut twin = Span::clone(&span(3, Some(1), 1_010_000_000));
    twin.kind = SpanKind::Server;
    Arc::make_mut(&mut twin.summary).counts = false;
    let mut tool = failed_tool();
    tool.parent = Some(root.id);
    tool.start = 2_700_000_000;
    tool.end = 2_800_000_000;
    [twin, model, tool, root].map(Arc::new).into()
}

#[test]
fn a_conversation_is_the_expected_tree() {
    assert_eq!(finished(conversation()), include_str!("golden.txt"));
}

#[test]
fn siblings_stand_in_the_order_of_their_starts_and_orphans_are_roots() {
    let shown = finished([
        span(3, Some(1), 30),
        span(2, Some(1), 20),
        span(1, None, 10),
        span(4, Some(99), 40),
    ]);
    let branches: Vec<_> = shown
        .lines()
        .map(|it| it.split('→').next().unwrap())
        .collect();
    assert_eq!(branches[1..], ["├─ ", "│  ├─ ", "│  └─ ", "└─ "]);
}

#[test]
fn parents_in_a_circle_and_long_chains_are_shown() {
    let circle = finished([
        span(1, Some(2), 1),
        span(2, Some(1), 2),
        span(3, Some(3), 3),
    ]);
    assert_eq!(circle.lines().count(), 4);
    let chain = (1..=200).map(|id| span(id, (id > 1).then(|| id - 1), id.into()));
    let shown = finished(chain);
    assert_eq!(shown.lines().count(), 201);
    assert!(shown.lines().all(|line| width(line) < 250));
}

#[test]
fn a_trace_is_bounded_and_says_what_is_missing() {
    let spans = (0..MAX_SPANS as u64 + 5).map(|n| {
        let mut span = Span::clone(&span(1, None, n));
        span.id = SpanId(n.to_be_bytes());
        Arc::new(span)
    });
    let shown = finished(spans);
    assert!(shown.contains(&format!("{} calls", MAX_SPANS + 5)));
    assert!(shown.ends_with("└─ and 5 more calls\n"));
}

#[test]
fn traces_of_one_conversation_stand_together() {
    let of = |trace: u8, conversation: Option<&'static str>| {
        let mut span = Span::clone(&span(trace, None, trace.into()));
        span.trace = TraceId([trace; 16]);
        span.attributes.extend(conversation.map(|it| Attribute {
            name: "gen_ai.conversation.id",
            value: Value::Static(it),
        }));
        Arc::new(span)
    };
    let shown = finished([
        of(1, Some("a")),
        of(2, None),
        of(3, Some("b")),
        of(4, Some("a")),
    ]);
    let heads: Vec<_> = shown.lines().filter(|it| it.starts_with("trace")).collect();
    let order: Vec<_> = heads.iter().map(|it| &it[6..8]).collect();
    assert_eq!(order, ["01", "04", "02", "03"]);
}

#[test]
fn too_many_traces_are_printed_and_forgotten() {
    let spans = (0..MAX_TRACES as u64 + 3).map(|n| {
        let mut span = Span::clone(&span(1, None, n));
        span.trace = TraceId(u128::from(n + 1).to_be_bytes());
        Arc::new(span)
    });
    let mut forest = forest(spans);
    assert_eq!(forest.traces.len(), MAX_TRACES);
    assert_eq!(forest.overdue.len(), 3);
    let mut out = Vec::new();
    forest
        .print_settled(&mut out, &Terminal::plain(), CLOCK, 0)
        .unwrap();
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 6);
}

#[test]
fn a_pipe_gets_a_tree_once_it_is_settled() {
    let mut forest = forest([span(2, Some(1), 0)]);
    let settled = |forest: &mut Forest, now| {
        let mut out = Vec::new();
        forest
            .print_settled(&mut out, &Terminal::plain(), CLOCK, now)
            .unwrap();
        String::from_utf8(out).unwrap().lines().count()
    };
    assert_eq!(settled(&mut forest, 10_000_000_000), 0);
    forest.add(span(1, None, 9_500_000_000), Arc::new(agent()));
    assert_eq!(settled(&mut forest, 11_000_000_000), 0);
    assert_eq!(settled(&mut forest, 12_500_000_000), 3);
    assert_eq!(settled(&mut forest, 99_000_000_000), 0);
    forest.add(span(3, Some(1), 0), Arc::new(agent()));
    assert_eq!(settled(&mut forest, 70_000_000_000), 2);
}

#[test]
fn a_terminal_is_redrawn_in_place_and_old_trees_scroll_away() {
    let terminal = terminal(40, 5);
    let mut forest = forest([span(1, None, 0)]);
    let draw = |forest: &mut Forest| {
        let mut out = Vec::new();
        forest.redraw(&mut out, &terminal, CLOCK).unwrap();
        String::from_utf8(out).unwrap()
    };
    let first = draw(&mut forest);
    assert!(!first.contains('\x1b') && first.lines().count() == 2);
    forest.add(span(2, Some(1), 1), Arc::new(agent()));
    let second = draw(&mut forest);
    assert!(second.starts_with("\x1b[2A\x1b[J") && second.lines().count() == 3);
    let mut other = Span::clone(&span(3, None, 2));
    other.trace = TraceId([3; 16]);
    forest.add(Arc::new(other), Arc::new(agent()));
    let third = draw(&mut forest);
    assert!(third.starts_with("\x1b[3A\x1b[J") && third.lines().count() == 5);
    assert_eq!((forest.traces.len(), forest.rows), (1, 2));
    let rows = third.trim_start_matches("\x1b[3A\x1b[J");
    assert!(rows.lines().all(|line| width(line) <= 40));
}
