//! Replies, as bytes: each format says what its log says.

use serde_json::{Value, json};

use super::*;

fn post(path: &str, body: &Value) -> Request {
    Request {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![(
            "accept".to_owned(),
            "application/json, text/event-stream".to_owned(),
        )],
        body: body.to_string().into_bytes(),
        ..Request::default()
    }
}

fn ask(path: &str, body: &Value) -> Reply {
    reply(&post(path, body), 3, "run")
}

fn whole(reply: &Reply) -> Value {
    let Body::Whole(body) = &reply.body else {
        panic!("a whole body")
    };
    serde_json::from_slice(body).unwrap()
}

/// All data events of a stream, in order.
fn events(reply: &Reply) -> Vec<Value> {
    let Body::Stream(stream) = &reply.body else {
        panic!("a stream")
    };
    let pieces = (0..stream.chunks).map(|n| (stream.chunk)(n));
    let all = stream.opening.iter().cloned().chain(pieces);
    let all = all
        .chain(stream.closing.iter().cloned())
        .chain(stream.end_mark.clone());
    let data = all.filter_map(|event| match event {
        Event::Data(_, data) => serde_json::from_str(&data).ok(),
        Event::Comment(_) => None,
    });
    data.collect()
}

fn tokens(reply: &Reply) -> (Option<u64>, Option<u64>) {
    (reply.facts.input_tokens, reply.facts.output_tokens)
}

#[test]
fn a_chat_answer_says_what_the_log_says() {
    let reply = ask(
        "/any/prefix/chat/completions",
        &json!({"model": "fake-n5-ta", "n": 2}),
    );
    let body = whole(&reply);
    assert_eq!(body["id"].as_str(), reply.facts.id.as_deref());
    assert_eq!(body["model"], "fake-n5-ta.answered");
    assert_eq!(
        body["usage"]["prompt_tokens"].as_u64(),
        reply.facts.input_tokens
    );
    assert_eq!(
        body["usage"]["completion_tokens"].as_u64(),
        reply.facts.output_tokens
    );
    assert_eq!(body["choices"].as_array().unwrap().len(), 2);
    assert_eq!(reply.facts.finish, ["stop", "stop"]);
}

#[test]
fn a_chat_stream_tells_usage_only_when_asked() {
    let asked = json!({"model": "fake-n3-ta", "stream": true,
        "stream_options": {"include_usage": true}});
    let reply = ask("/v1/chat/completions", &asked);
    let all = events(&reply);
    assert_eq!(
        all.last().unwrap()["usage"]["prompt_tokens"].as_u64(),
        reply.facts.input_tokens
    );
    assert_eq!(all.last().unwrap()["choices"], json!([]));
    assert_eq!(all.len(), 1 + 3 + 1 + 1);
    let silent = ask(
        "/v1/chat/completions",
        &json!({"model": "fake-n3-ta", "stream": true}),
    );
    assert_eq!(tokens(&silent), (None, None));
    assert!(
        events(&silent)
            .iter()
            .all(|event| event.get("usage").is_none())
    );
}

#[test]
fn a_messages_stream_counts_cached_tokens_beside_its_input() {
    let reply = ask(
        "/v1/messages",
        &json!({"model": "fake-n3-cached40-ta", "stream": true}),
    );
    let all = events(&reply);
    let usage = &all[0]["message"]["usage"];
    let sum = usage["input_tokens"].as_u64().unwrap() + 40;
    assert_eq!(
        (usage["cache_read_input_tokens"].as_u64(), Some(sum)),
        (Some(40), tokens(&reply).0)
    );
    let delta = all
        .iter()
        .find(|event| event["type"] == "message_delta")
        .unwrap();
    assert_eq!(
        delta["usage"]["output_tokens"].as_u64(),
        reply.facts.output_tokens
    );
    assert_eq!(all.last().unwrap()["type"], "message_stop");
}

