//! Calls under their parents, trace by trace.

mod render;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use probe_core::ids::Nanos;
use probe_core::span::Span;
use probe_core::trace_context::TraceId;

use super::line::cut_line;
use super::terminal::Terminal;
use crate::export::clock::Clock;
use crate::export::resource::Resource;

/// The most traces that are kept; the oldest is printed and forgotten first.
const MAX_TRACES: usize = 500;

/// The most spans of a trace that are kept; further ones are counted.
const MAX_SPANS: usize = 1_000;

/// How long a trace whose parents are all there must be silent before it is printed to an output
/// that cannot be redrawn.
const SETTLED: Nanos = 2_000_000_000;

/// The same where a parent is still missing: it may be a long call, or filtered out.
const SETTLED_WITHOUT_PARENT: Nanos = 60_000_000_000;

/// All traces that are not printed for good.
#[derive(Debug, Default)]
pub(super) struct Forest {
    /// The one with the newest span is last.
    traces: VecDeque<Trace>,
    /// Traces that are printed with the next output, because there were too many.
    overdue: Vec<Trace>,
    /// How many rows of the terminal the last drawing took.
    rows: usize,
}

/// The spans of a trace, in the order of their ends.
#[derive(Debug)]
struct Trace {
    id: TraceId,
    items: Vec<Item>,
    /// Spans that are not kept.
    more: usize,
    /// The latest end.
    last: Nanos,
}

#[derive(Debug)]
struct Item {
    span: Arc<Span>,
    resource: Arc<Resource>,
}

impl Forest {
    /// Adds a span to its trace.
    pub(super) fn add(&mut self, span: Arc<Span>, resource: Arc<Resource>) {
        let place = self.traces.iter().position(|it| it.id == span.trace);
        let known = place.and_then(|place| self.traces.remove(place));
        let mut trace = known.unwrap_or_else(|| Trace {
            id: span.trace,
            items: Vec::new(),
            more: 0,
            last: 0,
        });
        trace.last = trace.last.max(span.end);
        if trace.items.len() < MAX_SPANS {
            trace.items.push(Item { span, resource });
        } else {
            trace.more += 1;
        }
        self.traces.push_back(trace);
        if self.traces.len() > MAX_TRACES {
            self.overdue.extend(self.traces.pop_front());
        }
    }

    /// Draws the trees anew over the last drawing. What does not fit any more is printed for
    /// good above it and left to scroll away. Without a terminal nothing is drawn.
    pub(super) fn redraw(
        &mut self,
        out: &mut impl Write,
        terminal: &Terminal,
        clock: Clock,
    ) -> io::Result<()> {
        if terminal.width.is_none() {
            return Ok(());
        }
        self.erase(out)?;
        self.print_overdue(out, terminal, clock)?;
        let room = terminal.height.saturating_sub(1).max(1);
        let mut drawn: VecDeque<_> = self
            .traces
            .iter()
            .map(|trace| render::lines(trace, terminal, clock))
            .collect();
        let mut rows: usize = drawn.iter().map(Vec::len).sum();
        while rows > room && drawn.len() > 1 {
            self.traces.pop_front();
            let lines = drawn.pop_front().unwrap_or_default();
            rows -= lines.len();
            print(out, &lines)?;
        }
        let lines: Vec<_> = drawn.into_iter().flatten().collect();
        let shown = &lines[lines.len().saturating_sub(room)..];
        print(out, shown)?;
        self.rows = shown.len();
        Ok(())
    }

    /// Prints the traces that seem complete, where there is no terminal.
    pub(super) fn print_settled(
        &mut self,
        out: &mut impl Write,
        terminal: &Terminal,
        clock: Clock,
        now: Nanos,
    ) -> io::Result<()> {
        if terminal.width.is_some() {
            return Ok(());
        }
        let traces = std::mem::take(&mut self.traces);
        let (settled, open): (Vec<_>, Vec<_>) = traces.into_iter().partition(|it| it.settled(now));
        self.traces = open.into();
        self.overdue.extend(settled);
        self.print_overdue(out, terminal, clock)
    }

    /// Prints all that is left.
    pub(super) fn finish(
        &mut self,
        out: &mut impl Write,
        terminal: &Terminal,
        clock: Clock,
    ) -> io::Result<()> {
        self.erase(out)?;
        self.overdue.extend(self.traces.drain(..));
        self.print_overdue(out, terminal, clock)
    }

    /// Traces of one conversation stand together, in the order of their first calls.
    fn print_overdue(
        &mut self,
        out: &mut impl Write,
        terminal: &Terminal,
        clock: Clock,
    ) -> io::Result<()> {
        let mut traces = std::mem::take(&mut self.overdue);
        traces.sort_by_cached_key(Trace::start);
        let conversations: Vec<_> = traces.iter().map(Trace::conversation).collect();
        let mut order: Vec<_> = (0..traces.len()).collect();
        order.sort_by_key(|place| {
            let same = |it: &Option<String>| it.is_some() && *it == conversations[*place];
            conversations.iter().position(same).unwrap_or(*place)
        });
        for place in order {
            print(out, &render::lines(&traces[place], terminal, clock))?;
        }
        Ok(())
    }

    /// Moves the cursor to the first row of the last drawing and clears from there.
    fn erase(&mut self, out: &mut impl Write) -> io::Result<()> {
        match std::mem::take(&mut self.rows) {
            0 => Ok(()),
            rows => write!(out, "\x1b[{rows}A\x1b[J"),
        }
    }
}

impl Trace {
    fn start(&self) -> Nanos {
        let starts = self.items.iter().map(|item| item.span.start);
        starts.min().unwrap_or(0)
    }

    /// The conversation that the first call to name one belongs to.
    fn conversation(&self) -> Option<String> {
        let mut items = self.items.iter();
        let name = items.find_map(|it| super::format::text(&it.span, "gen_ai.conversation.id"));
        name.map(str::to_owned)
    }

    fn settled(&self, now: Nanos) -> bool {
        let missing = self.items.iter().any(|item| {
            let span = &item.span;
            span.parent.is_some_and(|parent| {
                !span.parent_is_remote && self.items.iter().all(|it| it.span.id != parent)
            })
        });
        let silence = if missing {
            SETTLED_WITHOUT_PARENT
        } else {
            SETTLED
        };
        now.saturating_sub(self.last) >= silence
    }
}

fn print(out: &mut impl Write, lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

#[cfg(test)]
mod tests;
