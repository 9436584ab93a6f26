//! Real servers. What the client saw is the ground truth: ids, models and tokens of each answer.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::{Side, Verdict};
use super::process::ClientLine;
use super::span::{Kind, SeenSpan};

/// A KAOS agent, which speaks as a model does and is none.
const AGENT: &str = "agent";
/// What its spans have in place of a model.
const INVOKED: &str = "invoke_agent";

/// A cell with a real server.
#[derive(Clone, Copy, Debug)]
pub struct RealCell {
    /// The server, as `cargo xtask peers` calls it.
    pub peer: &'static str,
    /// What is behind it, if it forwards calls.
    pub upstream: Option<&'static str>,
    /// Inside TLS.
    pub tls: bool,
    /// The client's script.
    pub script: &'static str,
    /// The client's library.
    pub lib: &'static str,
    /// What it asks for.
    pub api: &'static str,
    /// The model, or the tool.
    pub model: &'static str,
    /// The answers are streams.
    pub stream: bool,
    /// Calls at once.
    pub concurrency: u32,
    /// Calls in all.
    pub calls: u32,
}

impl RealCell {
    /// Its server is an agent: no model, and the tokens are its model's.
    #[must_use]
    pub fn is_agent(&self) -> bool {
        self.peer == AGENT
    }

    /// The cell in words.
    #[must_use]
    pub fn name(&self) -> String {
        let runtime = if self.script.starts_with("node/") {
            "node"
        } else {
            "python"
        };
        let wire = if self.tls { "TLS" } else { "plain" };
        let form = if self.stream { "stream" } else { "whole" };
        let (peer, lib, api) = (self.peer, self.lib, self.api);
        format!(
            "{peer}: {runtime} {lib} {api} {wire} {form} x{}",
            self.concurrency
        )
    }
}

/// Cells that the table cannot have, and why.
pub const NOT_TO_BE_HAD: [(&str, &str); 2] = [
    ("ollama over TLS", "its server speaks plain HTTP alone"),
    (
        "agent over TLS",
        "nothing tells the client's side that this server is an agent: its span is a chat",
    ),
];

/// All of them; cells of one server follow each other, so that it is started once.
#[must_use]
pub fn all() -> Vec<RealCell> {
    let llama = |lib, api, stream, tls| RealCell {
        peer: "llama",
        upstream: None,
        tls,
        script: "python/sdk.py",
        lib,
        api,
        model: "tiny",
        stream,
        concurrency: 2,
        calls: 20,
    };
    let mut cells = Vec::new();
    for tls in [false, true] {
        cells.push(llama("openai", "chat", true, tls));
        cells.push(llama("openai-async", "chat", false, tls));
        cells.push(llama("openai", "responses", true, tls));
        cells.push(llama("anthropic", "messages", true, tls));
        let node = RealCell {
            script: "node/sdk.mjs",
            ..llama("openai", "chat", true, tls)
        };
        cells.push(node);
    }
    for (peer, tls) in [("litellm", false), ("litellm", true), (AGENT, false)] {
        let forwards = |lib, stream| RealCell {
            peer,
            upstream: Some("llama"),
            ..llama(lib, "chat", stream, tls)
        };
        cells.push(forwards("openai", true));
        cells.push(forwards("openai-async", false));
    }
    let ollama = |lib, api, stream| RealCell {
        peer: "ollama",
        ..llama(lib, api, stream, false)
    };
    cells.push(ollama("ollama", "ollama-chat", true));
    cells.push(ollama("ollama-async", "ollama-generate", false));
    cells.push(ollama("openai", "chat", true));
    for (peer, tls) in [
        ("mcp", false),
        ("mcp", true),
        ("mcp-sessions", false),
        ("mcp-sessions", true),
    ] {
        let tool = |script| RealCell {
            peer,
            script,
            model: "get_weather",
            ..llama("mcp", "mcp", false, tls)
        };
        cells.push(tool("python/mcp_client.py"));
        cells.push(tool("node/sdk.mjs"));
    }
    cells
}

/// Holds the spans of one server's port against what the clients saw.
#[must_use]
pub fn compare(cell: &RealCell, lines: &[ClientLine], spans: &[SeenSpan]) -> Verdict {
    let answers: Vec<Answer> = lines.iter().map(|line| expected(cell, line)).collect();
    let side = |kind| {
        let answered = |span: &&SeenSpan| span.kind == kind && !is_retried(span);
        let spans: Vec<&SeenSpan> = spans.iter().filter(answered).collect();
        side(&answers, &spans)
    };
    let (client, one) = side(Kind::Client);
    let (server, other) = side(Kind::Server);
    Verdict {
        calls: lines.len(),
        client,
        server,
        phantoms: [one, other].concat(),
    }
}

/// A failed call without an answer: the client made it anew, and says nothing of it.
fn is_retried(span: &SeenSpan) -> bool {
    span.failed && span.text("gen_ai.response.model").is_none() && !span.is_tool()
}

