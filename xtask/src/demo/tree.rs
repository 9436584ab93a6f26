//! What was seen of each conversation, as a tree with times, tokens and errors.

use std::borrow::Borrow;
use std::fmt::Write as _;
use std::time::Duration;

use super::span::Span;
use super::system::Tokens;
use super::work::Done;

/// How the demo calls its own parts, by their process ids: both agents are `uvicorn` else.
pub(crate) type Names = [(u32, &'static str)];

/// The whole report on one conversation.
pub(crate) fn conversation(number: usize, done: &Done, spans: &[Span], names: &Names) -> String {
    let mut own: Vec<&Span> = spans
        .iter()
        .filter(|span| span.began_within(done.start, done.end))
        .collect();
    own.sort_by_key(|span| span.start);
    let tokens = total(&own);
    let errors = own.iter().filter(|span| span.error().is_some()).count();
    let seconds = done.end.duration_since(done.start).unwrap_or_default();
    let mut text = format!(
        "\nConversation {number}, {}\n  {}, {} spans, {} tokens in, {} out, {errors} errors\n",
        done.job.title(),
        shown(seconds),
        own.len(),
        tokens.input,
        tokens.output,
    );
    let roots: Vec<&Span> = own
        .iter()
        .copied()
        .filter(|span| !own.iter().any(|other| span.is_child_of(other)))
        .collect();
    branches(&mut text, &own, &roots, "  ", names);
    text
}

/// The tokens of each generation, once: the spans that say that they count.
pub(crate) fn total<S: Borrow<Span>>(spans: &[S]) -> Tokens {
    let mut total = Tokens {
        input: 0,
        output: 0,
    };
    let counted = spans.iter().map(Borrow::borrow);
    for span in counted.filter(|span: &&Span| span.is("telemetry.kaos.counts")) {
        total.input += span.count("gen_ai.usage.input_tokens");
        total.output += span.count("gen_ai.usage.output_tokens");
    }
    total
}

/// How far a tree is drawn: no real conversation is deeper, and a cycle in the input ends here.
const MAX_DEPTH: usize = 64;

fn branches(text: &mut String, all: &[&Span], level: &[&Span], indent: &str, names: &Names) {
    for (at, span) in level.iter().enumerate() {
        let last = at + 1 == level.len();
        let corner = if last { "└─ " } else { "├─ " };
        let _ = writeln!(text, "{indent}{corner}{}", line(span, names));
        let children: Vec<&Span> = all
            .iter()
            .copied()
            .filter(|child| child.is_child_of(span))
            .collect();
        let below = format!("{indent}{}", if last { "   " } else { "│  " });
        if below.chars().count() < MAX_DEPTH * 3 {
            branches(text, all, &children, &below, names);
        }
    }
}

/// `boss client chat tiny  0.31 s  TTFT 12 ms  412→17 tokens  stop`.
fn line(span: &Span, names: &Names) -> String {
    let known = names
        .iter()
        .find(|(pid, _)| span.pid() == Some(u64::from(*pid)));
    let who = known.map_or(span.service(), |(_, name)| name);
    let mut line = format!(
        "{who} {} {}  {}",
        span.kind,
        span.name,
        shown(span.duration())
    );
    let first = span
        .number("telemetry.kaos.time_to_first_token")
        .map(|seconds| ("TTFT", seconds))
        .or_else(|| {
            let seconds = span.number("gen_ai.response.time_to_first_chunk")?;
            Some(("first chunk", seconds))
        });
    if let Some((what, seconds)) = first {
        let _ = write!(line, "  {what} {:.0} ms", seconds * 1000.0);
    }
    let (input, output) = (
        span.count("gen_ai.usage.input_tokens"),
        span.count("gen_ai.usage.output_tokens"),
    );
    if input + output > 0 {
        let _ = write!(line, "  {input}→{output} tokens");
    }
    if let Some(hop) = span.text("telemetry.kaos.hop") {
        let _ = write!(line, "  [{hop}]");
    }
    if let Some(error) = span.error() {
        let _ = write!(line, "  ERROR {error}");
    }
    line
}

fn shown(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::demo::work::Job;

    fn span(id: &str, parent: &str, at: u64, more: &str) -> Span {
        let line = format!(
            r#"{{"trace_id":"t","span_id":"{id}","parent_span_id":{parent},"kind":"client",
            "name":"chat tiny","start_time":"1970-01-01T00:00:{at:02}Z",
            "end_time":"1970-01-01T00:00:{at:02}.25Z","status":{{"code":"UNSET"}},
            "resource":{{"service.name":"uvicorn","process.pid":7}},"attributes":{{{more}}}}}"#
        );
        Span::parse(&line).expect("parses")
    }

    fn done(start: u64, end: u64) -> Done {
        Done {
            job: Job::Mistake,
            start: UNIX_EPOCH + Duration::from_secs(start),
            end: UNIX_EPOCH + Duration::from_secs(end),
            caller: None,
        }
    }

    #[test]
    fn children_stand_under_their_parents_and_strangers_are_left_out() {
        let spans = [
            span("child", "\"root\"", 11, ""),
            span("root", "\"not-seen\"", 10, ""),
            span("stranger", "null", 40, ""),
        ];
        let text = conversation(1, &done(9, 20), &spans, &[(7, "boss")]);
        assert!(
            text.contains("  └─ boss client chat tiny  250 ms\n     └─ boss"),
            "{text}"
        );
        assert_eq!(text.matches("chat tiny").count(), 2);
    }

    #[test]
    fn each_generation_counts_once() {
        let usage = r#""gen_ai.usage.input_tokens":9,"gen_ai.usage.output_tokens":2"#;
        let counted = format!(r#"{usage},"telemetry.kaos.counts":true"#);
        let spans = [span("a", "null", 1, usage), span("b", "\"a\"", 1, &counted)];
        assert_eq!(
            total(&spans),
            Tokens {
                input: 9,
                output: 2
            }
        );
    }

    #[test]
    fn a_cycle_ends() {
        let spans = [
            span("a", "\"b\"", 1, ""),
            span("b", "\"a\"", 1, ""),
            span("r", "null", 1, ""),
        ];
        let text = conversation(1, &done(0, 5), &spans, &[]);
        assert!(text.lines().count() < 10, "{text}");
    }
}
