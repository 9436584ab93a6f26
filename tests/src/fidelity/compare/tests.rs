//! The comparison must find what is wrong: each test doctors spans that were right.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::fake::log::Facts;

const OFFSET: u64 = 1_000_000_000_000;

fn call(number: u64) -> Record {
    Record {
        call: number,
        facts: Facts {
            dialect: "chat".to_owned(),
            asked: format!("fake-tc{number}"),
            answered: Some(format!("fake-tc{number}.answered")),
            id: Some(format!("chatcmpl-{number}")),
            stream: true,
            input_tokens: Some(7 + number),
            output_tokens: Some(5),
            finish: vec!["stop".to_owned()],
            ..Facts::default()
        },
        status: 200,
        start: 1_000_000 * number,
        first_chunk: 1_000_000 * number + 200_000,
        done: 1_000_000 * number + 400_000,
        end: 1_000_000 * number + 500_000,
        chunks: 8,
        ..Record::default()
    }
}

fn span(call: &Record, kind: Kind) -> SeenSpan {
    let facts = &call.facts;
    let attributes = json!({
        "gen_ai.request.model": facts.asked,
        "gen_ai.response.model": facts.answered,
        "gen_ai.response.id": facts.id,
        "gen_ai.usage.input_tokens": facts.input_tokens,
        "gen_ai.usage.output_tokens": facts.output_tokens,
        "gen_ai.response.finish_reasons": facts.finish,
        "gen_ai.request.stream": true,
        "gen_ai.response.time_to_first_chunk": 0.0002,
        "http.response.status_code": call.status,
    });
    let Value::Object(attributes) = attributes else {
        panic!("an object")
    };
    SeenSpan {
        span_id: format!("{kind:?}{}", call.call),
        kind,
        start: call.start + OFFSET,
        end: call.end + OFFSET,
        arrived: call.end + OFFSET + 3_000_000,
        attributes: attributes.into_iter().collect(),
        ..SeenSpan::default()
    }
}

fn right() -> (Vec<Record>, Vec<SeenSpan>) {
    let calls: Vec<_> = (1..=3).map(call).collect();
    let both = |call| [span(call, Kind::Client), span(call, Kind::Server)];
    let spans = calls.iter().flat_map(both).collect();
    (calls, spans)
}

fn verdict(calls: &[Record], spans: &[SeenSpan]) -> Verdict {
    compare(Given {
        calls,
        spans,
        heard: &BTreeMap::new(),
        epoch_offset: OFFSET,
    })
}

#[test]
fn a_client_that_reads_late_ends_late() {
    let (calls, mut spans) = right();
    let late = calls[0].end + 3_000_000_000;
    for span in &mut spans {
        span.arrived = late + OFFSET;
    }
    let heard = BTreeMap::from([(calls[0].facts.asked.clone(), late)]);
    let given = Given {
        calls: &calls[..1],
        spans: &spans[..2],
        heard: &heard,
        epoch_offset: OFFSET,
    };
    let verdict = compare(given);
    assert!(verdict.client.delay.p99() < 1.0);
    assert!(verdict.server.delay.p99() > 2_900.0);
}

/// Doctors the first span and says what the comparison finds.
fn doctored(doctor: impl Fn(&mut SeenSpan)) -> Vec<String> {
    let (calls, mut spans) = right();
    doctor(&mut spans[0]);
    let verdict = verdict(&calls, &spans);
    assert!(!verdict.is_perfect());
    verdict.findings().collect()
}

#[test]
fn what_is_right_is_perfect() {
    let (calls, spans) = right();
    let verdict = verdict(&calls, &spans);
    assert!(
        verdict.is_perfect(),
        "{:?}",
        verdict.findings().collect::<Vec<_>>()
    );
    assert!(verdict.client.start.p99() < 1e-9 && verdict.server.end.p99() < 1e-9);
    assert!(verdict.client.first_chunk.p99() < 0.001);
    assert!((verdict.client.delay.median() - 3.0).abs() < 1e-9);
}

#[test]
fn no_calls_are_not_perfect() {
    assert!(!verdict(&[], &[]).is_perfect());
}