/// What tells two answers apart. Where a format has no ids, equal answers are as good as each
/// other.
type Answer = (Option<String>, Option<String>, Option<u64>, Option<u64>);

fn side(answers: &[Answer], spans: &[&SeenSpan]) -> (Side, Vec<String>) {
    let mut side = Side::default();
    let mut left: BTreeMap<Answer, usize> = BTreeMap::new();
    for span in spans {
        *left.entry(seen(span)).or_default() += 1;
    }
    for answer in answers {
        match left.get_mut(answer).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                side.exact += 1;
            }
            None => side
                .wrong
                .push(format!("no span has the answer {answer:?}")),
        }
    }
    let phantoms = left.into_iter().filter(|(_, count)| *count > 0);
    (
        side,
        phantoms
            .map(|(answer, count)| format!("{count} of {answer:?}"))
            .collect(),
    )
}

/// What the client got, as spans should have it.
fn expected(cell: &RealCell, line: &ClientLine) -> Answer {
    if cell.is_agent() {
        return (line.id.clone(), Some(INVOKED.to_owned()), None, None);
    }
    // A tool's answer names nothing: the tool is what was asked for.
    let named = line.answered.clone().or_else(|| Some(line.asked.clone()));
    (line.id.clone(), named, line.input, line.output)
}

fn seen(span: &SeenSpan) -> Answer {
    let text = |name: &str| span.text(name).map(str::to_owned);
    let invoked = || text("gen_ai.operation.name").filter(|name| name == INVOKED);
    let number = |name: &str| span.attributes.get(name).and_then(Value::as_u64);
    (
        text("gen_ai.response.id"),
        text("gen_ai.response.model")
            .or_else(|| text("gen_ai.tool.name"))
            .or_else(invoked),
        number("gen_ai.usage.input_tokens"),
        number("gen_ai.usage.output_tokens"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(id: Option<&str>, output: u64) -> ClientLine {
        ClientLine {
            asked: "tiny".to_owned(),
            id: id.map(str::to_owned),
            answered: Some("tiny".to_owned()),
            input: Some(3),
            output: Some(output),
            ..ClientLine::default()
        }
    }

    fn span(id: Option<&str>, output: u64, kind: Kind) -> SeenSpan {
        let attributes = json!({"gen_ai.response.id": id, "gen_ai.response.model": "tiny",
            "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": output});
        let Value::Object(attributes) = attributes else {
            panic!("an object")
        };
        SeenSpan {
            kind,
            attributes: attributes.into_iter().collect(),
            ..SeenSpan::default()
        }
    }

    fn cell(peer: &'static str) -> RealCell {
        let mut cells = all().into_iter();
        cells.find(|cell| cell.peer == peer).expect("a cell")
    }

    #[test]
    fn an_agents_answer_has_no_model_and_no_tokens() {
        let attributes = json!({"gen_ai.response.id": "a", "gen_ai.operation.name": INVOKED});
        let of = |kind| SeenSpan {
            kind,
            attributes: attributes
                .as_object()
                .expect("an object")
                .clone()
                .into_iter()
                .collect(),
            ..SeenSpan::default()
        };
        let spans = [of(Kind::Client), of(Kind::Server)];
        let lines = [line(Some("a"), 0)];
        assert!(compare(&cell(AGENT), &lines, &spans).is_perfect());
        assert!(!compare(&cell("llama"), &lines, &spans).is_perfect());
        let model = both(Some("a"), 0);
        assert!(!compare(&cell(AGENT), &lines, &model).is_perfect());
    }

    fn both(id: Option<&str>, output: u64) -> [SeenSpan; 2] {
        [
            span(id, output, Kind::Client),
            span(id, output, Kind::Server),
        ]
    }

    #[test]
    fn answers_are_found_once_on_each_side() {
        let lines = [line(Some("a"), 5), line(None, 6), line(None, 6)];
        let compare =
            |lines: &[ClientLine], spans: &[SeenSpan]| compare(&cell("llama"), lines, spans);
        let spans = [both(Some("a"), 5), both(None, 6), both(None, 6)].concat();
        assert!(compare(&lines, &spans).is_perfect());
        assert!(!compare(&lines, &spans[1..]).is_perfect(), "one is missing");
        assert!(
            !compare(&lines[1..], &spans).is_perfect(),
            "one is too many"
        );
        let mut doctored = spans.clone();
        doctored[0] = span(Some("a"), 4, Kind::Client);
        assert!(!compare(&lines, &doctored).is_perfect(), "a count is wrong");
        let mut retried = spans.clone();
        retried.push(SeenSpan {
            failed: true,
            kind: Kind::Client,
            ..SeenSpan::default()
        });
        assert!(
            compare(&lines, &retried).is_perfect(),
            "a call that was made anew"
        );
        retried.push(SeenSpan {
            kind: Kind::Client,
            ..SeenSpan::default()
        });
        assert!(!compare(&lines, &retried).is_perfect(), "a phantom");
        doctored[0] = span(Some("b"), 5, Kind::Client);
        assert!(!compare(&lines, &doctored).is_perfect(), "an id is wrong");
    }
}
