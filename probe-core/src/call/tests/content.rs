//! Opted-in content, in the shapes of the conventions.

use serde_json::{Value as Json, json};

use super::{Script, sse};
use crate::call::Content;

fn content(script: Script, cap: usize) -> Content {
    *script.cap(cap).call().content.unwrap()
}

fn parse(text: Option<&String>) -> Json {
    serde_json::from_str(text.unwrap()).unwrap()
}

#[test]
fn a_chat_is_kept_in_the_shapes_of_the_conventions() {
    let request = json!({"model": "m", "messages": [
        {"role": "system", "content": "be \"kind\"\n"},
        {"role": "user", "content": [{"type": "text", "text": "h\u{e9}"}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c0", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
        {"role": "tool", "tool_call_id": "c0", "content": "42"},
    ]});
    let stream = sse(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"hm"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"so "}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"it is"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"g","arguments":"{\"b\""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":2}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    let script = Script::post("/v1/chat/completions", &request.to_string()).sse(&stream);
    let content = content(script, 10_000);
    assert_eq!(
        parse(content.input_messages.as_ref()),
        json!([
            {"role": "system", "parts": [{"type": "text", "content": "be \"kind\"\n"}]},
            {"role": "user", "parts": [{"type": "text", "content": "h\u{e9}"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c0", "name": "f", "arguments": {"a": 1}}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c0", "response": "42"}]},
        ])
    );
    assert_eq!(
        parse(content.output_messages.as_ref()),
        json!([{"role": "assistant", "parts": [
            {"type": "reasoning", "content": "hm"},
            {"type": "text", "content": "so it is"},
            {"type": "tool_call", "id": "c1", "name": "g", "arguments": {"b": 2}},
        ], "finish_reason": "tool_calls"}])
    );
    assert!(!content.truncated);
}

#[test]
fn anthropic_content_is_kept() {
    let request = json!({"model": "m", "system": "sys", "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "t"}, {"type": "tool_use", "id": "u", "name": "f", "input": {"a": [1]}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "u", "content": "res"}]},
    ]});
    let stream = sse(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"v","name":"g","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"c\":"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"3}"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let content = content(
        Script::post("/v1/messages", &request.to_string()).sse(&stream),
        10_000,
    );
    assert_eq!(
        parse(content.system_instructions.as_ref()),
        json!([{"type": "text", "content": "sys"}])
    );
    assert_eq!(
        parse(content.input_messages.as_ref()),
        json!([
            {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
            {"role": "assistant", "parts": [
                {"type": "text", "content": "t"},
                {"type": "tool_call", "id": "u", "name": "f", "arguments": {"a": [1]}}]},
            {"role": "user", "parts": [{"type": "tool_call_response", "id": "u", "response": "res"}]},
        ])
    );
    assert_eq!(
        parse(content.output_messages.as_ref()),
        json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "v", "name": "g", "arguments": {"c": 3}}], "finish_reason": "tool_use"}])
    );
}

#[test]
fn tool_arguments_and_results_are_kept() {
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"f","arguments":{"a":"\u00e9"}}}"#;
    let script = Script::post("/mcp", request)
        .json(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"r"}]}}"#);
    let content = content(script, 1000);
    assert_eq!(
        parse(content.tool_arguments.as_ref()),
        json!({"a": "\u{e9}"})
    );
    assert_eq!(
        parse(content.tool_result.as_ref()),
        json!([{"type": "text", "text": "r"}])
    );
}

#[test]
fn what_agents_say_is_kept() {
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{"message":{"parts":[{"text":"do"}]}}}"#;
    let script = Script::post("/", request)
        .json(r#"{"jsonrpc":"2.0","id":1,"result":{"artifacts":[{"parts":[{"text":"done"}]}]}}"#);
    let content = content(script, 1000);
    let said = |role, text| json!([{"role": role, "parts": [{"type": "text", "content": text}]}]);
    assert_eq!(parse(content.input_messages.as_ref()), said("user", "do"));
    assert_eq!(
        parse(content.output_messages.as_ref()),
        said("assistant", "done")
    );
}

#[test]
fn content_is_capped_and_stays_json() {
    let long = "\u{e9}".repeat(500);
    let request = json!({"model": "m", "messages": [{"role": "user", "content": long}, {"role": "user", "content": long}]});
    let chunk =
        json!({"choices": [{"index": 0, "delta": {"content": "\u{e9}".repeat(40)}}]}).to_string();
    let stream = sse(&[&chunk, &chunk, &chunk, "[DONE]"]);
    let script = Script::post("/v1/chat/completions", &request.to_string()).sse(&stream);
    let content = content(script, 101);
    assert!(content.truncated);
    let output = parse(content.output_messages.as_ref());
    assert_eq!(
        output[0]["parts"][0]["content"].as_str().unwrap().len(),
        100
    );
    assert!(parse(content.input_messages.as_ref()).to_string().len() < 300);
}

#[test]
fn arguments_without_end_are_capped() {
    let piece = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"g","arguments":"0123456789"}}]}}]}"#;
    let script = Script::post("/v1/chat/completions", r#"{"model":"m","messages":[]}"#)
        .sse(&sse(&[piece, piece, piece, "[DONE]"]));
    let content = content(script, 25);
    let output = parse(content.output_messages.as_ref());
    assert_eq!(
        output[0]["parts"][0]["arguments"],
        json!("0123456789012345678901234")
    );
    assert!(content.truncated);
}
