//! A small world to write scripts in: processes, connections between them, and calls.

use std::collections::HashSet;
use std::net::SocketAddr;

use crate::call::{
    AgentCall, Call, CallError, CallKey, CallKind, Capture, ErrorSource, Format, HttpFacts,
    Inference, Mcp, Operation, Params, Started, Timing, Usage,
};
use crate::conventions::Conventions;
use crate::ids::{ConnId, ConnInfo, Context, Endpoints, Nanos, ProcessId, Role, Transport};
use crate::message::End;
use crate::span::{Span, Value};
use crate::stitch::facts::ProcessFacts;
use crate::stitch::{Config, Stitcher};
use crate::trace_context::{SpanId, TraceContext, TraceId};

pub(super) const MS: Nanos = 1_000_000;

pub(super) struct World {
    pub(super) stitcher: Stitcher,
    pub(super) spans: Vec<Span>,
    /// Processes that discovery has spoken of.
    known: HashSet<ProcessId>,
    /// Discovery says nothing by itself.
    pub(super) silent: bool,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Self {
        Self {
            stitcher: Stitcher::new(config, [7; 32]),
            spans: Vec::new(),
            known: HashSet::new(),
            silent: false,
        }
    }

    pub(super) fn named(conventions: Conventions) -> Self {
        Self::with(Config {
            conventions,
            ..Config::default()
        })
    }

    /// Opens both ends of a plain connection inside one namespace: the client's is `id`, the
    /// server's `id + 1`.
    pub(super) fn connect(&mut self, id: u64, client: u32, server: u32) {
        for info in pair(id, client, server) {
            self.open(&info);
        }
    }

    pub(super) fn open(&mut self, info: &ConnInfo) {
        self.know(info.process);
        self.stitcher.connection_opened(info);
    }

    /// Discovery says what the process is, unless the script has said or will not.
    fn know(&mut self, id: ProcessId) {
        if !self.silent && self.known.insert(id) {
            self.stitcher.process_seen(id, ProcessFacts::default());
        }
    }

    pub(super) fn process(&mut self, tgid: u32, executable: &str, parent: Option<u32>) {
        self.facts(
            tgid,
            ProcessFacts {
                executable: executable.to_owned(),
                parent: parent.map(process),
                ..ProcessFacts::default()
            },
        );
    }

    pub(super) fn agent(&mut self, tgid: u32, name: &str) {
        self.facts(
            tgid,
            ProcessFacts {
                executable: "/usr/bin/python3".to_owned(),
                agent_name: Some(name.to_owned()),
                ..ProcessFacts::default()
            },
        );
    }

    pub(super) fn facts(&mut self, tgid: u32, facts: ProcessFacts) {
        self.known.insert(process(tgid));
        self.stitcher.process_seen(process(tgid), facts);
    }

    pub(super) fn start(&mut self, call: &Call) {
        self.know(call.process);
        self.stitcher.started(&started(call));
    }

    /// The call ends, seen right at its end.
    pub(super) fn end(&mut self, call: &Call) {
        self.know(call.process);
        self.stitcher
            .finished(call.clone(), call.end, &mut self.spans);
    }

    pub(super) fn run(&mut self, call: &Call) {
        self.start(call);
        self.end(call);
    }

    pub(super) fn tick(&mut self, now: Nanos) {
        self.stitcher.tick(now, &mut self.spans);
    }

    pub(super) fn drain(&mut self) {
        self.stitcher.drain(Nanos::MAX / 2, &mut self.spans);
    }

    /// The one span of the process on this side.
    pub(super) fn span(&self, tgid: u32, role: Role) -> &Span {
        let kind = match role {
            Role::Client => crate::span::SpanKind::Client,
            Role::Server => crate::span::SpanKind::Server,
        };
        let mut found = self
            .spans
            .iter()
            .filter(|s| s.process.tgid == tgid && s.kind == kind);
        let span = found
            .next()
            .unwrap_or_else(|| panic!("no span of {tgid} {role:?}"));
        assert!(found.next().is_none(), "two spans of {tgid} {role:?}");
        span
    }

    pub(super) fn client(&self, tgid: u32) -> &Span {
        self.span(tgid, Role::Client)
    }

    pub(super) fn server(&self, tgid: u32) -> &Span {
        self.span(tgid, Role::Server)
    }
}

pub(super) fn process(tgid: u32) -> ProcessId {
    ProcessId {
        tgid,
        start: u64::from(tgid) * 1000,
    }
}

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Both ends of a plain loopback connection, client first.
pub(super) fn pair(id: u64, client: u32, server: u32) -> [ConnInfo; 2] {
    let near = format!("127.0.0.1:{}", 40_000 + id);
    let far = format!("127.0.0.1:{}", 1000 + server);
    [
        info(id, client, &near, &far, 1),
        info(id + 1, server, &far, &near, 1),
    ]
}

