//! Whether each conversation is one trace, from whoever asked to the model that answered, and
//! says of each call what it was.

use anyhow::{Result, bail};

use super::span::Span;
use super::tree::Names;
use super::work::{Done, Job, MODEL};

/// Fails unless the spans of a conversation are one tree in one trace in which every part of the
/// system stands in its place, with the model, tokens and first tokens of each generation. Nobody
/// in it sends a `traceparent`; where the one who asks does, the root hangs under its span.
pub(crate) fn check(done: &Done, spans: &[Span], names: &Names) -> Result<()> {
    let own: Vec<&Span> = spans
        .iter()
        .filter(|span| span.began_within(done.start, done.end))
        .collect();
    let title = done.job.title();
    let is_child = |span: &Span| own.iter().any(|other| span.is_child_of(other));
    let roots: Vec<&Span> = own.iter().copied().filter(|span| !is_child(span)).collect();
    let &[root] = &roots[..] else {
        let shown: Vec<_> = roots.iter().map(|span| span.name.as_str()).collect();
        bail!("{title}: {} trees: {shown:?}", roots.len());
    };
    if let Some(caller) = &done.caller
        && !root.is_called_by(caller)
    {
        bail!("{title}: the trace is not the caller's");
    }
    for path in paths(done.job) {
        let found = Place::all(path).is_some_and(|places| stands(root, &places, &own, names));
        if !found {
            bail!("{title}: no {path}");
        }
    }
    for span in own.iter().filter(|span| span.is(COUNTS)) {
        if let Some(missing) = missing(span, done.job) {
            bail!("{title}: a generation without {missing}");
        }
    }
    Ok(())
}

/// The attribute of the one span of a generation whose tokens count.
const COUNTS: &str = "telemetry.kaos.counts";

/// From the root downwards, each the child of the one before: `process kind operation`.
fn paths(job: Job) -> &'static [&'static str] {
    match job {
        Job::Agents(_) | Job::AgentsStreaming(_) => &[
            "boss server invoke_agent > boss client chat > proxy server chat > proxy client chat \
             > model server chat",
            "boss server invoke_agent > boss client invoke_agent > worker server invoke_agent \
             > worker client chat > proxy server chat > proxy client chat > model server chat",
            "boss server invoke_agent > boss client invoke_agent > worker server invoke_agent \
             > worker client execute_tool > tools server execute_tool",
        ],
        Job::AgentsTraced(_) => &[
            "user client invoke_agent > boss server invoke_agent > boss client chat \
             > proxy server chat > proxy client chat > model server chat",
            "user client invoke_agent > boss server invoke_agent > boss client invoke_agent \
             > worker server invoke_agent > worker client chat > proxy server chat \
             > proxy client chat > model server chat",
            "user client invoke_agent > boss server invoke_agent > boss client invoke_agent \
             > worker server invoke_agent > worker client execute_tool \
             > tools server execute_tool",
        ],
        Job::Stream(_) => &["proxy server chat > proxy client chat > model server chat"],
        Job::Mistake => &["proxy server chat"],
    }
}

/// One span's place on a path.
struct Place<'a> {
    who: &'a str,
    kind: &'a str,
    operation: &'a str,
}

impl<'a> Place<'a> {
    fn all(path: &'a str) -> Option<Vec<Self>> {
        path.split(" > ").map(Self::parse).collect()
    }

    fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self {
            who: words.next()?,
            kind: words.next()?,
            operation: words.next()?,
        })
    }

    fn is_of(&self, span: &Span, names: &Names) -> bool {
        let who = names.iter().find(|(_, name)| *name == self.who);
        who.is_some_and(|(pid, _)| span.pid() == Some(u64::from(*pid)))
            && span.kind == self.kind
            && span.text("gen_ai.operation.name") == Some(self.operation)
    }
}

