//! Messages in, calls out: an exchange with its meaning.

mod body;
mod clock;
mod dialect;
mod exchange;
mod failure;
mod inference;
mod json_text;
mod provider;
mod reader;
mod reading;
mod rpc;
mod target;

pub use reader::{Options, Output, Reader, Wish};

use crate::gaps::Gaps;
use crate::ids::{ConnId, Context, Nanos, ProcessId, Role};
use crate::message::{End, ExchangeIndex};
use crate::trace_context::TraceContext;

/// Names a call for its whole life: its connection, its exchange, and its place in the exchange
/// (JSON-RPC batches and streams hold several).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey {
    /// The connection.
    pub conn: ConnId,
    /// The exchange on it.
    pub exchange: ExchangeIndex,
    /// The call in the exchange, from 0.
    pub part: u32,
}

/// Names an exchange of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeKey {
    /// The connection.
    pub conn: ConnId,
    /// The exchange on it.
    pub exchange: ExchangeIndex,
}

impl From<CallKey> for ExchangeKey {
    fn from(key: CallKey) -> Self {
        Self {
            conn: key.conn,
            exchange: key.exchange,
        }
    }
}

/// A request that the observed process serves, whether it is a call or not: what the process
/// does meanwhile may be done for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Its exchange.
    pub key: ExchangeKey,
    /// The observed process.
    pub process: ProcessId,
    /// What in the process read the request's first byte.
    pub context: Context,
    /// When it did.
    pub at: Nanos,
    /// The request.
    pub http: HttpFacts,
    /// The trace context of the request's headers.
    pub trace: Option<TraceContext>,
}

/// The answer to such a request began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its exchange.
    pub key: ExchangeKey,
    /// What in the process wrote the answer's first byte.
    pub context: Context,
    /// When it did.
    pub at: Nanos,
    /// The status.
    pub status: u16,
}

/// A call that was just recognised, by its request's head or, a little later, by its body. What
/// it is and how it ends comes later, as exactly one [`Call`] with the same key.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// Its name.
    pub key: CallKey,
    /// Which side of the call the observed process is.
    pub role: Role,
    /// The observed process.
    pub process: ProcessId,
    /// What in the process moved the request's first byte.
    pub context: Context,
    /// When the request's first byte moved.
    pub at: Nanos,
    /// The trace context of the request's headers.
    pub header_trace: Option<TraceContext>,
}

/// A finished or abandoned call. Content is absent unless it was opted in.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name.
    pub key: CallKey,
    /// The observed process.
    pub process: ProcessId,
    /// Which side of the call that process is.
    pub role: Role,
    /// What in the process moved the request's first byte.
    pub context: Context,
    /// What in the process moved the response's first byte.
    pub response_context: Option<Context>,
    /// When the request's first byte moved.
    pub start: Nanos,
    /// When the last byte moved, or when it was given up.
    pub end: Nanos,
    /// How the exchange ended.
    pub ended: End,
    /// The HTTP exchange around it.
    pub http: HttpFacts,
    /// The trace context on the request: its headers', or for MCP that of `params._meta`.
    pub trace: Option<TraceContext>,
    /// For MCP with a context in `params._meta`: the one of the headers, to be a link.
    pub header_trace: Option<TraceContext>,
    /// Streaming facts of the answer.
    pub timing: Timing,
    /// What kind of call.
    pub kind: CallKind,
    /// What went wrong, if anything.
    pub error: Option<CallError>,
    /// What the capture missed.
    pub capture: Capture,
    /// Opted-in content.
    pub content: Option<Box<Content>>,
}

/// The HTTP exchange around a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpFacts {
    /// The method.
    pub method: String,
    /// The path without the query, at most 512 bytes.
    pub path: String,
    /// The host of `Host` or of an absolute target, without the port.
    pub host: Option<String>,
    /// The port of `Host` or of an absolute target.
    pub port: Option<u16>,
    /// True inside TLS.
    pub tls: bool,
    /// `1.0` or `1.1`.
    pub version: &'static str,
    /// The status of the response, when one was seen.
    pub status: Option<u16>,
    /// `user-agent`, at most 256 bytes.
    pub user_agent: Option<String>,
    /// `x-request-id`, `request-id` and the like, of the response or else of the request.
    pub request_id: Option<String>,
    /// `x-session-id`, `x-aib-session-id` or the like of the request.
    pub session_id: Option<String>,
}

