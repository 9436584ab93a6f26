//! OpenAI responses.

use serde_json::{Value, json};

use super::openai::{CREATED, error, reply as openai_reply};
use super::{Ask, Body, Event, Framing, Reply, Stream, without_the_end};

pub(super) fn reply(ask: Ask<'_>) -> Reply {
    if let Some(status) = ask.script.status {
        return error(&ask, "responses", status);
    }
    let reason = match (ask.script.length, ask.script.tool) {
        (true, _) => "length",
        (_, true) => "tool_calls",
        _ => "stop",
    };
    let mut facts = ask.facts("responses", vec![reason.to_owned()]);
    facts.id = Some(ask.id("resp_"));
    let full = response(&ask);
    let body = if ask.stream() {
        without_the_end(&mut facts, ask.script.fault, "server_error");
        Body::Stream(stream(&ask, &full))
    } else {
        Body::Whole(full.to_string().into_bytes())
    };
    openai_reply(ask, body, facts)
}

fn response(ask: &Ask<'_>) -> Value {
    let (input, output) = (ask.input_tokens(), ask.output_tokens());
    let (status, why) = if ask.script.length {
        ("incomplete", json!({"reason": "max_output_tokens"}))
    } else {
        ("completed", Value::Null)
    };
    json!({
        "id": ask.id("resp_"), "object": "response", "created_at": CREATED, "status": status,
        "error": null, "incomplete_details": why, "instructions": null, "metadata": {},
        "model": ask.answered(), "output": [output_item(ask)], "parallel_tool_calls": true,
        "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "usage": {
            "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
            "input_tokens_details": {"cached_tokens": ask.script.cached},
            "output_tokens_details": {"reasoning_tokens": ask.script.reasoning},
        },
    })
}

fn output_item(ask: &Ask<'_>) -> Value {
    if ask.script.tool {
        return json!({"type": "function_call", "id": ask.id("fc_"), "call_id": ask.id("call_"),
            "name": "get_weather", "arguments": "{}", "status": "completed"});
    }
    json!({"type": "message", "id": ask.id("msg_"), "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": ask.text(), "annotations": []}]})
}

fn stream(ask: &Ask<'_>, full: &Value) -> Stream {
    let mut begun = full.clone();
    begun["status"] = "in_progress".into();
    begun["incomplete_details"] = Value::Null;
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    let event = |name: &'static str, body: Value| {
        let mut value = body;
        value["type"] = name.into();
        Event::named(name, &value)
    };
    let item = output_item(ask);
    let opening = vec![
        event(
            "response.created",
            json!({"sequence_number": 0, "response": begun}),
        ),
        event(
            "response.in_progress",
            json!({"sequence_number": 1, "response": begun}),
        ),
        event(
            "response.output_item.added",
            json!({"sequence_number": 2, "output_index": 0, "item": item}),
        ),
    ];
    let (words, item_id, tool) = (ask.words(), item["id"].clone(), ask.script.tool);
    let chunk = move |n: u32| {
        let (name, delta) = if tool {
            ("response.function_call_arguments.delta", " ".to_owned())
        } else {
            ("response.output_text.delta", words(n))
        };
        let body = json!({"type": name, "sequence_number": n + 3, "item_id": item_id,
            "output_index": 0, "content_index": 0, "delta": delta, "logprobs": []});
        Event::named(name, &body)
    };
    let after = u64::from(ask.script.chunks) + 3;
    let closing = vec![event(
        "response.output_item.done",
        json!({"sequence_number": after, "output_index": 0, "item": item}),
    )];
    let last = if ask.script.length {
        "response.incomplete"
    } else {
        "response.completed"
    };
    let end = event(
        last,
        json!({"sequence_number": after + 1, "response": full}),
    );
    let error = json!({"code": "server_error", "message": "The server had an error",
        "param": null, "sequence_number": after});
    Stream {
        framing: Framing::Sse,
        opening,
        chunk: Box::new(chunk),
        chunks: ask.script.chunks,
        closing,
        end_mark: Some(end),
        error: event("error", error),
        ping: Event::Comment("ping"),
    }
}
