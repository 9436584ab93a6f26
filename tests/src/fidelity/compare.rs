//! Holds spans against the log of the server that answered. Pure: values in, a verdict out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::span::{Kind, SeenSpan};
use super::stats::Deviations;
use crate::fake::log::{Outcome, Record};

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The server's log, only the calls that are to be seen.
    pub calls: &'a [Record],
    /// All spans that claim to be of these calls, or that nobody claims.
    pub spans: &'a [SeenSpan],
    /// When the client itself had the whole answer, by the model that it asked for, on the log's
    /// clock: a busy client reads long after the server wrote, and its call ends then.
    pub heard: &'a BTreeMap<String, u64>,
    /// Nanoseconds to add to the log's times to get to the spans'.
    pub epoch_offset: u64,
}

/// The result for one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Calls in the log.
    pub calls: usize,
    /// The client's side.
    pub client: Side,
    /// The server's side.
    pub server: Side,
    /// Spans that belong to no call of the log.
    pub phantoms: Vec<String>,
}

/// One side of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// Calls with exactly one span, with all values exact.
    pub exact: usize,
    /// What is wrong, in words.
    pub wrong: Vec<String>,
    /// Distance of the span's start from the server's first read.
    pub start: Deviations,
    /// Distance of the first chunk from the server's write of it.
    pub first_chunk: Deviations,
    /// Distance of the span's end from the server's last write.
    pub end: Deviations,
    /// How long after the call's end the span came out of the probe.
    pub delay: Deviations,
}

impl Verdict {
    /// Every call once on each side with exact values, and nothing else.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        let full = |side: &Side| side.exact == self.calls && side.wrong.is_empty();
        self.calls > 0 && full(&self.client) && full(&self.server) && self.phantoms.is_empty()
    }

    /// All that is wrong.
    pub fn findings(&self) -> impl Iterator<Item = String> {
        let side = |name: &'static str, side: &Side| {
            side.wrong
                .iter()
                .map(move |what| format!("{name}: {what}"))
                .collect::<Vec<_>>()
        };
        let phantoms = self.phantoms.iter().map(|what| format!("phantom: {what}"));
        let sides = [side("client", &self.client), side("server", &self.server)];
        sides.into_iter().flatten().chain(phantoms)
    }
}

/// Compares.
#[must_use]
pub fn compare(given: Given<'_>) -> Verdict {
    let mut by_key: BTreeMap<(&str, bool), Vec<&SeenSpan>> = BTreeMap::new();
    let known: BTreeMap<&str, &Record> = given
        .calls
        .iter()
        .map(|call| (call.facts.asked.as_str(), call))
        .collect();
    let mut phantoms = Vec::new();
    for span in given.spans {
        match span.key().filter(|key| known.contains_key(key)) {
            Some(key) if span.kind != Kind::Other => {
                by_key
                    .entry((key, span.kind == Kind::Server))
                    .or_default()
                    .push(span);
            }
            _ => phantoms.push(describe(span)),
        }
    }
    let side = |server| {
        let mut side = Side::default();
        for call in given.calls {
            let spans = by_key.get(&(call.facts.asked.as_str(), server));
            let heard = given.heard.get(&call.facts.asked).filter(|_| !server);
            side.judge(
                call,
                spans.map_or(&[][..], Vec::as_slice),
                heard.map_or(call.end, |heard| call.end.max(*heard)),
                given.epoch_offset,
            );
        }
        side
    };
    Verdict {
        calls: given.calls.len(),
        client: side(false),
        server: side(true),
        phantoms,
    }
}

fn describe(span: &SeenSpan) -> String {
    format!(
        "{:?} {:?} of pid {:?}, {}",
        span.kind,
        span.name,
        span.pid(),
        json!(span.attributes)
    )
}

impl Side {
    /// `over`: when the call was over on this side, on the log's clock.
    fn judge(&mut self, call: &Record, spans: &[&SeenSpan], over: u64, offset: u64) {
        let [span] = spans else {
            self.wrong
                .push(format!("{} has {} spans", call.facts.asked, spans.len()));
            return;
        };
        self.times(call, span, offset);
        self.delay.add(span.arrived.saturating_sub(over + offset));
        let wrong = differences(call, span);
        if wrong.is_empty() {
            self.exact += 1;
        } else {
            let place = format!("{} ({})", call.facts.asked, span.span_id);
            self.wrong
                .extend(wrong.into_iter().map(|what| format!("{place}: {what}")));
        }
    }

    fn times(&mut self, call: &Record, span: &SeenSpan, offset: u64) {
        self.start.add(span.start.abs_diff(call.start + offset));
        let first = span.attributes.get("gen_ai.response.time_to_first_chunk");
        if let Some(seconds) = first.and_then(Value::as_f64).filter(|_| call.chunks > 0) {
            #[expect(
                clippy::cast_sign_loss,
                reason = "a negative time is as wrong as a huge one"
            )]
            let at = span.start + (seconds * 1e9) as u64;
            self.first_chunk.add(at.abs_diff(call.first_chunk + offset));
        }
        // A stream may be over with its end mark or with its body: both stand in the log.
        let (done, end) = (call.done.min(call.end) + offset, call.end + offset);
        self.end.add(span.end.abs_diff(span.end.clamp(done, end)));
    }
}

