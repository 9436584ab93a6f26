//! A finished span, as every exporter takes it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::gaps::Gaps;
use crate::ids::{Nanos, ProcessId};
use crate::trace_context::{SpanId, TraceId};

/// A span. Times are of the kernel's monotonic clock; exporters add the offset to the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub id: SpanId,
    /// Its parent, which is exported by us or stood on the wire.
    pub parent: Option<SpanId>,
    /// True when the parent's id stood on the wire.
    pub parent_is_remote: bool,
    /// `tracestate`, kept as it came.
    pub trace_state: String,
    /// The flags byte of the trace context.
    pub flags: u8,
    /// Span kind.
    pub kind: SpanKind,
    /// Its name by the conventions.
    pub name: String,
    /// Start.
    pub start: Nanos,
    /// End.
    pub end: Nanos,
    /// `Some` makes the status ERROR; the text is ours, never a provider's, and may be empty.
    pub error: Option<Cow<'static, str>>,
    /// Attributes by their OpenTelemetry names, each name once.
    pub attributes: Vec<Attribute>,
    /// Events.
    pub events: Vec<Event>,
    /// Links.
    pub links: Vec<Link>,
    /// Whose span it is: exporters look up its resource by this.
    pub process: ProcessId,
    /// Its call was told of when it ended, before its place was settled
    /// ([`crate::stitch::Stitcher::ended`]).
    pub late: bool,
    /// The process's own SDK has a span of this call: this one is measured and shown, but not
    /// exported, and is nobody's parent.
    pub left: bool,
    /// What the terminal shows of it.
    pub summary: Arc<Summary>,
}

/// Span kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// `CLIENT`
    Client,
    /// `SERVER`
    Server,
    /// `INTERNAL`
    Internal,
}

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The name.
    pub name: &'static str,
    /// The value.
    pub value: Value,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string that we chose.
    Static(&'static str),
    /// A string from the wire.
    String(String),
    /// An integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A list of strings.
    Strings(Vec<String>),
}

/// A span event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// When.
    pub at: Nanos,
    /// Attributes.
    pub attributes: Vec<Attribute>,
}

/// A link to another span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
}

/// The few facts that a line in a terminal, a filter and the metrics need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// `chat`, `execute_tool`, `invoke_agent`, or the MCP method.
    pub operation: String,
    /// The model, tool or agent.
    pub target: Option<String>,
    /// `gen_ai.provider.name`.
    pub provider: Option<&'static str>,
    /// The model that answered.
    pub response_model: Option<String>,
    /// HTTP status.
    pub status: Option<u16>,
    /// `error.type`.
    pub error: Option<String>,
    /// Seconds to the first chunk.
    pub time_to_first_chunk: Option<f64>,
    /// The times between the chunks of a stream that had more than one.
    pub chunk_gaps: Option<Gaps>,
    /// Seconds to the first token.
    pub time_to_first_token: Option<f64>,
    /// Input tokens, `None` where none were reported.
    pub input_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Finish reasons.
    pub finish_reasons: Vec<String>,
    /// The answer was a stream.
    pub stream: bool,
    /// Whether this generation counts in sums: false for proxies' second views and for agents.
    pub counts: bool,
    /// `origin`, `proxy` or `agent`; `None` where it is no model call.
    pub hop: Option<&'static str>,
    /// How the parent was found: `wire`, `peer`, `exact`, `inferred`, `none`; empty while that is
    /// not settled.
    pub link: &'static str,
    /// `server.address`, then `server.port`.
    pub server: Option<(String, Option<u16>)>,
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Self::Static(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<String>> for Value {
    fn from(value: Vec<String>) -> Self {
        Self::Strings(value)
    }
}
