//! Model Context Protocol over streamable HTTP, 2024-11-05 to 2026-07-28: the requests and
//! notifications that the client posts, and the requests that a server sends inside an answer.
//! The stream that a client opens by GET is no call, nor is the end of a session by DELETE.
//! A server's notifications are parts of an answer, not calls.

use std::sync::LazyLock;

use super::super::failure::error;
use super::super::reading::{Head, Reading};
use super::super::rpc::{ENVELOPE, Evidence, Field, Message, Part, Protocol, Row, RpcReading};
use super::super::{CallError, CallKind, Content, ErrorSource, Mcp};
use crate::json::{Schema, Take};

const MESSAGE: &[Row] = &[
    ("params name", Field::Name, Take::Value),
    ("params uri", Field::Uri, Take::Value),
    ("params arguments", Field::Arguments, Take::Raw),
    (
        "params protocolVersion",
        Field::ProtocolVersion,
        Take::Value,
    ),
    ("params _meta traceparent", Field::TraceParent, Take::Value),
    ("params _meta tracestate", Field::TraceState, Take::Long),
    (
        "params _meta io.modelcontextprotocol/protocolVersion",
        Field::ProtocolVersion,
        Take::Value,
    ),
    ("result isError", Field::IsError, Take::Value),
    ("result content", Field::ResultContent, Take::Raw),
    (
        "result protocolVersion",
        Field::ProtocolVersion,
        Take::Value,
    ),
];

/// Methods that no other protocol has.
const METHODS: &[&str] = &[
    "completion/complete",
    "elicitation/create",
    "logging/setLevel",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "roots/list",
    "sampling/createMessage",
    "server/discover",
    "subscriptions/listen",
    "tools/call",
    "tools/list",
    "notifications/cancelled",
    "notifications/elicitation/complete",
    "notifications/initialized",
    "notifications/message",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "notifications/tools/list_changed",
];

static PROTOCOL: LazyLock<Protocol> = LazyLock::new(|| Protocol {
    schema: Schema::batched(&[ENVELOPE, MESSAGE].concat()),
    recognises,
    streams: |_| false,
    reverses: true,
    kind,
    content,
    fails,
});

/// Any JSON that is posted.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    if head.method != "POST" || !head.has_json_body() {
        return None;
    }
    let evidence = Evidence::of(head);
    Some(Box::new(RpcReading::new(&PROTOCOL, evidence, head)))
}

fn recognises(message: &Message, evidence: &Evidence) -> bool {
    let Some(method) = message.method.as_deref() else {
        return false;
    };
    if evidence.mcp {
        return true;
    }
    let known = match method {
        "ping" => evidence.takes_both,
        "initialize" => message.protocol_version.is_some() || evidence.takes_both,
        _ => METHODS.contains(&method),
    };
    known && message.is_rpc
}

fn kind(part: &mut Part, evidence: &Evidence) -> CallKind {
    let (request, answer) = (&mut part.request, &mut part.answer);
    let method = request.method.take().unwrap_or_default();
    let name = request.name.take();
    let (tool, prompt) = match method.as_str() {
        "tools/call" => (name, None),
        "prompts/get" => (None, name),
        _ => (None, None),
    };
    let version = answer
        .protocol_version
        .take()
        .or(request.protocol_version.take());
    CallKind::Mcp(Box::new(Mcp {
        method,
        tool,
        prompt,
        resource_uri: request.uri.take(),
        request_id: request.id.take(),
        session_id: evidence.session_id.clone(),
        protocol_version: version.or_else(|| evidence.version.clone()),
        from_server: part.reversed,
    }))
}

fn content(part: &mut Part) -> Content {
    let json = |text: Option<String>| {
        text.map(|text| {
            let mut json = String::new();
            super::super::json_text::push_json(&mut json, &text);
            json
        })
    };
    Content {
        tool_arguments: json(part.request.arguments.take()),
        tool_result: json(part.answer.result.take()),
        truncated: part.request.truncated || part.answer.truncated,
        ..Content::default()
    }
}

fn fails(part: &Part) -> Option<CallError> {
    (part.answer.is_error).then(|| error("tool_error", ErrorSource::Tool))
}
