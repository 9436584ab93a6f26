//! OpenAI's formats, and what is no call.

use super::{Script, sse};
use crate::call::{Format, Operation, ToolCall, Usage};

const CHAT: &str = r#"{"messages":[{"role":"user","content":"secret \"words\""},{"role":"assistant","content":null,"tool_calls":[{"id":"call_0","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_0","content":"secret"}],"model":"gpt-x","stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"top_p":1,"max_completion_tokens":50,"n":2,"seed":7,"stop":["a","b"],"frequency_penalty":0.1,"presence_penalty":-0.2,"response_format":{"type":"json_schema","json_schema":{"type":"no"}},"reasoning_effort":"low","service_tier":"flex","tools":[{"type":"function","function":{"name":"get_weather"}},{"type":"function","function":{"name":"g"}}]}"#;

fn chunk(choices: &str, rest: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x-2026","service_tier":"default","system_fingerprint":"fp_1","choices":[{choices}]{rest}}}"#
    )
}

fn chat_stream() -> String {
    sse(&[
        &chunk(
            r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#,
            r#","usage":null"#,
        ),
        &chunk(
            r#"{"index":0,"delta":{"content":"secret"},"finish_reason":null}"#,
            "",
        ),
        // As llama.cpp has it: keys by the alphabet.
        &chunk(
            r#"{"finish_reason":null,"index":1,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":""}}]}}"#,
            "",
        ),
        &chunk(
            r#"{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]},"finish_reason":null}"#,
            "",
        ),
        &chunk(
            r#"{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Paris\"}"}}]},"finish_reason":null}"#,
            "",
        ),
        &chunk(r#"{"finish_reason":"tool_calls","index":1,"delta":{}}"#, ""),
        &chunk(r#"{"index":0,"delta":{},"finish_reason":"length"}"#, ""),
        &chunk(
            "",
            r#","usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":3}}"#,
        ),
        "[DONE]",
    ])
}

#[test]
fn a_chat_stream_is_read_in_full() {
    let script = Script::post("/any/prefix/v1/chat/completions?x=1", CHAT).sse(&chat_stream());
    let call = script.call();
    let inference = call.inference();
    assert_eq!(inference.operation, Operation::Chat);
    assert_eq!(inference.format, Format::OpenAiChat);
    assert_eq!(inference.provider, "openai");
    assert_eq!(inference.request_model.as_deref(), Some("gpt-x"));
    assert_eq!(inference.response_model.as_deref(), Some("gpt-x-2026"));
    assert_eq!(inference.response_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!(inference.response_service_tier.as_deref(), Some("default"));
    assert_eq!(inference.system_fingerprint.as_deref(), Some("fp_1"));
    assert_eq!(inference.finish_reasons, ["length", "tool_calls"]);
    assert_eq!(inference.answered_tool_calls, ["call_0"]);
    let tool = ToolCall {
        id: Some("call_1".into()),
        name: "get_weather".into(),
    };
    assert_eq!(inference.tool_calls, [tool]);
    let usage = Usage {
        input: Some(20),
        output: Some(9),
        cache_read: Some(4),
        cache_write: None,
        reasoning: Some(3),
    };
    assert_eq!(inference.usage, usage);
    assert_eq!(call.error, None);
    assert_eq!(call.content, None);
    assert!(!format!("{call:?}").contains("secret"));
    assert_eq!(call.http.path, "/any/prefix/v1/chat/completions");
    assert_eq!(call.http.host.as_deref(), Some("model.example"));
    assert_eq!(call.http.port, Some(8080));
}

#[test]
fn a_chat_request_is_read_in_full() {
    let call = Script::post("/v1/chat/completions", CHAT)
        .sse(&chat_stream())
        .call();
    let params = &call.inference().params;
    assert!(params.stream);
    assert_eq!(params.max_tokens, Some(50));
    assert_eq!(params.temperature, Some(0.5));
    assert_eq!(params.top_p, Some(1.0));
    assert_eq!(params.frequency_penalty, Some(0.1));
    assert_eq!(params.presence_penalty, Some(-0.2));
    assert_eq!(params.seed, Some(7));
    assert_eq!(params.choice_count, Some(2));
    assert_eq!(params.stop_sequences, ["a", "b"]);
    assert_eq!(params.output_type, Some("json"));
    assert_eq!(params.reasoning_level.as_deref(), Some("low"));
    assert_eq!(params.service_tier.as_deref(), Some("flex"));
    assert_eq!(params.tools, 2);
}

#[test]
fn a_stream_is_timed_by_its_events() {
    let stream = chat_stream();
    let script = Script::post("/v1/chat/completions", CHAT).sse("");
    let mut run = super::script::Run::new(&script);
    run.request(&[CHAT.as_bytes()]);
    run.response_head();
    run.response(b": ping\n\n");
    let mut ends = Vec::new();
    for event in stream.split_inclusive("\n\n") {
        run.response(event.as_bytes());
        ends.push(run.clock);
    }
    // It is over at `[DONE]`, before the exchange is.
    let finished = matches!(run.outputs().last(), Some(crate::call::Output::Finished(_)));
    assert!(finished);
    run.response(b"data: {\"model\":\"later\",\"choices\":[]}\n\n");
    let calls = run.end();
    let (call, timing) = (&calls[0], calls[0].timing);
    assert!(timing.stream);
    assert_eq!(call.start, 1000);
    assert_eq!(timing.response_start, Some(2000));
    assert_eq!(timing.first_chunk, Some(ends[0]));
    assert_eq!(
        timing.first_token,
        Some(ends[1]),
        "the first has only a role"
    );
    assert_eq!(timing.last_chunk, Some(ends[7]), "the end mark is no chunk");
    assert_eq!(timing.chunks, 8);
    assert_eq!(timing.gaps.count(), 7, "each chunk after the first");
    assert_eq!(timing.gaps.sum, ends[7] - ends[0]);
    assert_eq!(call.end, ends[8]);
    assert_eq!(call.context.tid, 11);
    assert_eq!(call.response_context.map(|c| c.tid), Some(12));
}

#[test]
fn a_plain_chat_answer_is_read() {
    let call = Script::post("/v1/chat/completions", r#"{"model":"m","messages":[],"max_tokens":5}"#)
        .header("x-session-id", "s1")
        .response_header("x-request-id", "req_1")
        .json(r#"{"id":"c1","object":"chat.completion","model":"m1","choices":[{"index":0,"message":{"role":"assistant","content":"x","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"t2","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"},{"index":1,"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#)
        .call();
    let inference = call.inference();
    assert_eq!(inference.finish_reasons, ["tool_calls", "stop"]);
    assert_eq!(inference.tool_calls.len(), 2);
    assert_eq!(inference.params.max_tokens, Some(5));
    assert_eq!(
        (inference.usage.input, inference.usage.output),
        (Some(1), Some(2))
    );
    assert!(!call.timing.stream);
    assert_eq!(call.timing.chunks, 0);
    assert_eq!(call.http.session_id.as_deref(), Some("s1"));
    assert_eq!(call.http.request_id.as_deref(), Some("req_1"));
}

#[test]
fn llama_cpp_counts_where_usage_is_not_asked_for() {
    let stream = sse(&[
        &chunk(
            r#"{"finish_reason":"stop","index":0,"delta":{}}"#,
            r#","timings":{"cache_n":4,"prompt_n":6,"predicted_n":3}"#,
        ),
        "[DONE]",
    ]);
    let call = Script::post("/v1/chat/completions", CHAT)
        .sse(&stream)
        .call();
    let usage = call.inference().usage;
    assert_eq!(
        (usage.input, usage.output, usage.cache_read),
        (Some(10), Some(3), Some(4))
    );
}

#[test]
fn an_azure_path_names_the_model() {
    let call = Script::post("/openai/deployments/my-gpt/chat/completions?api-version=1", r#"{"messages":[]}"#)
        .header("Host", "x.openai.azure.com")
        .sse(&sse(&[
            r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}"#,
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop","index":0}],"id":"c","model":"gpt-4o"}"#,
            "[DONE]",
        ]))
        .call();
    let inference = call.inference();
    assert_eq!(inference.provider, "azure.ai.openai");
    assert_eq!(inference.request_model.as_deref(), Some("my-gpt"));
    assert_eq!(inference.response_model.as_deref(), Some("gpt-4o"));
    assert_eq!(inference.response_id.as_deref(), Some("c"));
}

#[test]
fn completions_are_read() {
    let call = Script::post("/v1/completions", r#"{"model":"m","prompt":"secret","max_tokens":9,"stream":true}"#)
        .sse(&sse(&[
            r#"{"id":"cmpl-1","object":"text_completion","choices":[{"text":"a","index":0,"finish_reason":null}],"model":"m"}"#,
            r#"{"id":"cmpl-1","object":"text_completion","choices":[{"text":"","index":0,"finish_reason":"length"}],"model":"m"}"#,
            r#"{"id":"cmpl-1","choices":[],"model":"m","usage":{"prompt_tokens":3,"completion_tokens":9}}"#,
            "[DONE]",
        ]))
        .call();
    let inference = call.inference();
    assert_eq!(inference.operation, Operation::TextCompletion);
    assert_eq!(inference.format, Format::OpenAiCompletions);
    assert_eq!(inference.finish_reasons, ["length"]);
    assert_eq!(call.error, None, "a full answer is no error");
    assert_eq!(inference.usage.output, Some(9));
}

#[test]
fn embeddings_are_read() {
    let call = Script::post("/v1/embeddings", r#"{"input":["secret"],"model":"e","encoding_format":"base64","dimensions":256}"#)
        .json(r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-0.2]}],"model":"e-1","usage":{"prompt_tokens":8,"total_tokens":8}}"#)
        .call();
    let inference = call.inference();
    assert_eq!(inference.operation, Operation::Embeddings);
    assert_eq!(inference.params.encoding_format.as_deref(), Some("base64"));
    assert_eq!(inference.params.dimensions, Some(256));
    assert_eq!(inference.usage.input, Some(8));
    assert_eq!(inference.usage.output, None);
    assert!(inference.finish_reasons.is_empty());
    assert_eq!(call.error, None);
}

const RESPONSES: &str = r#"{"model":"gpt-y","input":[{"role":"user","content":"secret"},{"type":"function_call","call_id":"c0","name":"f","arguments":"{}"},{"call_id":"c0","output":"secret","type":"function_call_output"}],"stream":true,"max_output_tokens":10,"reasoning":{"effort":"high"},"text":{"format":{"type":"json_object"}},"previous_response_id":"resp_0","conversation":{"id":"conv_1"},"tools":[{"type":"function","name":"f"}]}"#;

#[test]
fn a_responses_stream_is_read() {
    let call = Script::post("/v1/responses", RESPONSES)
        .sse(concat!(
            "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"model\":\"gpt-y-1\",\"status\":\"in_progress\",\"error\":null,\"output\":[],\"usage\":null}}\n\n",
            "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"message\",\"content\":[]}}\n\n",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"secret\"}\n\n",
            "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"}}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"model\":\"gpt-y-1\",\"status\":\"completed\",\"service_tier\":\"default\",\"error\":null,\"incomplete_details\":null,\"output\":[{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"mcp_call\",\"name\":\"theirs\"}],\"usage\":{\"input_tokens\":5,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":6,\"output_tokens_details\":{\"reasoning_tokens\":2}}}}\n\n",
        ))
        .call();
    let inference = call.inference();
    assert_eq!(inference.format, Format::OpenAiResponses);
    assert_eq!(inference.response_id.as_deref(), Some("resp_1"));
    assert_eq!(inference.finish_reasons, ["tool_calls"]);
    assert_eq!(inference.tool_calls.len(), 1);
    assert_eq!(inference.answered_tool_calls, ["c0"]);
    assert_eq!(inference.usage.input, Some(5));
    assert_eq!(inference.usage.reasoning, Some(2));
    assert_eq!(inference.params.reasoning_level.as_deref(), Some("high"));
    assert_eq!(
        inference.params.previous_response_id.as_deref(),
        Some("resp_0")
    );
    assert_eq!(inference.params.conversation_id.as_deref(), Some("conv_1"));
    assert_eq!(inference.params.output_type, Some("json"));
    assert_eq!(call.timing.chunks, 5);
    assert_eq!(call.error, None);
}

#[test]
fn an_incomplete_response_says_why() {
    let call = Script::post("/v1/responses", r#"{"model":"m","input":"secret"}"#)
        .json(r#"{"id":"resp_2","object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"error":null,"model":"m","output":[{"type":"message","content":[{"type":"output_text","text":"secret"}]}],"usage":{"input_tokens":1,"output_tokens":2}}"#)
        .call();
    assert_eq!(call.inference().finish_reasons, ["length"]);
    assert_eq!(call.error, None);
}

#[test]
fn other_exchanges_are_no_calls() {
    let silent = |script: Script| assert!(script.run().is_empty());
    silent(Script::new("GET", "/v1/models"));
    silent(Script::new("GET", "/v1/chat/completions"));
    silent(Script::post(
        "/api/chat",
        r#"{"id":"x","messages":[{"role":"user"}]}"#,
    ));
    silent(Script::post("/responses", r#"{"input":"x"}"#));
    silent(Script::post("/embeddings", r#"{"text":"x"}"#));
    silent(Script::post(
        "/completion",
        r#"{"Prompt":"of Ollama's own runner"}"#,
    ));
    silent(Script::post("/messages", r#"{"model":"m"}"#));
    silent(Script::post(
        "/",
        r#"{"method":"eth_call","jsonrpc":"2.0","id":1}"#,
    ));
    silent(Script::post("/", "not json"));
    silent(Script::post("/v1/completions", r#"{"model":"m"}"#));
}
