//! What a run was: calls, tokens by model, the slowest, the errors.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use probe_core::span::Span;

use super::escape::{escape, fit, width};
use super::format;
use crate::export::resource::Resource;

/// The most names of one table; all others are summed up.
const MAX_NAMES: usize = 100;

/// The name of that sum.
const OTHER: &str = "(others)";

/// How many of the slowest calls are named.
const SLOWEST: usize = 5;

/// Sums over the spans of a run.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    calls: BTreeMap<String, u64>,
    models: BTreeMap<String, Tokens>,
    errors: BTreeMap<String, u64>,
    /// The slowest first.
    slowest: Vec<(Arc<Span>, Arc<Resource>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tokens {
    calls: u64,
    input: u64,
    output: u64,
}

impl Totals {
    /// Adds a span.
    pub(crate) fn add(&mut self, span: &Arc<Span>, resource: &Arc<Resource>) {
        let summary = &span.summary;
        *entry(&mut self.calls, &summary.operation) += 1;
        if summary.counts {
            let model = summary.response_model.as_ref().or(summary.target.as_ref());
            let model = model.map_or("(unknown)", String::as_str);
            let tokens = entry(&mut self.models, model);
            tokens.calls += 1;
            tokens.input += summary.input_tokens.unwrap_or(0);
            tokens.output += summary.output_tokens.unwrap_or(0);
        }
        if span.error.is_some() || summary.error.is_some() {
            let error = summary.error.as_deref().unwrap_or("error");
            *entry(&mut self.errors, error) += 1;
        }
        let took = |it: &Span| it.end.saturating_sub(it.start);
        let place = self
            .slowest
            .partition_point(|(other, _)| took(other) >= took(span));
        if place < SLOWEST {
            let item = (Arc::clone(span), Arc::clone(resource));
            self.slowest.insert(place, item);
            self.slowest.truncate(SLOWEST);
        }
    }

    /// The summary, ready to print.
    pub(crate) fn render(&self) -> String {
        let total: u64 = self.calls.values().sum();
        if total == 0 {
            return "No LLM, MCP or agent calls were seen.\n".to_owned();
        }
        let parts = self.calls.iter();
        let parts: Vec<_> = parts
            .map(|(name, count)| format!("{count} {}", escape(name)))
            .collect();
        let mut text = format!("{total} calls: {}\n", parts.join(", "));
        self.render_models(&mut text);
        self.render_slowest(&mut text);
        self.render_errors(&mut text);
        text
    }

    fn render_models(&self, text: &mut String) {
        if self.models.is_empty() {
            return;
        }
        let mut rows: Vec<(&str, Tokens)> = self
            .models
            .iter()
            .map(|(name, it)| (name.as_str(), *it))
            .collect();
        if rows.len() > 1 {
            let sum = rows.iter().fold(Tokens::default(), |sum, (_, it)| Tokens {
                calls: sum.calls + it.calls,
                input: sum.input + it.input,
                output: sum.output + it.output,
            });
            rows.push(("total", sum));
        }
        let names: Vec<_> = rows.iter().map(|(name, _)| escape(name)).collect();
        let widest = names.iter().map(|name| width(name)).max();
        let columns = widest.unwrap_or(0).clamp(5, 60);
        line(
            text,
            &format!("{:columns$}  calls   input  output", "Model"),
        );
        for (name, (_, tokens)) in names.iter().zip(&rows) {
            let Tokens {
                calls,
                input,
                output,
            } = tokens;
            let name = fit(name, columns, false);
            line(
                text,
                &format!("{name}  {calls:>5}  {input:>6}  {output:>6}"),
            );
        }
    }

    fn render_slowest(&self, text: &mut String) {
        line(text, "Slowest");
        for (span, resource) in &self.slowest {
            let row = format!(
                "  {:>7}  {} {} {}  [{}]",
                format::duration(format::seconds(span)),
                format::direction(span.kind),
                escape(&span.summary.operation),
                format::target(span),
                format::process(span, resource)
            );
            line(text, &row);
        }
    }

    fn render_errors(&self, text: &mut String) {
        if self.errors.is_empty() {
            return;
        }
        line(text, "Errors");
        for (name, count) in &self.errors {
            line(text, &format!("  {count:>7}  {}", escape(name)));
        }
    }
}

fn line(text: &mut String, row: &str) {
    writeln!(text, "{}", row.trim_end()).expect("writing into a string cannot fail");
}

/// The entry of a name, or that of all others when there are too many: names come from the wire.
fn entry<'a, T: Default>(table: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    let full = table.len() >= MAX_NAMES && !table.contains_key(name);
    let name = if full { OTHER } else { name };
    table.entry(name.to_owned()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{agent, chat, failed_tool};

    fn render(spans: impl IntoIterator<Item = Span>) -> String {
        let mut totals = Totals::default();
        for span in spans {
            totals.add(&Arc::new(span), &Arc::new(agent()));
        }
        totals.render()
    }

    fn named(model: &str) -> Span {
        let mut span = chat();
        Arc::make_mut(&mut span.summary).response_model = Some(model.to_owned());
        span
    }

    #[test]
    fn the_summary_is_the_expected_one() {
        let mut proxied = chat();
        Arc::make_mut(&mut proxied.summary).counts = false;
        proxied.end += 500_000_000;
        let expected = "\
4 calls: 3 chat, 1 execute_tool
Model        calls   input  output
gpt-4o-2024      1      10       5
small            1      10       5
total            2      20      10
Slowest
    2.00s  → chat gpt-4o  [agent.py@c0ffee012345]
    1.50s  → chat gpt-4o  [agent.py@c0ffee012345]
    1.50s  → chat gpt-4o  [agent.py@c0ffee012345]
    100ms  ← execute_tool search  [agent.py@c0ffee012345]
Errors
        1  -32602
";
        assert_eq!(
            render([chat(), failed_tool(), named("small"), proxied]),
            expected
        );
        assert_eq!(render([]), "No LLM, MCP or agent calls were seen.\n");
    }

    #[test]
    fn names_from_the_wire_are_bounded_and_escaped() {
        let text = render((0..150).map(|n| named(&format!("\x1b[3{n}m"))));
        assert!(!text.replace('\n', "").chars().any(char::is_control));
        let others = text.lines().find(|line| line.starts_with(OTHER)).unwrap();
        assert!(others.contains(" 50 "), "{others}");
        let total = text.lines().find(|line| line.starts_with("total")).unwrap();
        assert!(total.contains("150    1500     750"), "{total}");
    }

    #[test]
    fn the_five_slowest_are_kept() {
        let spans = (1..=20_u64).map(|n| {
            let mut span = chat();
            span.end = span.start + n * 1_000_000_000;
            span
        });
        let text = render(spans);
        assert!(text.contains("20.00s") && text.contains("16.00s"));
        assert!(!text.contains("15.00s"));
    }
}
