//! Holes, floods and nonsense.

use proptest::prelude::*;

use super::script::Run;
use super::{Script, sse};
use crate::call::{Output, Wish};
use crate::message::{End, Handler, Piece};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}"#;
const LAST: &str = r#"{"id":"c","model":"m1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

fn finished(run: Run<'_>) -> crate::call::Call {
    run.end().remove(0)
}

#[test]
fn usage_behind_a_giant_line_is_found() {
    let script = Script::post("/v1/chat/completions", CHAT).sse("");
    let mut run = Run::new(&script);
    run.request(&[CHAT.as_bytes()]);
    run.response_head();
    run.response(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
    for _ in 0..1000 {
        run.response(&[b'x'; 10_000]);
    }
    run.response(b"\"}}]}\n\n");
    run.response(sse(&[LAST, "[DONE]"]).as_bytes());
    let call = finished(run);
    assert_eq!(call.inference().usage.output, Some(2));
    assert_eq!(call.timing.chunks, 2);
    assert!(!call.capture.limited);
}

#[test]
fn white_space_before_a_stream_of_no_named_type_is_no_chunk() {
    let script = Script::post("/v1/messages", CHAT).answer("x/y", "\n: hello\n");
    let call = script.run().remove(0);
    assert_eq!(call.timing.first_chunk, None);
    assert!(call.timing.stream);
}

#[test]
fn a_request_with_a_hole_is_read_from_both_ends() {
    let script = Script::post("/v1/chat/completions", "").sse("");
    let mut run = Run::new(&script);
    run.reader.request_body(
        0,
        Piece::Bytes(br#"{"messages":[{"role":"user","content":[{"image_url":"data:AAAA"#),
        1,
    );
    run.reader.request_body(0, Piece::Gap(3_000_000), 1);
    run.reader.request_body(
        0,
        Piece::Bytes(br#"AAA="}]}],"model":"m","stream":true,"max_tokens":7}"#),
        1,
    );
    run.request(&[]);
    run.response_head();
    run.response(sse(&[LAST, "[DONE]"]).as_bytes());
    let call = finished(run);
    assert_eq!(call.inference().request_model.as_deref(), Some("m"));
    assert_eq!(call.inference().params.max_tokens, Some(7));
    assert_eq!(call.capture.missed_bytes, 3_000_000);
}

#[test]
fn an_answer_with_a_hole_still_has_its_usage() {
    let script = Script::post("/v1/chat/completions", CHAT).json("");
    let mut run = Run::new(&script);
    run.request(&[CHAT.as_bytes()]);
    run.response_head();
    run.response(br#"{"id":"c","choices":[{"index":0,"message":{"content":"aaa"#);
    run.gap(1_000_000);
    run.response(
        br#"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
    );
    let call = finished(run);
    assert_eq!(call.inference().usage.output, Some(2));
    assert_eq!(call.inference().response_id.as_deref(), Some("c"));
    assert!(
        call.inference().finish_reasons.is_empty(),
        "not known is not an error"
    );
    assert_eq!(call.error, None);
}

#[test]
fn an_undecodable_answer_is_marked() {
    let script = Script::post("/v1/chat/completions", CHAT).json("");
    let mut run = Run::new(&script);
    run.request(&[CHAT.as_bytes()]);
    run.response_head();
    run.reader.response_body(0, Piece::Undecodable, 2001);
    let call = finished(run);
    assert!(call.capture.undecodable);
    assert_eq!(call.error, None);
}

#[test]
fn long_names_are_cut_and_marked() {
    let body = format!(r#"{{"model":"{}","messages":[]}}"#, "m".repeat(10_000));
    let script = Script::post("/v1/chat/completions", &body).json("{}");
    let mut run = Run::new(&script);
    run.request(&[body.as_bytes()]);
    let call = finished(run);
    assert_eq!(
        call.inference().request_model.as_ref().map(String::len),
        Some(256)
    );
    assert!(call.capture.limited);
}

#[test]
fn floods_are_bounded() {
    let many = |item: &str| vec![item; 5000].join(",");
    let body = format!(
        r#"{{"model":"m","stop":[{}],"messages":[{}]}}"#,
        many(r#""s""#),
        many(r#"{"tool_call_id":"t"}"#)
    );
    let answer = format!(
        r#"{{"choices":[{}]}}"#,
        many(
            r#"{"message":{"tool_calls":[{"id":null,"function":{"name":"f"}}]},"finish_reason":"stop"}"#
        )
    );
    let script = Script::post("/v1/chat/completions", &body).json("");
    let mut run = Run::new(&script);
    run.request(&[body.as_bytes()]);
    run.response_head();
    run.response(answer.as_bytes());
    let call = finished(run);
    let inference = call.inference();
    assert_eq!(inference.params.stop_sequences.len(), 16);
    assert_eq!(inference.answered_tool_calls.len(), 32);
    assert_eq!(inference.finish_reasons.len(), 128);
    assert_eq!(inference.tool_calls.len(), 128);
    assert!(call.capture.limited);
}

#[test]
fn a_body_that_never_tells_is_given_up() {
    let script = Script::post("/anything", "");
    let mut run = Run::new(&script);
    run.reader.request_body(0, Piece::Bytes(b"{\"a\":["), 1);
    assert_eq!(run.reader.take_wish(), Some(Wish::Full));
    for _ in 0..1100 {
        run.reader
            .request_body(0, Piece::Bytes(&b"[1],".repeat(256)), 1);
    }
    assert_eq!(run.reader.take_wish(), Some(Wish::Demote));
    run.reader.request_body(
        0,
        Piece::Bytes(b"1],\"jsonrpc\":\"2.0\",\"method\":\"tools/call\"}"),
        1,
    );
    run.reader.request_end(0, 1);
    assert!(run.end().is_empty());
}

#[test]
fn streams_are_wished_for_without_limit() {
    let script = Script::post("/v1/chat/completions", CHAT).sse("");
    let mut run = Run::new(&script);
    assert_eq!(run.reader.take_wish(), Some(Wish::Full));
    run.request(&[CHAT.as_bytes()]);
    assert_eq!(run.reader.take_wish(), None);
    run.response_head();
    assert_eq!(run.reader.take_wish(), Some(Wish::Unlimited));
    run.response(sse(&[LAST, "[DONE]"]).as_bytes());
    assert_eq!(
        run.reader.take_wish(),
        Some(Wish::Full),
        "it is over at its end mark"
    );
    run.reader.end(0, End::Complete, 3000);
    assert_eq!(
        run.reader.take_wish(),
        None,
        "the next exchange is likely a call too"
    );
    let foreign = Script::new("GET", "/metrics");
    let mut run = Run::new(&foreign);
    assert_eq!(run.reader.take_wish(), Some(Wish::Demote));
}

fn one_of_all() -> impl Strategy<Value = Script> {
    let targets = prop_oneof![
        Just("/v1/chat/completions"),
        Just("/v1/responses"),
        Just("/v1/messages"),
        Just("/api/chat"),
        Just("/completion"),
        Just("/mcp"),
        Just("/message:send"),
    ];
    let kind = prop_oneof![
        Just("text/event-stream"),
        Just("application/json"),
        Just("application/x-ndjson"),
        Just("x/y"),
    ];
    let request = prop_oneof![Just(CHAT.to_owned()), soup()];
    (targets, kind, request, soup(), 0_usize..50).prop_map(
        |(target, kind, request, answer, cap)| {
            Script::post(target, &request)
                .answer(kind, &answer)
                .cap(cap)
        },
    )
}

/// Pieces of what servers say, in no order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        "\\PC{0,6}",
        "[\\[\\]{}:,\"\\\\\n]{0,4}",
        proptest::sample::select(vec![
            "data: ",
            "event: error\n",
            "\n\n",
            "[DONE]",
            "\"choices\":[",
            "{\"index\":4294967295,",
            "\"index\":1e99",
            "\"delta\":{\"content\":\"a\"}",
            "\"finish_reason\":\"stop\"",
            "\"tool_calls\":[{",
            "\"error\":{\"code\":",
            "\"model\":\"m\",",
            "\"messages\":[]",
            "\"input\":[{",
            "\"prompt\":\"x\"",
            "\"jsonrpc\":\"2.0\",",
            "\"method\":\"tools/call\",",
            "\"id\":1,",
            "\"result\":{",
            "\"message\":{\"parts\":[{\"text\":\"t\"}]}",
            "\"type\":\"message_stop\"",
            "\"usage\":{\"prompt_tokens\":18446744073709551615",
            "\"done\":true",
            "\"content\":[{\"type\":\"tool_use\",\"name\":\"f\",\"input\":{}}]",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(pieces, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn nonsense_does_no_harm(script in one_of_all()) {
        script.run();
    }
}

/// What an open stream holds, beside a few short strings.
#[test]
fn an_open_stream_is_small() {
    use crate::call::{
        body::Body, exchange::Exchange, inference::InferenceReading, reader::Reader,
    };
    let size = size_of::<Reader>()
        + size_of::<Exchange>()
        + size_of::<InferenceReading>()
        + size_of::<Body>();
    assert!(size < 2304, "{size} bytes");
}

#[test]
fn a_long_stream_reports_nothing_until_its_end() {
    let script = Script::post("/v1/chat/completions", CHAT).sse("");
    let mut run = Run::new(&script);
    run.request(&[CHAT.as_bytes()]);
    run.response_head();
    let chunk = sse(&[
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"token"},"finish_reason":null}]}"#,
    ]);
    for _ in 0..10_000 {
        run.response(chunk.as_bytes());
    }
    assert!(matches!(run.outputs(), [Output::Started(_)]));
    let call = finished(run);
    assert_eq!(call.timing.chunks, 10_000);
}
