//! Spans for people: lines, trees, JSON, and the summary at the end of a run.
//!
//! Everything that comes from the wire passes [`escape`] before it reaches a terminal.

mod content;
pub(crate) mod escape;
pub(crate) mod filter;
mod format;
pub(crate) mod json;
mod line;
pub(crate) mod summary;
mod terminal;
mod tree;

use std::io::{self, Write};
use std::sync::Arc;

use probe_core::ids::Nanos;
use probe_core::span::Span;

use crate::export::clock::Clock;
use crate::export::resource::Resource;
use filter::Filter;
pub(crate) use terminal::Terminal;
use tree::Forest;

/// How spans are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One line per call as it ends.
    #[default]
    Lines,
    /// Calls under their parents.
    Tree,
    /// One JSON object per line (docs/json.md).
    Json,
}

/// Shows spans on an output.
#[derive(Debug)]
pub(crate) struct View<W> {
    out: W,
    mode: Mode,
    filter: Filter,
    terminal: Terminal,
    forest: Forest,
    header_due: bool,
}

impl<W: Write> View<W> {
    /// A view that has shown nothing yet.
    pub(crate) fn new(out: W, mode: Mode, filter: Filter, terminal: Terminal) -> Self {
        Self {
            out,
            mode,
            filter,
            terminal,
            forest: Forest::default(),
            header_due: true,
        }
    }

    /// Shows a span, if the filter lets it through.
    pub(crate) fn show(
        &mut self,
        span: &Arc<Span>,
        resource: &Arc<Resource>,
        clock: Clock,
    ) -> io::Result<()> {
        if !self.filter.matches(span, resource) {
            return Ok(());
        }
        match self.mode {
            Mode::Lines => self.show_line(span, resource, clock)?,
            Mode::Json => writeln!(self.out, "{}", json::object(span, resource, clock))?,
            Mode::Tree => {
                self.forest.add(Arc::clone(span), Arc::clone(resource));
                self.terminal.measure();
                self.forest.redraw(&mut self.out, &self.terminal, clock)?;
            }
        }
        self.out.flush()
    }

    /// To be called now and then: prints the trees that are complete, where the output cannot be
    /// redrawn. `now` is of the monotonic clock.
    pub(crate) fn tick(&mut self, now: Nanos, clock: Clock) -> io::Result<()> {
        if self.mode == Mode::Tree {
            self.forest
                .print_settled(&mut self.out, &self.terminal, clock, now)?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Prints what is left: each conversation as a tree.
    pub(crate) fn finish(&mut self, clock: Clock) -> io::Result<()> {
        if self.mode == Mode::Tree {
            self.forest.finish(&mut self.out, &self.terminal, clock)?;
        }
        self.out.flush()
    }

    fn show_line(&mut self, span: &Span, resource: &Resource, clock: Clock) -> io::Result<()> {
        self.terminal.measure();
        if std::mem::take(&mut self.header_due) && self.terminal.width.is_some() {
            writeln!(self.out, "{}", line::header(&self.terminal))?;
        }
        let line = line::line(span, resource, clock, &self.terminal);
        writeln!(self.out, "{line}")?;
        for part in content::lines(span) {
            let part = line::cut_line(&format!("    {part}"), &self.terminal);
            writeln!(self.out, "{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{agent, chat, failed_tool};
    use probe_core::span::Attribute;

    fn show(mode: Mode, filter: Filter) -> String {
        let mut out = Vec::new();
        let mut view = View::new(&mut out, mode, filter, Terminal::plain());
        let (resource, clock) = (Arc::new(agent()), Clock::with_offset(0));
        for span in [failed_tool(), chat()] {
            view.show(&Arc::new(span), &resource, clock).unwrap();
        }
        view.finish(clock).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_mode_shows_both_calls() {
        assert_eq!(show(Mode::Lines, Filter::default()).lines().count(), 2);
        assert_eq!(show(Mode::Json, Filter::default()).lines().count(), 2);
        assert_eq!(show(Mode::Tree, Filter::default()).lines().count(), 3);
    }

    #[test]
    fn content_that_was_asked_for_stands_under_its_call() {
        let mut span = chat();
        let content = [
            ("gen_ai.input.messages", "[\"\u{1b}[2Jhello\"]"),
            ("gen_ai.output.messages", "[\"bye\"]"),
        ];
        for (name, text) in content {
            let value = probe_core::span::Value::String(text.to_owned());
            span.attributes.push(Attribute { name, value });
        }
        let (span, resource) = (Arc::new(span), Arc::new(agent()));
        for (mode, input) in [
            (Mode::Lines, "    input: [\"\\u{1b}[2Jhello\"]"),
            (Mode::Tree, "      input: [\"\\u{1b}[2Jhello\"]"),
        ] {
            let mut out = Vec::new();
            let mut view = View::new(&mut out, mode, Filter::default(), Terminal::plain());
            let clock = Clock::with_offset(0);
            view.show(&span, &resource, clock).unwrap();
            view.finish(clock).unwrap();
            let shown = String::from_utf8(out).unwrap();
            assert!(shown.lines().any(|line| line == input), "{shown}");
            assert!(shown.contains("output: [\"bye\"]"), "{shown}");
        }
    }

    #[test]
    fn the_filter_holds_in_each_mode() {
        for mode in [Mode::Lines, Mode::Json, Mode::Tree] {
            let filter = Filter {
                errors: true,
                ..Filter::default()
            };
            let shown = show(mode, filter);
            assert!(shown.contains("search") && !shown.contains("gpt-4o"));
        }
    }
}