/// In what a span differs from its call, times aside.
fn differences(call: &Record, span: &SeenSpan) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, expected) in expected(call, span.kind) {
        let seen = span.attributes.get(name);
        if !expected.holds(seen) {
            let seen = seen.map_or("nothing".to_owned(), Value::to_string);
            wrong.push(format!("{name} is {seen}, not {}", expected.describe()));
        }
    }
    let failed = call.facts.error.is_some() || call.outcome != Outcome::Complete;
    let refused = span.kind == Kind::Server && (400..500).contains(&call.status);
    if span.failed != (failed && !refused) {
        wrong.push(format!(
            "the status is {}",
            if span.failed { "ERROR" } else { "not ERROR" }
        ));
    }
    if span.end < span.start {
        wrong.push("it ends before it starts".to_owned());
    }
    let marks = ["missed_bytes", "undecodable", "limited", "lost_end"];
    for mark in marks.map(|mark| format!("telemetry.kaos.capture.{mark}")) {
        if span.attributes.contains_key(&mark) {
            wrong.push(format!("it is marked {mark}"));
        }
    }
    wrong
}

/// What an attribute must be.
enum Expected {
    Exactly(Value),
    Absent,
    Something,
}

impl Expected {
    fn maybe(value: Option<impl Into<Value>>) -> Self {
        value.map_or(Self::Absent, |value| Self::Exactly(value.into()))
    }

    fn holds(&self, seen: Option<&Value>) -> bool {
        match (self, seen) {
            (Self::Exactly(expected), Some(seen)) => expected == seen,
            (Self::Exactly(_) | Self::Something, None) | (Self::Absent, Some(_)) => false,
            (Self::Absent, None) | (Self::Something, Some(_)) => true,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Exactly(value) => value.to_string(),
            Self::Absent => "absent".to_owned(),
            Self::Something => "there".to_owned(),
        }
    }
}

fn expected(call: &Record, kind: Kind) -> Vec<(&'static str, Expected)> {
    let facts = &call.facts;
    let error = match call.outcome {
        Outcome::Complete => Expected::maybe(facts.error.clone()),
        // Who went first is seen differently from each side.
        Outcome::Cut | Outcome::ClientGone => Expected::Something,
    };
    let mut list = vec![("error.type", error)];
    match facts.dialect.as_str() {
        "mcp" => {
            list.push(("mcp.method.name", Expected::maybe(facts.rpc_method.clone())));
            list.push(("jsonrpc.request.id", Expected::maybe(facts.id.clone())));
            let code = facts.error.clone().filter(|error| error.starts_with('-'));
            list.push(("rpc.response.status_code", Expected::maybe(code)));
        }
        "a2a" => list.push(("rpc.method", Expected::maybe(facts.rpc_method.clone()))),
        _ => list.extend(inference(call)),
    }
    if facts.dialect != "mcp" && kind != Kind::Other {
        list.push((
            "http.response.status_code",
            Expected::Exactly(call.status.into()),
        ));
    }
    list
}

fn inference(call: &Record) -> Vec<(&'static str, Expected)> {
    let facts = &call.facts;
    let finish = Some(facts.finish.clone()).filter(|reasons| !reasons.is_empty());
    let stream = facts.stream.then_some(true);
    let mut list = vec![
        (
            "gen_ai.response.model",
            Expected::maybe(facts.answered.clone()),
        ),
        ("gen_ai.response.id", Expected::maybe(facts.id.clone())),
        (
            "gen_ai.usage.input_tokens",
            Expected::maybe(facts.input_tokens),
        ),
        (
            "gen_ai.usage.output_tokens",
            Expected::maybe(facts.output_tokens),
        ),
        ("gen_ai.response.finish_reasons", Expected::maybe(finish)),
    ];
    // A refused request may have asked for a stream; the log knows only of the answer.
    if call.status < 400 {
        list.push(("gen_ai.request.stream", Expected::maybe(stream)));
    }
    if facts.stream && call.chunks > 0 {
        list.push(("gen_ai.response.time_to_first_chunk", Expected::Something));
    }
    if let Some(cached) = facts.cached_tokens {
        let expected = Expected::Exactly(cached.into());
        list.push(("gen_ai.usage.cache_read.input_tokens", expected));
    }
    if let Some(reasoning) = facts.reasoning_tokens {
        let expected = Expected::Exactly(reasoning.into());
        list.push(("gen_ai.usage.reasoning.output_tokens", expected));
    }
    list
}

#[cfg(test)]
mod tests;
