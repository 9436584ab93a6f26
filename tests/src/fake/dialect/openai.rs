//! OpenAI chat completions, completions and embeddings.

use serde_json::{Value, json};

use super::super::log::Facts;
use super::super::script::Fault;
use super::{Ask, Body, Event, Framing, Reply, Stream, plain, without_the_end};

/// `created` of all answers: the same in each run.
pub(super) const CREATED: u64 = 1_790_000_000;

pub(super) fn chat(ask: Ask<'_>) -> Reply {
    if let Some(status) = ask.script.status {
        return error(&ask, "chat", status);
    }
    let choices = ask.body["n"].as_u64().unwrap_or(1).clamp(1, 128);
    let reason = finish_reason(&ask, true);
    let mut facts = ask.facts("chat", vec![reason.to_owned(); choices as usize]);
    facts.id = Some(ask.id("chatcmpl-"));
    let body = if ask.stream() {
        Body::Stream(chat_stream(&ask, choices, reason, &mut facts))
    } else {
        let message = message(&ask);
        let choice =
            |n| json!({"index": n, "message": message, "logprobs": null, "finish_reason": reason});
        let choices: Vec<_> = (0..choices).map(choice).collect();
        let mut answer = envelope(&ask, &facts, "chat.completion");
        answer["choices"] = choices.into();
        answer["usage"] = usage(&facts);
        Body::Whole(answer.to_string().into_bytes())
    };
    reply(ask, body, facts)
}

pub(super) fn completions(ask: Ask<'_>) -> Reply {
    if let Some(status) = ask.script.status {
        return error(&ask, "completions", status);
    }
    let reason = finish_reason(&ask, false);
    let mut facts = ask.facts("completions", vec![reason.to_owned()]);
    facts.id = Some(ask.id("cmpl-"));
    let answer = envelope(&ask, &facts, "text_completion");
    let body = if ask.stream() {
        let words = ask.words();
        let make = answer.clone();
        let chunk = move |n| {
            let mut event = make.clone();
            event["choices"] = json!([{"index": 0, "text": words(n), "finish_reason": null}]);
            Event::data(&event)
        };
        let mut last = answer.clone();
        last["choices"] = json!([{"index": 0, "text": "", "finish_reason": reason}]);
        let closing = closing(&ask, answer, vec![Event::data(&last)], &mut facts);
        Body::Stream(stream(
            Vec::new(),
            Box::new(chunk),
            ask.script.chunks,
            closing,
        ))
    } else {
        let mut answer = answer;
        answer["choices"] = json!([{"index": 0, "text": ask.text(), "finish_reason": reason}]);
        answer["usage"] = usage(&facts);
        Body::Whole(answer.to_string().into_bytes())
    };
    reply(ask, body, facts)
}

pub(super) fn embeddings(ask: Ask<'_>) -> Reply {
    if let Some(status) = ask.script.status {
        return error(&ask, "embeddings", status);
    }
    let mut facts = ask.facts("embeddings", Vec::new());
    (facts.stream, facts.output_tokens, facts.reasoning_tokens) = (false, None, None);
    (facts.cached_tokens, facts.error) = (None, None);
    let input = facts.input_tokens;
    let embedding = if ask.body["encoding_format"] == "base64" {
        // Sixteen floats, all zero.
        json!("A".repeat(86) + "==")
    } else {
        json!(vec![0.25; 16])
    };
    let answer = json!({
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": embedding}],
        "model": facts.answered,
        "usage": {"prompt_tokens": input, "total_tokens": input},
    });
    let body = Body::Whole(answer.to_string().into_bytes());
    reply(ask, body, facts)
}

fn chat_stream(ask: &Ask<'_>, choices: u64, reason: &str, facts: &mut Facts) -> Stream {
    let answer = envelope(ask, facts, "chat.completion.chunk");
    let with = |answer: &Value, index: u64, delta: Value, reason: Option<&str>| {
        let mut event = answer.clone();
        event["choices"] = json!([{"index": index, "delta": delta, "finish_reason": reason}]);
        Event::data(&event)
    };
    let role = json!({"role": "assistant", "content": ""});
    let opening = (0..choices)
        .map(|n| with(&answer, n, role.clone(), None))
        .collect();
    let (words, make, tool) = (ask.words(), answer.clone(), ask.script.tool);
    let name = tool_name(&ask.body);
    let tool_id = ask.id("call_");
    let chunk = move |n: u32| {
        let index = u64::from(n) % choices;
        let delta = match (tool, u64::from(n) < choices) {
            (false, _) => json!({"content": words(n)}),
            (true, true) => json!({"tool_calls": [{"index": 0, "id": tool_id, "type": "function",
                "function": {"name": name, "arguments": ""}}]}),
            (true, false) => json!({"tool_calls": [{"index": 0, "function": {"arguments": " "}}]}),
        };
        with(&make, index, delta, None)
    };
    let last = (0..choices)
        .map(|n| with(&answer, n, json!({}), Some(reason)))
        .collect();
    let closing = closing(ask, answer, last, facts);
    stream(opening, Box::new(chunk), ask.script.chunks, closing)
}