pub(super) fn info(id: u64, tgid: u32, local: &str, peer: &str, netns: u32) -> ConnInfo {
    ConnInfo {
        id: ConnId(id),
        process: process(tgid),
        transport: Transport::Plain,
        endpoints: Some(Endpoints {
            local: address(local),
            peer: address(peer),
            netns,
        }),
        late: false,
        accepted: None,
    }
}

pub(super) fn started(call: &Call) -> Started {
    Started {
        key: call.key,
        role: call.role,
        process: call.process,
        context: call.context,
        at: call.start,
        header_trace: call.header_trace.clone().or_else(|| call.trace.clone()),
    }
}

/// A chat call: on connection `conn`, of process `tgid`, from `start` to `end` milliseconds.
pub(super) fn chat(conn: u64, tgid: u32, role: Role, start: Nanos, end: Nanos) -> Call {
    call(
        conn,
        tgid,
        role,
        start,
        end,
        CallKind::Inference(Box::new(inference())),
    )
}

pub(super) fn call(
    conn: u64,
    tgid: u32,
    role: Role,
    start: Nanos,
    end: Nanos,
    kind: CallKind,
) -> Call {
    Call {
        key: CallKey {
            conn: ConnId(conn),
            exchange: 0,
            part: 0,
        },
        process: process(tgid),
        role,
        context: Context::default(),
        response_context: None,
        start: start * MS,
        end: end * MS,
        ended: End::Complete,
        http: HttpFacts {
            method: "POST".to_owned(),
            path: "/v1/chat/completions".to_owned(),
            host: Some("localhost".to_owned()),
            port: Some(1000),
            version: "1.1",
            status: Some(200),
            ..HttpFacts::default()
        },
        trace: None,
        header_trace: None,
        timing: Timing::default(),
        kind,
        error: None,
        capture: Capture::default(),
        content: None,
    }
}

pub(super) fn inference() -> Inference {
    Inference {
        operation: Operation::Chat,
        format: Format::OpenAiChat,
        provider: "openai",
        request_model: Some("tiny".to_owned()),
        response_model: Some("tiny-1".to_owned()),
        response_id: Some("chatcmpl-1".to_owned()),
        params: Params::default(),
        usage: Usage {
            input: Some(11),
            output: Some(7),
            ..Usage::default()
        },
        finish_reasons: vec!["stop".to_owned()],
        tool_calls: Vec::new(),
        answered_tool_calls: Vec::new(),
        response_service_tier: None,
        system_fingerprint: None,
        no_inference: false,
    }
}

pub(super) fn mcp(method: &str, tool: Option<&str>) -> CallKind {
    CallKind::Mcp(Box::new(Mcp {
        method: method.to_owned(),
        tool: tool.map(str::to_owned),
        request_id: Some("3".to_owned()),
        ..Mcp::default()
    }))
}

pub(super) fn a2a(method: &str) -> CallKind {
    CallKind::Agent(Box::new(AgentCall {
        method: method.to_owned(),
        request_id: Some("1".to_owned()),
        ..AgentCall::default()
    }))
}

pub(super) fn error(kind: &str, source: ErrorSource) -> CallError {
    CallError {
        kind: kind.to_owned(),
        source,
        rpc_code: None,
    }
}

/// A context as another SDK would send it.
pub(super) fn wire(n: u8, flags: u8) -> TraceContext {
    TraceContext {
        trace: TraceId([n; 16]),
        parent: SpanId([n; 8]),
        flags,
        state: format!("vendor={n}"),
    }
}

pub(super) fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    span.attributes
        .iter()
        .find(|a| a.name == name)
        .map(|a| &a.value)
}

pub(super) fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    match attribute(span, name)? {
        Value::Static(text) => Some(text),
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The invariant, and what else holds of any set of spans.
pub(super) fn check(spans: &[Span], on_wire: &[TraceContext]) {
    for (n, span) in spans.iter().enumerate() {
        assert!(
            spans[n + 1..].iter().all(|s| s.id != span.id),
            "an id twice"
        );
        let mut names: Vec<_> = span.attributes.iter().map(|a| a.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), span.attributes.len(), "an attribute twice");
        let Some(parent) = span.parent else { continue };
        if span.parent_is_remote {
            let known = on_wire
                .iter()
                .any(|c| c.parent == parent && c.trace == span.trace);
            assert!(known, "a parent that was not on the wire: {span:?}");
        } else {
            let found = spans.iter().find(|s| s.id == parent);
            let found = found.unwrap_or_else(|| panic!("the parent was not exported: {span:?}"));
            assert!(!found.left, "the parent was left to the SDK: {span:?}");
            assert_eq!(found.trace, span.trace, "a parent in another trace");
            assert_eq!(found.flags, span.flags, "a parent with other flags");
            assert_eq!(found.trace_state, span.trace_state);
        }
    }
}
