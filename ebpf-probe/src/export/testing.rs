//! Spans for the tests of this folder and of the views.

pub(crate) mod collector;

use std::borrow::Cow;
use std::sync::Arc;

use probe_core::ids::ProcessId;
use probe_core::span::{Attribute, Event, Link, Span, SpanKind, Summary, Value};
use probe_core::trace_context::{SpanId, TraceId};

use super::resource::Resource;

/// The process of all spans here.
pub(crate) const PROCESS: ProcessId = ProcessId { tgid: 42, start: 7 };

/// A span that is told apart by its start only.
pub(crate) fn span_number(n: u64) -> Arc<Span> {
    let mut span = chat();
    span.start = n;
    span.end = n + 1_000_000;
    Arc::new(span)
}

/// The resource of [`PROCESS`].
pub(crate) fn agent() -> Resource {
    let mut resource = Resource::default();
    resource.set("service.name", Value::String("agent.py".to_owned()));
    resource.set("service.instance.id", Value::Static("instance-1"));
    resource.set("process.pid", Value::Int(42));
    resource.set("process.executable.name", Value::Static("python3.11"));
    resource.set("container.id", Value::Static("c0ffee0123456789"));
    resource
}

/// A streamed chat of a client.
pub(crate) fn chat() -> Span {
    let attribute = |name, value| Attribute { name, value };
    let text = |text: &str| Value::String(text.to_owned());
    Span {
        trace: TraceId([0xab; 16]),
        id: SpanId([1; 8]),
        parent: None,
        parent_is_remote: false,
        trace_state: String::new(),
        flags: 1,
        kind: SpanKind::Client,
        name: "chat gpt-4o".to_owned(),
        start: 1_000_000_000,
        end: 2_500_000_000,
        error: None,
        attributes: vec![
            attribute("gen_ai.operation.name", Value::Static("chat")),
            attribute("gen_ai.provider.name", Value::Static("openai")),
            attribute("gen_ai.request.model", text("gpt-4o")),
            attribute("gen_ai.response.model", text("gpt-4o-2024")),
            attribute("gen_ai.usage.input_tokens", Value::Int(10)),
            attribute("gen_ai.usage.cache_read.input_tokens", Value::Int(4)),
            attribute("gen_ai.request.temperature", Value::Float(0.5)),
            attribute("gen_ai.request.stream", Value::Bool(true)),
            attribute(
                "gen_ai.response.finish_reasons",
                Value::Strings(vec!["stop".to_owned()]),
            ),
            attribute("server.address", text("localhost")),
            attribute("server.port", Value::Int(8000)),
        ],
        events: Vec::new(),
        links: Vec::new(),
        process: PROCESS,
        late: false,
        left: false,
        summary: Arc::new(Summary {
            operation: "chat".to_owned(),
            target: Some("gpt-4o".to_owned()),
            provider: Some("openai"),
            response_model: Some("gpt-4o-2024".to_owned()),
            status: Some(200),
            time_to_first_chunk: Some(0.25),
            time_to_first_token: Some(0.3),
            input_tokens: Some(10),
            output_tokens: Some(5),
            finish_reasons: vec!["stop".to_owned()],
            stream: true,
            counts: true,
            hop: Some("origin"),
            link: "none",
            server: Some(("localhost".to_owned(), Some(8000))),
            ..Summary::default()
        }),
    }
}

/// A tool call that failed, seen by its server, child of [`chat`], with an event and a link.
pub(crate) fn failed_tool() -> Span {
    let attribute = |name, value| Attribute { name, value };
    Span {
        id: SpanId([2; 8]),
        parent: Some(SpanId([1; 8])),
        parent_is_remote: true,
        trace_state: "vendor=1".to_owned(),
        kind: SpanKind::Server,
        name: "tools/call search".to_owned(),
        start: 1_100_000_000,
        end: 1_200_000_000,
        error: Some(Cow::Borrowed("")),
        attributes: vec![
            attribute("mcp.method.name", Value::Static("tools/call")),
            attribute("gen_ai.operation.name", Value::Static("execute_tool")),
            attribute("gen_ai.tool.name", Value::String("search".to_owned())),
            attribute("error.type", Value::String("-32602".to_owned())),
        ],
        events: vec![Event {
            name: "exception",
            at: 1_150_000_000,
            attributes: vec![attribute(
                "exception.type",
                Value::String("-32602".to_owned()),
            )],
        }],
        links: vec![Link {
            trace: TraceId([3; 16]),
            span: SpanId([4; 8]),
        }],
        late: false,
        left: false,
        summary: Arc::new(Summary {
            operation: "execute_tool".to_owned(),
            target: Some("search".to_owned()),
            status: Some(200),
            error: Some("-32602".to_owned()),
            link: "wire",
            ..Summary::default()
        }),
        ..chat()
    }
}
