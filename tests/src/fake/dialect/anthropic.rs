//! Anthropic messages.

use serde_json::{Value, json};

use super::super::log::Facts;
use super::super::script::Fault;
use super::{Ask, Body, Event, Framing, Reply, Stream, plain};

pub(super) fn reply(ask: Ask<'_>) -> Reply {
    if let Some(status) = ask.script.status {
        return error(&ask, status);
    }
    let reason = match (ask.script.length, ask.script.tool) {
        (true, _) => "max_tokens",
        (_, true) => "tool_use",
        _ => "end_turn",
    };
    let mut facts = ask.facts("messages", vec![reason.to_owned()]);
    facts.id = Some(ask.id("msg_"));
    let body = if ask.stream() {
        cut_facts(&ask, &mut facts);
        Body::Stream(stream(&ask, reason))
    } else {
        let mut message = message(&ask, ask.output_tokens());
        message["content"] = json!([block(&ask, &ask.text())]);
        message["stop_reason"] = reason.into();
        Body::Whole(message.to_string().into_bytes())
    };
    let content_type = match body {
        Body::Whole(_) => "application/json",
        Body::Stream(_) => "text/event-stream; charset=utf-8",
    };
    let headers = if ask.script.no_headers {
        Vec::new()
    } else {
        vec![
            ("request-id", ask.id("req_")),
            (
                "anthropic-organization-id",
                "00000000-0000-4000-8000-000000000000".to_owned(),
            ),
        ]
    };
    Reply {
        status: 200,
        content_type,
        headers,
        body,
        facts,
        script: ask.script,
    }
}

/// In a stream the input stands in the first event, so it is known even when the end never comes.
fn cut_facts(ask: &Ask<'_>, facts: &mut Facts) {
    let Some(fault) = ask.script.fault else {
        return;
    };
    facts.output_tokens = Some(1);
    facts.reasoning_tokens = None;
    facts.finish = vec!["error".to_owned()];
    if fault == Fault::Event {
        facts.error = Some("overloaded_error".to_owned());
    }
}

/// Anthropic counts cached tokens beside the input, not in it.
fn usage(ask: &Ask<'_>, output: u64) -> Value {
    json!({
        "input_tokens": ask.input_tokens() - ask.script.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": ask.script.cached,
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn message(ask: &Ask<'_>, output: u64) -> Value {
    json!({
        "id": ask.id("msg_"), "type": "message", "role": "assistant", "model": ask.answered(),
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage(ask, output),
    })
}

fn block(ask: &Ask<'_>, text: &str) -> Value {
    if ask.script.tool {
        json!({"type": "tool_use", "id": ask.id("toolu_"), "name": "get_weather",
            "input": {}})
    } else {
        json!({"type": "text", "text": text})
    }
}

fn stream(ask: &Ask<'_>, reason: &str) -> Stream {
    let event = |name: &'static str, body: Value| {
        let mut value = body;
        value["type"] = name.into();
        Event::named(name, &value)
    };
    let opening = vec![
        event("message_start", json!({"message": message(ask, 1)})),
        event(
            "content_block_start",
            json!({"index": 0, "content_block": block(ask, "")}),
        ),
    ];
    let (words, tool) = (ask.words(), ask.script.tool);
    let chunk = move |n: u32| {
        let delta = if tool {
            json!({"type": "input_json_delta", "partial_json": ""})
        } else {
            json!({"type": "text_delta", "text": words(n)})
        };
        let body = json!({"type": "content_block_delta", "index": 0, "delta": delta});
        Event::named("content_block_delta", &body)
    };
    let delta = json!({"delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": ask.output_tokens()}});
    let error = json!({"error": {"type": "overloaded_error", "message": "Overloaded"}});
    Stream {
        framing: Framing::Sse,
        opening,
        chunk: Box::new(chunk),
        chunks: ask.script.chunks,
        closing: vec![
            event("content_block_stop", json!({"index": 0})),
            event("message_delta", delta),
        ],
        end_mark: Some(event("message_stop", json!({}))),
        error: event("error", error),
        ping: event("ping", json!({})),
    }
}

fn error(ask: &Ask<'_>, status: u16) -> Reply {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    };
    let body = json!({"type": "error", "request_id": ask.id("req_"),
        "error": {"type": kind, "message": "The fake was told to fail"}});
    let mut reply = plain(status, &body);
    reply.facts = ask.failure("messages", kind);
    reply.script = ask.script.clone();
    reply
}
