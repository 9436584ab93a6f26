//! Arize Phoenix, fed by the probe's OTLP, and what it makes of the spans.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::interrupt;
use crate::peers::{self, Cache, Phoenix, Running, Serving, http};

/// How long the last spans may take through the probe's batches and Phoenix's database.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// Every project's spans, as its own pages ask for them.
const SPANS: &str = "{ projects { edges { node { spans(first: 1000) { edges { node { \
                     spanKind tokenCountTotal } } } } } } }";

/// A running Phoenix.
pub(super) struct Ui {
    port: u16,
    _running: Running,
}

/// Spans, and the tokens that they have together, by Phoenix's kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read(BTreeMap<String, (u64, u64)>);

impl Ui {
    pub(super) fn start(cache: &Cache, dir: &Path) -> Result<Self> {
        let port = http::free_port()?;
        let running = peers::start(&Phoenix, "phoenix", cache, &Serving::new(port, dir))?;
        println!("  phoenix  127.0.0.1:{port}");
        Ok(Self {
            port,
            _running: running,
        })
    }

    /// Where it takes OTLP, and shows its pages.
    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What Phoenix read; an error unless there are models, tools and agents, and models have
    /// tokens.
    pub(super) fn check(&self) -> Result<String> {
        let start = Instant::now();
        loop {
            interrupt::check()?;
            let read = self.read()?;
            match read.missing() {
                None => return Ok(read.shown()),
                Some(missing) if start.elapsed() > READ_WITHIN => {
                    bail!("{}, but no {missing}", read.shown())
                }
                Some(_) => sleep(Duration::from_millis(500)),
            }
        }
    }

    fn read(&self) -> Result<Read> {
        let query = json!({"query": SPANS}).to_string();
        let answer = http::post(self.port, "/graphql", &query, Duration::from_secs(10))?;
        Read::of(&serde_json::from_str(&answer.body)?).context("Phoenix answers otherwise")
    }

    /// Until Ctrl-C.
    pub(super) fn stay(self) {
        println!("\nLook at {}; Ctrl-C ends it.", self.endpoint());
        while !interrupt::asked() {
            sleep(Duration::from_millis(100));
        }
    }
}

impl Read {
    fn of(answer: &Value) -> Option<Self> {
        let mut read = Self::default();
        for project in answer["data"]["projects"]["edges"].as_array()? {
            for span in project["node"]["spans"]["edges"].as_array()? {
                let span = &span["node"];
                let kind = span["spanKind"].as_str()?.to_ascii_uppercase();
                let (spans, tokens) = read.0.entry(kind).or_default();
                *spans += 1;
                *tokens += span["tokenCountTotal"].as_u64().unwrap_or(0);
            }
        }
        Some(read)
    }

    fn missing(&self) -> Option<&'static str> {
        let tokens = |kind| self.0.get(kind).map(|(_, tokens)| *tokens);
        match (tokens("LLM"), tokens("TOOL"), tokens("AGENT")) {
            (None, ..) => Some("LLM"),
            (Some(0), ..) => Some("tokens"),
            (_, None, _) => Some("TOOL"),
            (.., None) => Some("AGENT"),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        let kind = |(kind, (spans, tokens)): (&String, &(u64, u64))| match tokens {
            0 => format!("{spans} {kind}"),
            _ => format!("{spans} {kind} with {tokens} tokens"),
        };
        let kinds: Vec<_> = self.0.iter().map(kind).collect();
        format!("Phoenix reads the spans as {}", kinds.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spans: &[(&str, u64)]) -> Read {
        let spans: Vec<_> = spans
            .iter()
            .map(|(kind, tokens)| json!({"node": {"spanKind": kind, "tokenCountTotal": tokens}}))
            .collect();
        let project = json!({"node": {"spans": {"edges": spans}}});
        Read::of(&json!({"data": {"projects": {"edges": [project]}}})).expect("reads")
    }

    #[test]
    fn each_kind_and_tokens_are_wanted() {
        let missing = |spans: &[(&str, u64)]| read(spans).missing();
        let all = [("llm", 7), ("llm", 2), ("tool", 0), ("agent", 0)];
        assert_eq!(missing(&all), None);
        assert_eq!(missing(&all[2..]), Some("LLM"));
        assert_eq!(missing(&all[..2]), Some("TOOL"));
        assert_eq!(missing(&all[..3]), Some("AGENT"));
        assert_eq!(missing(&[("llm", 0)]), Some("tokens"));
        assert!(
            read(&all)
                .shown()
                .ends_with("1 AGENT, 2 LLM with 9 tokens, 1 TOOL")
        );
    }

    #[test]
    fn another_answer_is_none() {
        assert_eq!(Read::of(&json!({"errors": []})), None);
    }
}