#[test]
fn responses_end_with_the_whole_response() {
    let reply = ask(
        "/v1/responses",
        &json!({"model": "fake-n3-len-ta", "stream": true}),
    );
    let last = events(&reply).pop().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(
        last["response"]["usage"]["input_tokens"].as_u64(),
        reply.facts.input_tokens
    );
    assert_eq!(reply.facts.finish, ["length"]);
    assert_eq!(reply.facts.error.as_deref(), Some("length"));
}

#[test]
fn ollama_streams_unless_it_is_told_not_to() {
    let reply = ask("/api/chat", &json!({"model": "fake-n2-ta"}));
    assert!(reply.facts.stream);
    let last = events(&reply).pop().unwrap();
    assert_eq!(
        (&last["done"], last["eval_count"].as_u64()),
        (&json!(true), tokens(&reply).1)
    );
    let reply = ask(
        "/api/generate",
        &json!({"model": "fake-n2-ta", "stream": false}),
    );
    assert!(!reply.facts.stream);
    assert_eq!(
        whole(&reply)["prompt_eval_count"].as_u64(),
        reply.facts.input_tokens
    );
}

#[test]
fn what_a_fault_keeps_from_the_wire_is_not_in_the_log() {
    let body = json!({"model": "fake-n4-ee-ta", "stream": true,
        "stream_options": {"include_usage": true}});
    let reply = ask("/v1/chat/completions", &body);
    assert_eq!(tokens(&reply), (None, None));
    assert_eq!(reply.facts.finish, ["error"]);
    assert_eq!(reply.facts.error.as_deref(), Some("server_error"));
    let reply = ask("/v1/messages", &body);
    assert_eq!(
        reply.facts.output_tokens,
        Some(1),
        "message_start has said so"
    );
    assert_eq!(reply.facts.error.as_deref(), Some("overloaded_error"));
}

#[test]
fn errors_have_the_providers_form() {
    let reply = ask("/v1/chat/completions", &json!({"model": "fake-e429-ta"}));
    assert_eq!(
        (reply.status, &whole(&reply)["error"]["code"]),
        (429, &json!("rate_limit_exceeded"))
    );
    assert_eq!(reply.facts.error.as_deref(), Some("rate_limit_exceeded"));
    let reply = ask("/v1/messages", &json!({"model": "fake-e529-ta"}));
    assert_eq!(
        (reply.status, reply.facts.error.as_deref()),
        (529, Some("overloaded_error"))
    );
    let reply = ask("/api/chat", &json!({"model": "fake-e500-ta"}));
    assert_eq!(
        (reply.status, reply.facts.error.as_deref()),
        (500, Some("500"))
    );
}

#[test]
fn mcp_answers_in_the_form_that_is_wanted() {
    let call = |name: &str| json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name}});
    let reply = ask("/mcp", &call("fake-rpcerr-ta"));
    assert!(
        reply.facts.stream,
        "the client takes event streams and has a session"
    );
    assert_eq!(events(&reply)[0]["error"]["code"], -32602);
    assert_eq!(reply.facts.error.as_deref(), Some("-32602"));
    let reply = ask("/mcp", &call("fake-json-toolerr-ta"));
    assert_eq!(whole(&reply)["result"]["isError"], true);
    assert_eq!(reply.facts.error.as_deref(), Some("tool_error"));
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(ask("/mcp", &note).status, 202);
}

#[test]
fn events_are_written_with_either_line_end() {
    let event = Event::Data(Some("x"), "{}".to_owned());
    assert_eq!(event.render(Framing::Sse, false), b"event: x\ndata: {}\n\n");
    assert_eq!(
        event.render(Framing::Sse, true),
        b"event: x\r\ndata: {}\r\n\r\n"
    );
    assert_eq!(event.render(Framing::Ndjson, false), b"{}\n");
    assert_eq!(
        Event::Comment("ping").render(Framing::Sse, false),
        b": ping\n\n"
    );
}