/// Whether `span` stands in the first place and somebody below it in each of the others.
fn stands(span: &Span, places: &[Place<'_>], all: &[&Span], names: &Names) -> bool {
    let Some((first, below)) = places.split_first() else {
        return false;
    };
    let mut children = all.iter().filter(|child| child.is_child_of(span));
    first.is_of(span, names)
        && (below.is_empty() || children.any(|child| stands(child, below, all, names)))
}

/// What a generation's span lacks.
fn missing(span: &Span, job: Job) -> Option<&'static str> {
    if job == Job::Mistake {
        return None;
    }
    let streams = matches!(job, Job::Stream(_));
    let lacks = [
        (
            "its model",
            span.text("gen_ai.request.model") != Some(MODEL),
        ),
        ("tokens in", span.count("gen_ai.usage.input_tokens") == 0),
        ("tokens out", span.count("gen_ai.usage.output_tokens") == 0),
        (
            "a first token",
            streams && span.number("telemetry.kaos.time_to_first_token").is_none(),
        ),
    ];
    lacks
        .iter()
        .find(|(_, lacks)| *lacks)
        .map(|(what, _)| *what)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::demo::traced::Caller;

    const NAMES: [(u32, &str); 2] = [(7, "proxy"), (8, "model")];
    const GENERATION: &str = r#","gen_ai.request.model":"tiny","telemetry.kaos.counts":true,
        "gen_ai.usage.input_tokens":3,"gen_ai.usage.output_tokens":2,
        "telemetry.kaos.time_to_first_token":0.1"#;

    fn span(id: &str, parent: &str, kind: &str, pid: u32, more: &str) -> Span {
        let line = format!(
            r#"{{"trace_id":"t","span_id":"{id}","parent_span_id":{parent},"kind":"{kind}",
            "name":"chat tiny","start_time":"1970-01-01T00:00:10Z",
            "end_time":"1970-01-01T00:00:10.25Z","status":{{"code":"UNSET"}},
            "resource":{{"process.pid":{pid}}},
            "attributes":{{"gen_ai.operation.name":"chat"{more}}}}}"#
        );
        Span::parse(&line).expect("parses")
    }

    /// What is wrong with a client's stream through the proxy, if `model` is the last span.
    fn verdict(model: Span) -> String {
        verdict_for(None, model)
    }

    /// The same, if `caller` is the span that the client has of its request.
    fn verdict_for(caller: Option<Caller>, model: Span) -> String {
        let done = Done {
            job: Job::Stream("?"),
            start: UNIX_EPOCH + Duration::from_secs(9),
            end: UNIX_EPOCH + Duration::from_secs(20),
            caller,
        };
        let spans = [
            span("a", "\"own\"", "server", 7, ""),
            span("b", "\"a\"", "client", 7, ""),
            model,
        ];
        match check(&done, &spans, &NAMES) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn one_tree_with_all_parts_is_whole() {
        let model = span("c", "\"b\"", "server", 8, GENERATION);
        assert_eq!(verdict(model), "");
    }

    #[test]
    fn the_whole_hangs_under_its_callers_span() {
        let caller = |trace: &str, span: &str| {
            let (trace, span) = (trace.to_owned(), span.to_owned());
            Some(Caller { trace, span })
        };
        let model = || span("c", "\"b\"", "server", 8, GENERATION);
        assert_eq!(verdict_for(caller("t", "own"), model()), "");
        for (trace, own) in [("t", "another"), ("another", "own")] {
            let verdict = verdict_for(caller(trace, own), model());
            assert!(verdict.contains("not the caller's"), "{verdict}");
        }
    }

    #[test]
    fn a_part_that_is_loose_or_elsewhere_is_missed() {
        let loose = span("c", "null", "server", 8, GENERATION);
        assert!(verdict(loose).contains("2 trees"));
        let beside = span("c", "\"a\"", "server", 8, GENERATION);
        assert!(verdict(beside).contains("no proxy server chat >"));
        let stranger = span("c", "\"b\"", "server", 9, GENERATION);
        assert!(verdict(stranger).contains("no proxy server chat >"));
    }

    #[test]
    fn a_generation_says_what_it_was() {
        for (lost, word) in [
            (r#""gen_ai.request.model":"tiny""#, "its model"),
            (r#""gen_ai.usage.output_tokens":2"#, "tokens out"),
            (
                r#""telemetry.kaos.time_to_first_token":0.1"#,
                "a first token",
            ),
        ] {
            let generation = GENERATION.replace(lost, r#""lost":0"#);
            let verdict = verdict(span("c", "\"b\"", "server", 8, &generation));
            assert!(verdict.ends_with(word), "{word}: {verdict}");
        }
    }
}
