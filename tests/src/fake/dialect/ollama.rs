//! Ollama's own API.

use serde_json::{Value, json};

use super::{Ask, Body, Event, Framing, Reply, Stream, plain, without_the_end};

/// `created_at` of all answers: the same in each run.
const CREATED_AT: &str = "2026-10-01T00:00:00.000000000Z";

pub(super) fn reply(ask: Ask<'_>) -> Reply {
    if let Some(status) = ask.script.status {
        let mut reply = plain(status, &json!({"error": "the fake was told to fail"}));
        reply.facts = ask.failure("ollama", &status.to_string());
        reply.script = ask.script.clone();
        return reply;
    }
    match ask.request.path.as_str() {
        "/api/embed" | "/api/embeddings" => embed(ask),
        path => {
            let chat = path == "/api/chat";
            generate(chat, ask)
        }
    }
}

fn generate(chat: bool, ask: Ask<'_>) -> Reply {
    let reason = if ask.script.length { "length" } else { "stop" };
    let mut facts = ask.facts("ollama", vec![reason.to_owned()]);
    // Without a word about it, Ollama streams.
    facts.stream = ask.body["stream"] != false;
    (facts.cached_tokens, facts.reasoning_tokens) = (None, None);
    let body = if facts.stream {
        without_the_end(&mut facts, ask.script.fault, "_OTHER");
        Body::Stream(stream(&ask, chat, reason))
    } else {
        let mut answer = last_line(&ask, chat, reason);
        put_text(&mut answer, chat, &ask.text());
        Body::Whole(answer.to_string().into_bytes())
    };
    let content_type = match body {
        Body::Whole(_) => "application/json; charset=utf-8",
        Body::Stream(_) => "application/x-ndjson",
    };
    Reply {
        status: 200,
        content_type,
        headers: Vec::new(),
        body,
        facts,
        script: ask.script,
    }
}

fn embed(ask: Ask<'_>) -> Reply {
    let mut facts = ask.facts("ollama", Vec::new());
    (facts.stream, facts.output_tokens) = (false, None);
    (facts.cached_tokens, facts.reasoning_tokens) = (None, None);
    let answer = if ask.request.path == "/api/embed" {
        json!({"model": ask.answered(), "embeddings": [vec![0.25; 16]], "total_duration": 1_000,
            "load_duration": 10, "prompt_eval_count": ask.input_tokens()})
    } else {
        // The old path reports neither the model nor any count.
        (facts.answered, facts.input_tokens) = (None, None);
        json!({"embedding": vec![0.25; 16]})
    };
    Reply {
        status: 200,
        content_type: "application/json; charset=utf-8",
        headers: Vec::new(),
        body: Body::Whole(answer.to_string().into_bytes()),
        facts,
        script: ask.script,
    }
}

fn put_text(line: &mut Value, chat: bool, text: &str) {
    if chat {
        line["message"] = json!({"role": "assistant", "content": text});
    } else {
        line["response"] = text.into();
    }
}

fn last_line(ask: &Ask<'_>, chat: bool, reason: &str) -> Value {
    let mut line = json!({
        "model": ask.answered(), "created_at": CREATED_AT, "done": true, "done_reason": reason,
        "total_duration": 5_000_000, "load_duration": 1_000_000,
        "prompt_eval_count": ask.input_tokens(), "prompt_eval_duration": 1_000_000,
        "eval_count": ask.output_tokens(), "eval_duration": 2_000_000,
    });
    put_text(&mut line, chat, "");
    line
}

fn stream(ask: &Ask<'_>, chat: bool, reason: &str) -> Stream {
    let (words, model) = (ask.words(), ask.answered());
    let chunk = move |n: u32| {
        let mut line = json!({"model": model, "created_at": CREATED_AT, "done": false});
        put_text(&mut line, chat, &words(n));
        Event::data(&line)
    };
    Stream {
        framing: Framing::Ndjson,
        opening: Vec::new(),
        chunk: Box::new(chunk),
        chunks: ask.script.chunks,
        closing: Vec::new(),
        end_mark: Some(Event::data(&last_line(ask, chat, reason))),
        error: Event::data(&json!({"error": "the model failed"})),
        ping: Event::Comment(""),
    }
}