/// When the parts of a streamed answer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// The answer is a stream (SSE or NDJSON).
    pub stream: bool,
    /// The response's first byte (its head).
    pub response_start: Option<Nanos>,
    /// The first data event of the stream, or the first body byte of a plain answer.
    pub first_chunk: Option<Nanos>,
    /// The first event with output (a token, a tool call, reasoning).
    pub first_token: Option<Nanos>,
    /// The last data event.
    pub last_chunk: Option<Nanos>,
    /// Data events, the end mark not counted.
    pub chunks: u64,
    /// The times between them.
    pub gaps: Gaps,
}

/// What kind of call it is.
#[derive(Clone, Debug, PartialEq)]
pub enum CallKind {
    /// A model is asked: chat, completion, embeddings.
    Inference(Box<Inference>),
    /// A Model Context Protocol message.
    Mcp(Box<Mcp>),
    /// An agent-to-agent message.
    Agent(Box<AgentCall>),
    /// An agent card was fetched or served: evidence, and a span only where the agent made calls
    /// to answer. The name is the card's.
    AgentCard {
        /// The agent's name, when the body was captured.
        name: Option<String>,
    },
    /// A request that is none of these, and was served by making calls that are.
    Http,
}

impl CallKind {
    /// Whether an agent's card was asked for.
    #[must_use]
    pub const fn is_card(&self) -> bool {
        matches!(self, Self::AgentCard { .. })
    }
}

/// `gen_ai.operation.name` of an inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `chat`
    Chat,
    /// `text_completion`
    TextCompletion,
    /// `embeddings`
    Embeddings,
}

/// The wire format that an inference spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// OpenAI chat completions and what speaks the same.
    OpenAiChat,
    /// OpenAI completions.
    OpenAiCompletions,
    /// OpenAI responses.
    OpenAiResponses,
    /// OpenAI embeddings.
    OpenAiEmbeddings,
    /// Anthropic messages.
    Anthropic,
    /// Ollama native.
    Ollama,
    /// llama.cpp native.
    LlamaCpp,
}

/// A model call. Strings are at most 256 bytes each, lists at most 128 entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// What was asked.
    pub operation: Operation,
    /// The wire format.
    pub format: Format,
    /// `gen_ai.provider.name` by host, then by path and format (`openai`, `anthropic`,
    /// `azure.ai.openai`, `ollama`, …).
    pub provider: &'static str,
    /// The requested model, exactly.
    pub request_model: Option<String>,
    /// The model that answered.
    pub response_model: Option<String>,
    /// The response's id.
    pub response_id: Option<String>,
    /// Request parameters.
    pub params: Params,
    /// Reported usage.
    pub usage: Usage,
    /// One for each choice in order, provider values as they are; a missing one is `error`.
    pub finish_reasons: Vec<String>,
    /// Tool calls that the model asked for, without arguments.
    pub tool_calls: Vec<ToolCall>,
    /// Ids of the tool calls that the request's messages answer.
    pub answered_tool_calls: Vec<String>,
    /// `openai.response.service_tier`.
    pub response_service_tier: Option<String>,
    /// `openai.response.system_fingerprint`.
    pub system_fingerprint: Option<String>,
    /// The answer says that no inference took place (Ollama load and unload).
    pub no_inference: bool,
}

