//! MCP over streamable HTTP: with a session as up to 2025-11-25, and without one as of
//! 2026-07-28.

use serde_json::{Value, json};

use super::super::log::Facts;
use super::super::script::Script;
use super::{Ask, Body, Event, Framing, Reply, Stream, plain};

pub(super) fn reply(mut ask: Ask<'_>) -> Reply {
    let method = ask.body["method"].as_str().unwrap_or_default().to_owned();
    let tool = ask.body["params"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if ask.request.header("x-fake").is_none() {
        ask.script = Script::parse(&tool);
    }
    let mut facts = Facts {
        dialect: "mcp".to_owned(),
        asked: tool,
        rpc_method: Some(method.clone()),
        id: request_id(&ask.body["id"]),
        ..Facts::default()
    };
    // A notification or an answer of the client's own: there is nothing to say.
    if facts.id.is_none() {
        let mut reply = plain(202, &Value::Null);
        reply.body = Body::Whole(Vec::new());
        reply.facts = facts;
        return reply;
    }
    let message = message(&ask, &method, &mut facts);
    let session = (method == "initialize").then(|| ask.id("session-"));
    let prefers_sse = ask
        .request
        .header("accept")
        .is_some_and(|accept| accept.contains("text/event-stream"));
    let stateless = ask.request.header("mcp-method").is_some();
    facts.stream = ask.script.mcp_sse.unwrap_or(prefers_sse && !stateless);
    let (content_type, body) = if facts.stream {
        ("text/event-stream", Body::Stream(stream(&message)))
    } else {
        (
            "application/json",
            Body::Whole(message.to_string().into_bytes()),
        )
    };
    let headers = session
        .map(|id| ("mcp-session-id", id))
        .into_iter()
        .collect();
    Reply {
        status: 200,
        content_type,
        headers,
        body,
        facts,
        script: ask.script,
    }
}

fn request_id(id: &Value) -> Option<String> {
    match id {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn message(ask: &Ask<'_>, method: &str, facts: &mut Facts) -> Value {
    let id = &ask.body["id"];
    if ask.script.rpc_error {
        facts.error = Some("-32602".to_owned());
        let error = json!({"code": -32602, "message": "the fake was told to fail"});
        return json!({"jsonrpc": "2.0", "id": id, "error": error});
    }
    let info = json!({"name": "kaos-fake", "version": "1"});
    let result = match method {
        "initialize" => {
            let wanted = &ask.body["params"]["protocolVersion"];
            json!({"protocolVersion": wanted, "capabilities": {"tools": {}}, "serverInfo": info})
        }
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "serverInfo": info,
            "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private",
        }),
        "tools/list" => json!({"resultType": "complete", "tools": [], "ttlMs": 0,
            "cacheScope": "private"}),
        "tools/call" => {
            if ask.script.tool_error {
                facts.error = Some("tool_error".to_owned());
            }
            let text = json!({"type": "text", "text": ask.text()});
            json!({"resultType": "complete", "content": [text], "isError": ask.script.tool_error})
        }
        "ping" => json!({}),
        _ => {
            facts.error = Some("-32601".to_owned());
            let error = json!({"code": -32601, "message": "Method not found"});
            return json!({"jsonrpc": "2.0", "id": id, "error": error});
        }
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn stream(message: &Value) -> Stream {
    let event = Event::named("message", message);
    Stream {
        framing: Framing::Sse,
        opening: Vec::new(),
        chunk: Box::new(|_| Event::Comment("")),
        chunks: 0,
        closing: Vec::new(),
        end_mark: Some(event.clone()),
        error: event,
        ping: Event::Comment("ping"),
    }
}