/// The last events: finish reasons, then usage where it was asked for.
fn closing(ask: &Ask<'_>, answer: Value, mut last: Vec<Event>, facts: &mut Facts) -> Vec<Event> {
    let wanted = ask.body["stream_options"]["include_usage"] == true;
    if ask.script.usage.unwrap_or(wanted) {
        let mut event = answer;
        event["choices"] = json!([]);
        event["usage"] = usage(facts);
        last.push(Event::data(&event));
    } else {
        (facts.input_tokens, facts.output_tokens) = (None, None);
        (facts.cached_tokens, facts.reasoning_tokens) = (None, None);
    }
    without_the_end(facts, ask.script.fault, "server_error");
    last
}

fn stream(
    opening: Vec<Event>,
    chunk: Box<dyn Fn(u32) -> Event + Send>,
    chunks: u32,
    closing: Vec<Event>,
) -> Stream {
    let error = json!({"error": {"message": "The server had an error", "type": "server_error",
        "param": null, "code": null}});
    Stream {
        framing: Framing::Sse,
        opening,
        chunk,
        chunks,
        closing,
        end_mark: Some(Event::Data(None, "[DONE]".to_owned())),
        error: Event::data(&error),
        ping: Event::Comment("ping"),
    }
}

fn message(ask: &Ask<'_>) -> Value {
    if !ask.script.tool {
        return json!({"role": "assistant", "content": ask.text(), "refusal": null});
    }
    let call = json!({"id": ask.id("call_"), "type": "function",
        "function": {"name": tool_name(&ask.body), "arguments": "{}"}});
    json!({"role": "assistant", "content": null, "tool_calls": [call]})
}

fn tool_name(body: &Value) -> String {
    body["tools"][0]["function"]["name"]
        .as_str()
        .unwrap_or("get_weather")
        .to_owned()
}

fn finish_reason(ask: &Ask<'_>, tools: bool) -> &'static str {
    match (ask.script.length, tools && ask.script.tool) {
        (true, _) => "length",
        (_, true) => "tool_calls",
        _ => "stop",
    }
}

fn envelope(ask: &Ask<'_>, facts: &Facts, object: &str) -> Value {
    json!({"id": facts.id, "object": object, "created": CREATED, "model": ask.answered(),
        "system_fingerprint": "fp_fake"})
}

fn usage(facts: &Facts) -> Value {
    let (input, output) = (
        facts.input_tokens.unwrap_or(0),
        facts.output_tokens.unwrap_or(0),
    );
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": facts.cached_tokens.unwrap_or(0)},
        "completion_tokens_details": {"reasoning_tokens": facts.reasoning_tokens.unwrap_or(0)}})
}

/// An answer with an error status, in OpenAI's form.
pub(super) fn error(ask: &Ask<'_>, dialect: &str, status: u16) -> Reply {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..500 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    let body = json!({"error": {"message": "The fake was told to fail", "type": kind,
        "param": null, "code": code}});
    let mut reply = plain(status, &body);
    reply.facts = ask.failure(dialect, code.unwrap_or(kind));
    reply.facts.stream = false;
    reply.script = ask.script.clone();
    reply
}

/// A good answer, with the headers that OpenAI sends unless the script forbids them.
pub(super) fn reply(ask: Ask<'_>, body: Body, facts: Facts) -> Reply {
    let mut headers = Vec::new();
    if !ask.script.no_headers {
        headers.push(("openai-processing-ms", "5".to_owned()));
        headers.push(("openai-version", "2020-10-01".to_owned()));
        headers.push(("x-request-id", ask.id("req_")));
    }
    let content_type = match body {
        Body::Whole(_) => "application/json",
        Body::Stream(_) => "text/event-stream; charset=utf-8",
    };
    debug_assert!(ask.script.fault != Some(Fault::Event) || facts.error.is_some() || !facts.stream);
    Reply {
        status: 200,
        content_type,
        headers,
        body,
        facts,
        script: ask.script,
    }
}