/// Request parameters, as far as they are on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    /// The request asks for a stream.
    pub stream: bool,
    /// `max_tokens`, `max_completion_tokens`, `max_output_tokens`, `num_predict`, `n_predict`.
    pub max_tokens: Option<i64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Top-k sampling.
    pub top_k: Option<f64>,
    /// Frequency penalty.
    pub frequency_penalty: Option<f64>,
    /// Presence penalty.
    pub presence_penalty: Option<f64>,
    /// Seed.
    pub seed: Option<i64>,
    /// Choices asked for.
    pub choice_count: Option<i64>,
    /// Stop sequences (content-free enough to be an attribute by the conventions).
    pub stop_sequences: Vec<String>,
    /// `text`, `json`, `image`, `speech`.
    pub output_type: Option<&'static str>,
    /// `reasoning_effort`, `reasoning.effort`.
    pub reasoning_level: Option<String>,
    /// `previous_response_id`.
    pub previous_response_id: Option<String>,
    /// `conversation` of the Responses API.
    pub conversation_id: Option<String>,
    /// `service_tier` of the request.
    pub service_tier: Option<String>,
    /// `encoding_format` of embeddings.
    pub encoding_format: Option<String>,
    /// `dimensions` of embeddings.
    pub dimensions: Option<i64>,
    /// How many tools the request offers.
    pub tools: u32,
}

/// Token usage as reported, normalised to the conventions: `input` includes cached tokens,
/// `output` includes reasoning tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Of `input`: read from a cache.
    pub cache_read: Option<u64>,
    /// Of `input`: written to a cache.
    pub cache_write: Option<u64>,
    /// Of `output`: reasoning.
    pub reasoning: Option<u64>,
}

/// A tool call in a model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Its id, when the provider gives one.
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
}

/// A Model Context Protocol request or notification with its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mcp {
    /// `mcp.method.name`.
    pub method: String,
    /// The tool of `tools/call`.
    pub tool: Option<String>,
    /// The prompt of `prompts/get`.
    pub prompt: Option<String>,
    /// `mcp.resource.uri`.
    pub resource_uri: Option<String>,
    /// `jsonrpc.request.id` as a string; `None` for notifications.
    pub request_id: Option<String>,
    /// `mcp-session-id`.
    pub session_id: Option<String>,
    /// `mcp-protocol-version`, or the handshake's.
    pub protocol_version: Option<String>,
    /// The message went from the server to the client inside the answer (sampling, elicitation).
    pub from_server: bool,
}

/// An agent-to-agent call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentCall {
    /// The JSON-RPC method or the REST verb (`SendMessage`, `message/send`, `tasks/get` …).
    pub method: String,
    /// `jsonrpc.request.id`.
    pub request_id: Option<String>,
    /// The task's id.
    pub task_id: Option<String>,
    /// The task's state at the end.
    pub task_state: Option<String>,
    /// `contextId` or `sessionId`.
    pub context_id: Option<String>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// `error.type`: a provider's code, a status, a JSON-RPC code, `tool_error`, or one of our
    /// own low-cardinality names. At most 128 bytes.
    pub kind: String,
    /// Where it was found.
    pub source: ErrorSource,
    /// The JSON-RPC code, if it is one.
    pub rpc_code: Option<i64>,
}

/// Where an error was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    /// The HTTP status.
    Status,
    /// The body of an error response.
    Body,
    /// An error event in a stream that began well.
    Stream,
    /// JSON-RPC `error`.
    JsonRpc,
    /// MCP `isError`.
    Tool,
    /// One side went away.
    Gone,
    /// An agent's task failed.
    Task,
}

/// What the capture missed: each is a mark on the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Bytes of bodies that were not captured.
    pub missed_bytes: u64,
    /// A body's content encoding is unknown or broken.
    pub undecodable: bool,
    /// A value was cut or a structure was too deep for the reader.
    pub limited: bool,
    /// The connection was joined late.
    pub late: bool,
}

/// Opted-in content, each part capped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// `gen_ai.system_instructions` (JSON).
    pub system_instructions: Option<String>,
    /// `gen_ai.input.messages` (JSON).
    pub input_messages: Option<String>,
    /// `gen_ai.output.messages` (JSON).
    pub output_messages: Option<String>,
    /// `gen_ai.tool.call.arguments` (JSON).
    pub tool_arguments: Option<String>,
    /// `gen_ai.tool.call.result` (JSON).
    pub tool_result: Option<String>,
    /// A part was cut at the cap.
    pub truncated: bool,
}

#[cfg(test)]
mod tests;
