//! Anthropic messages.

use super::Script;
use crate::call::{Format, Usage};

const REQUEST: &str = r#"{"model":"claude-x","max_tokens":100,"system":[{"type":"text","text":"secret"}],"messages":[{"role":"user","content":"secret"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_0","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_0","content":"secret"}]}],"stream":true,"top_k":40,"stop_sequences":["END"],"tools":[{"name":"f"}]}"#;

const STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x-1\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":3,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"secret\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"get_weather\",\"input\":{}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"city\\\": \"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\\\"Paris\\\"}\"}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"server_tool_use\",\"id\":\"srv_1\",\"name\":\"web_search\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":null,\"output_tokens\":30}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

#[test]
fn a_stream_is_read_in_full() {
    let call = Script::post("/v1/messages", REQUEST)
        .header("anthropic-version", "2023-06-01")
        .sse(STREAM)
        .call();
    let inference = call.inference();
    assert_eq!(inference.format, Format::Anthropic);
    assert_eq!(inference.provider, "anthropic");
    assert_eq!(inference.request_model.as_deref(), Some("claude-x"));
    assert_eq!(inference.response_model.as_deref(), Some("claude-x-1"));
    assert_eq!(inference.response_id.as_deref(), Some("msg_1"));
    assert_eq!(inference.finish_reasons, ["tool_use"]);
    assert_eq!(
        inference.tool_calls.len(),
        1,
        "the provider runs its own tools"
    );
    assert_eq!(inference.tool_calls[0].id.as_deref(), Some("toolu_1"));
    assert_eq!(inference.answered_tool_calls, ["toolu_0"]);
    let usage = Usage {
        input: Some(18),
        output: Some(30),
        cache_read: Some(5),
        cache_write: Some(3),
        reasoning: None,
    };
    assert_eq!(inference.usage, usage);
    assert_eq!(inference.params.top_k, Some(40.0));
    assert_eq!(inference.params.stop_sequences, ["END"]);
    assert_eq!(inference.params.max_tokens, Some(100));
    assert_eq!(call.timing.chunks, 11);
    assert!(!format!("{call:?}").contains("secret"));
}

#[test]
fn a_plain_answer_is_read() {
    let call = Script::post("/v1/messages", r#"{"model":"m","messages":[],"max_tokens":1}"#)
        .response_header("request-id", "req_9")
        .json(r#"{"id":"msg_2","type":"message","role":"assistant","model":"m1","content":[{"type":"thinking","thinking":"secret"},{"type":"text","text":"secret"},{"type":"tool_use","id":"t","name":"f","input":{"x":[1]}}],"stop_reason":"max_tokens","stop_sequence":null,"usage":{"input_tokens":4,"output_tokens":1,"output_tokens_details":{"thinking_tokens":1}}}"#)
        .call();
    let inference = call.inference();
    assert_eq!(inference.finish_reasons, ["max_tokens"]);
    assert_eq!(inference.tool_calls.len(), 1);
    assert_eq!(inference.usage.input, Some(4));
    assert_eq!(inference.usage.reasoning, Some(1));
    assert_eq!(call.http.request_id.as_deref(), Some("req_9"));
    assert_eq!(call.error, None);
}

#[test]
fn an_error_event_in_a_stream_is_an_error() {
    let cut = STREAM.split("event: content_block_stop").next().unwrap();
    let stream = format!(
        "{cut}event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"overloaded_error\",\"message\":\"secret\"}}}}\n\n"
    );
    let call = Script::post("/v1/messages", REQUEST).sse(&stream).call();
    assert_eq!(call.error_kind(), Some("overloaded_error"));
    assert_eq!(call.inference().finish_reasons, ["error"]);
    assert_eq!(call.inference().usage.input, Some(18));
}
