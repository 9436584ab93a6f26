//! One trace as lines.

use std::collections::{HashMap, HashSet};

use anstyle::{AnsiColor, Style};
use probe_core::span::Span;
use probe_core::trace_context::SpanId;

use super::{Item, Trace, cut_line};
use crate::export::clock::Clock;
use crate::view::content;
use crate::view::escape::escape;
use crate::view::format;
use crate::view::terminal::Terminal;

/// Deeper levels are drawn at this one: a chain of thousands of parents is not readable anyway.
const MAX_DEPTH: usize = 32;

/// The lines of a trace: a head, then its calls.
pub(super) fn lines(trace: &Trace, terminal: &Terminal, clock: Clock) -> Vec<String> {
    let bold = Style::new().bold();
    let head = cut_line(&head(trace, terminal, clock), terminal);
    let mut lines = vec![terminal.paint(bold, &head)];
    for (item, branch) in ordered(&trace.items) {
        let text = cut_line(&format!("{branch}{}", call(item)), terminal);
        lines.push(paint(&text, &item.span, terminal));
        let below = branch.replace("├─ ", "│  ").replace("└─ ", "   ");
        for part in content::lines(&item.span) {
            lines.push(cut_line(&format!("{below}   {part}"), terminal));
        }
    }
    if trace.more > 0 {
        lines.push(format!("└─ and {} more calls", trace.more));
    }
    lines
}

/// The trace, when it began, and its sums: tokens of each generation once.
fn head(trace: &Trace, terminal: &Terminal, clock: Clock) -> String {
    let start = clock.unix(trace.start());
    let calls = trace.items.len() + trace.more;
    let mut parts = vec![
        format!("trace {}", format::short_id(&trace.id.0)),
        format::time_of_day(start, &terminal.zone),
        format!("{calls} {}", if calls == 1 { "call" } else { "calls" }),
    ];
    let counted = trace.items.iter().map(|item| &item.span.summary);
    let counted = counted.filter(|summary| summary.counts);
    let (mut input, mut output) = (None, None);
    for summary in counted {
        input = add(input, summary.input_tokens);
        output = add(output, summary.output_tokens);
    }
    let tokens = format::tokens(input, output);
    if !tokens.is_empty() {
        parts.push(format!("{tokens} tokens"));
    }
    let seconds = trace.last.saturating_sub(trace.start()) as f64 / 1e9;
    parts.push(format::duration(seconds));
    match trace.items.iter().filter(|item| failed(&item.span)).count() {
        0 => {}
        1 => parts.push("1 error".to_owned()),
        errors => parts.push(format!("{errors} errors")),
    }
    if let Some(conversation) = trace.conversation() {
        parts.push(format!("conversation {}", escape(&conversation)));
    }
    parts.join("  ")
}

fn add(sum: Option<u64>, more: Option<u64>) -> Option<u64> {
    match (sum, more) {
        (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
        (sum, more) => sum.or(more),
    }
}

fn failed(span: &Span) -> bool {
    span.error.is_some() || span.summary.error.is_some()
}

/// One call, without its branch.
fn call(item: &Item) -> String {
    let span = &item.span;
    let summary = &span.summary;
    let mut parts = vec![
        format!(
            "{} {}",
            format::direction(span.kind),
            escape(&summary.operation)
        ),
        format::target(span).into_owned(),
        format::duration(format::seconds(span)),
    ];
    if let Some(first) = summary.time_to_first_token.or(summary.time_to_first_chunk) {
        parts.push(format!("ttft {}", format::duration(first)));
    }
    let tokens = format::tokens(summary.input_tokens, summary.output_tokens);
    if !tokens.is_empty() {
        // What a proxy reports again is in brackets: it is not in the sum.
        parts.push(if summary.counts {
            format!("{tokens} tokens")
        } else {
            format!("({tokens} tokens)")
        });
    }
    let finish: Vec<_> = summary.finish_reasons.iter().map(|it| escape(it)).collect();
    parts.push(finish.join(","));
    if failed(span) {
        parts.push(format!("✗ {}", format::status(span)));
    }
    parts.push(format!("[{}]", format::process(span, &item.resource)));
    parts.retain(|part| !part.is_empty());
    let operation = parts.remove(0);
    format!("{operation} {}", parts.join("  "))
}

fn paint(text: &str, span: &Span, terminal: &Terminal) -> String {
    let style = if failed(span) {
        Style::new().fg_color(Some(AnsiColor::Red.into()))
    } else {
        Style::new()
    };
    terminal.paint(style, text)
}

/// The calls in the order of the tree, each with the branch before it. Siblings stand in the
/// order of their starts. A call whose parent is not here is a root.
fn ordered(items: &[Item]) -> Vec<(&Item, String)> {
    let ids: HashSet<SpanId> = items.iter().map(|item| item.span.id).collect();
    let mut children: HashMap<Option<SpanId>, Vec<usize>> = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        let span = &item.span;
        let here = |parent: &SpanId| ids.contains(parent) && *parent != span.id;
        children
            .entry(span.parent.filter(here))
            .or_default()
            .push(place);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|place| (items[*place].span.start, *place));
    }
    let mut walk = Walk {
        items,
        children: &children,
        seen: HashSet::new(),
        found: Vec::new(),
    };
    walk.from(children.get(&None).map_or(&[][..], Vec::as_slice));
    // Parents that are each other's children are reached from no root.
    for place in 0..items.len() {
        walk.from(&[place]);
    }
    walk.found
}

struct Walk<'items, 'children> {
    items: &'items [Item],
    children: &'children HashMap<Option<SpanId>, Vec<usize>>,
    seen: HashSet<usize>,
    found: Vec<(&'items Item, String)>,
}

impl Walk<'_, '_> {
    /// Goes through roots and all below them. The stack is ours: how deep a trace is, is decided
    /// by those who are traced.
    fn from(&mut self, roots: &[usize]) {
        let mut stack = Vec::new();
        push(&mut stack, roots, "", 0);
        while let Some(next) = stack.pop() {
            if !self.seen.insert(next.place) {
                continue;
            }
            let item = &self.items[next.place];
            let joint = if next.last { "└─ " } else { "├─ " };
            self.found.push((item, format!("{}{joint}", next.prefix)));
            let bar = if next.last { "   " } else { "│  " };
            let prefix = if next.depth < MAX_DEPTH {
                format!("{}{bar}", next.prefix)
            } else {
                next.prefix
            };
            if let Some(children) = self.children.get(&Some(item.span.id)) {
                push(&mut stack, children, &prefix, next.depth + 1);
            }
        }
    }
}

struct Next {
    place: usize,
    prefix: String,
    last: bool,
    depth: usize,
}

fn push(stack: &mut Vec<Next>, siblings: &[usize], prefix: &str, depth: usize) {
    for (index, place) in siblings.iter().enumerate().rev() {
        stack.push(Next {
            place: *place,
            prefix: prefix.to_owned(),
            last: index + 1 == siblings.len(),
            depth,
        });
    }
}