#[test]
fn a_missing_span_a_double_one_and_a_phantom_are_found() {
    let (calls, mut spans) = right();
    let missing = verdict(&calls, &spans[1..]);
    assert_eq!(
        missing.findings().collect::<Vec<_>>(),
        ["client: fake-tc1 has 0 spans"]
    );
    spans.push(spans[1].clone());
    let double = verdict(&calls, &spans);
    assert_eq!(
        double.findings().collect::<Vec<_>>(),
        ["server: fake-tc1 has 2 spans"]
    );
    spans.pop();
    spans.push(SeenSpan {
        name: "chat ghost".to_owned(),
        ..SeenSpan::default()
    });
    let phantom = verdict(&calls, &spans);
    assert_eq!(phantom.phantoms.len(), 1);
    assert!(!phantom.is_perfect());
}

#[test]
fn a_span_of_another_call_is_found() {
    let (calls, mut spans) = right();
    let id = spans[2].attributes["gen_ai.response.id"].clone();
    spans[0]
        .attributes
        .insert("gen_ai.response.id".to_owned(), id);
    assert!(!verdict(&calls, &spans).is_perfect());
}

#[test]
fn each_wrong_value_is_found() {
    let values = [
        ("gen_ai.response.model", json!("other")),
        ("gen_ai.response.id", json!("chatcmpl-9")),
        ("gen_ai.usage.input_tokens", json!(9)),
        ("gen_ai.usage.output_tokens", json!(0)),
        ("gen_ai.response.finish_reasons", json!(["length"])),
        ("gen_ai.request.stream", json!(false)),
        ("http.response.status_code", json!(500)),
        ("error.type", json!("500")),
        ("telemetry.kaos.capture.missed_bytes", json!(3)),
    ];
    for (name, value) in values {
        let found = doctored(|span| {
            span.attributes.insert(name.to_owned(), value.clone());
        });
        assert!(
            found.len() == 1 && found[0].contains(name),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn each_absent_value_is_found() {
    let (calls, spans) = right();
    for name in spans[0].attributes.keys() {
        let mut spans = spans.clone();
        spans[0].attributes.remove(name);
        assert!(!verdict(&calls, &spans).is_perfect(), "{name}");
    }
}

#[test]
fn a_wrong_status_is_found() {
    assert!(doctored(|span| span.failed = true)[0].ends_with("the status is ERROR"));
    let (mut calls, mut spans) = right();
    calls[0].facts.error = Some("server_error".to_owned());
    for span in &mut spans[..2] {
        span.attributes
            .insert("error.type".to_owned(), json!("server_error"));
    }
    assert!(!verdict(&calls, &spans).is_perfect());
    spans[0].failed = true;
    spans[1].failed = true;
    assert!(verdict(&calls, &spans).is_perfect());
}

#[test]
fn times_are_measured_and_the_end_mark_is_an_end() {
    let (calls, mut spans) = right();
    spans[0].start += 2_000_000;
    spans[0].end = calls[0].done + OFFSET;
    spans[2].end = calls[1].done + OFFSET - 5_000_000;
    spans[2].start -= 10_000_000;
    let verdict = verdict(&calls, &spans);
    assert!((verdict.client.start.median() - 2.0).abs() < 1e-9);
    assert!((verdict.client.start.p99() - 10.0).abs() < 1e-9);
    assert!((verdict.client.end.p99() - 5.0).abs() < 1e-9);
    assert!(verdict.client.end.median() < 1e-9);
    assert!((verdict.client.first_chunk.p99() - 10.0).abs() < 0.01);
}

#[test]
fn a_refusal_is_no_error_of_the_server() {
    let mut call = call(1);
    call.status = 429;
    call.facts = Facts {
        error: Some("rate_limit_exceeded".to_owned()),
        dialect: "chat".to_owned(),
        asked: "fake-tc1".to_owned(),
        ..Facts::default()
    };
    let make = |kind, failed| {
        let mut span = span(&call, kind);
        span.attributes
            .retain(|name, value| !name.contains("chunk") && !value.is_null());
        span.attributes.remove("gen_ai.response.finish_reasons");
        span.attributes
            .insert("error.type".to_owned(), json!("rate_limit_exceeded"));
        span.failed = failed;
        span
    };
    let spans = [make(Kind::Client, true), make(Kind::Server, false)];
    let good = verdict(std::slice::from_ref(&call), &spans);
    assert!(
        good.is_perfect(),
        "{:?}",
        good.findings().collect::<Vec<_>>()
    );
    let spans = [make(Kind::Client, false), make(Kind::Server, false)];
    assert!(!verdict(&[call.clone()], &spans).is_perfect());
}
