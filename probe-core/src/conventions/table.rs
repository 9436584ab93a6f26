//! The one table of names.
//!
//! Sources: the OpenTelemetry semantic conventions 1.41 and the GenAI repository's main branch at
//! commit `6fd0d76`; what they have no name for is ours, under `telemetry.kaos.`.

use super::{Kind, Names};

/// A row of the table: an attribute with its names, its type and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its names.
    pub names: Names,
    /// Its type.
    pub kind: Kind,
    /// What it says, for the documentation.
    pub meaning: &'static str,
}

macro_rules! table {
    ($($id:ident: $kind:ident, $names:expr, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $id: Key = Key { names: $names, kind: Kind::$kind, meaning: $meaning };
        )*
        /// Every row, in the order of the documentation.
        pub const TABLE: &[Key] = &[$($id),*];
    };
}

use Names::{All, Differs, GenAiDev, Kaos, Legacy, V1_41};

table! {
    OPERATION: String, All("gen_ai.operation.name"), "`chat`, `text_completion`, `embeddings`, `invoke_agent`, `execute_tool`";
    PROVIDER: String, All("gen_ai.provider.name"), "The provider by host, then by wire format; `a2a` for agents called by A2A";
    REQUEST_MODEL: String, All("gen_ai.request.model"), "The model asked for, exactly as sent; never on an agent's span";
    RESPONSE_MODEL: String, All("gen_ai.response.model"), "The model that answered";
    RESPONSE_ID: String, All("gen_ai.response.id"), "The answer's id";
    FINISH_REASONS: Strings, All("gen_ai.response.finish_reasons"), "One for each choice in order, as the provider says it; `error` where one is missing";
    CONVERSATION: String, All("gen_ai.conversation.id"), "The conversation, context or session id, only where one is on the wire";
    OUTPUT_TYPE: String, All("gen_ai.output.type"), "`text`, `json`, `image` or `speech`, where the request names one";
    STREAM: Bool, All("gen_ai.request.stream"), "True for streams, else absent";
    MAX_TOKENS: Int, All("gen_ai.request.max_tokens"), "The most tokens asked for";
    TEMPERATURE: Double, All("gen_ai.request.temperature"), "Sampling temperature";
    TOP_P: Double, All("gen_ai.request.top_p"), "Nucleus sampling";
    TOP_K: Double, V1_41("gen_ai.request.top_k"), "Top-k sampling (a double in v1.41)";
    TOP_K_INT: Int, GenAiDev("gen_ai.request.top_k"), "Top-k sampling (an int in gen-ai-dev)";
    FREQUENCY_PENALTY: Double, All("gen_ai.request.frequency_penalty"), "Frequency penalty";
    PRESENCE_PENALTY: Double, All("gen_ai.request.presence_penalty"), "Presence penalty";
    SEED: Int, All("gen_ai.request.seed"), "Seed";
    CHOICE_COUNT: Int, All("gen_ai.request.choice.count"), "Choices asked for, if not 1";
    STOP_SEQUENCES: Strings, All("gen_ai.request.stop_sequences"), "Stop sequences";
    REASONING_LEVEL: String, Differs { v1_41: "telemetry.kaos.request.reasoning_level", gen_ai_dev: "gen_ai.request.reasoning.level" }, "The reasoning effort asked for";
    PREVIOUS_RESPONSE: String, Differs { v1_41: "telemetry.kaos.request.previous_response_id", gen_ai_dev: "gen_ai.request.previous_response.id" }, "The response that the request goes on from";
    ENCODING_FORMATS: Strings, All("gen_ai.request.encoding_formats"), "Encoding asked for by an embeddings call";
    DIMENSIONS: Int, All("gen_ai.embeddings.dimension.count"), "Dimensions asked for by an embeddings call";
    INPUT_TOKENS: Int, All("gen_ai.usage.input_tokens"), "Input tokens as reported, cached ones included";
    OUTPUT_TOKENS: Int, All("gen_ai.usage.output_tokens"), "Output tokens as reported, reasoning included";
    CACHE_READ_TOKENS: Int, All("gen_ai.usage.cache_read.input_tokens"), "Of the input tokens: read from a cache";
    CACHE_WRITE_TOKENS: Int, Differs { v1_41: "gen_ai.usage.cache_creation.input_tokens", gen_ai_dev: "gen_ai.usage.cache_write.input_tokens" }, "Of the input tokens: written to a cache";
    REASONING_TOKENS: Int, All("gen_ai.usage.reasoning.output_tokens"), "Of the output tokens: reasoning";
    TIME_TO_FIRST_CHUNK: Double, All("gen_ai.response.time_to_first_chunk"), "Streams: seconds from the request's first byte to the first data event";
    AGENT_NAME: String, All("gen_ai.agent.name"), "The agent that is called";
    TOOL_NAME: String, All("gen_ai.tool.name"), "The tool of an MCP `tools/call`";
    PROMPT_NAME: String, All("gen_ai.prompt.name"), "The prompt of an MCP `prompts/get`";
    OPENAI_API: String, All("openai.api.type"), "`chat_completions` or `responses`, provider openai only";
    OPENAI_REQUEST_TIER: String, All("openai.request.service_tier"), "Service tier asked for unless `auto`, provider openai only";
    OPENAI_RESPONSE_TIER: String, All("openai.response.service_tier"), "Service tier that answered, provider openai only";
    OPENAI_FINGERPRINT: String, All("openai.response.system_fingerprint"), "System fingerprint, provider openai only";
    MCP_METHOD: String, All("mcp.method.name"), "The MCP method";
    MCP_SESSION: String, All("mcp.session.id"), "The MCP session";
    MCP_PROTOCOL: String, All("mcp.protocol.version"), "The MCP version";
    MCP_RESOURCE: String, All("mcp.resource.uri"), "The MCP resource, without query and userinfo";
    JSONRPC_ID: String, All("jsonrpc.request.id"), "The id of the JSON-RPC request";
    RPC_SYSTEM: String, All("rpc.system.name"), "`jsonrpc` for agent-to-agent calls by JSON-RPC";
    RPC_METHOD: String, All("rpc.method"), "The method of an agent-to-agent call";
    RPC_STATUS: String, All("rpc.response.status_code"), "The JSON-RPC error code";
    HTTP_METHOD: String, All("http.request.method"), "The HTTP method, `_OTHER` if it is none of the known ones";
    HTTP_METHOD_ORIGINAL: String, All("http.request.method_original"), "The HTTP method as sent, where it is `_OTHER`";
    HTTP_STATUS: Int, All("http.response.status_code"), "The status of the response";
    URL_FULL: String, All("url.full"), "Client: scheme, host, port and path; never a query or userinfo";
    URL_PATH: String, All("url.path"), "Server: the path, without the query";
    URL_SCHEME: String, All("url.scheme"), "`http` or `https`";
    SERVER_ADDRESS: String, All("server.address"), "The host of the request, else the server's address";
    SERVER_PORT: Int, All("server.port"), "The port of the request, else the server's, else the scheme's own";
    CLIENT_ADDRESS: String, All("client.address"), "Server: the address of the client";
    CLIENT_PORT: Int, All("client.port"), "Server, MCP: the port of the client";
    PEER_ADDRESS: String, All("network.peer.address"), "The other end's address, where the socket is known";
    PEER_PORT: Int, All("network.peer.port"), "The other end's port";
    NETWORK_TRANSPORT: String, All("network.transport"), "MCP: `tcp`";
    NETWORK_PROTOCOL: String, All("network.protocol.name"), "MCP: `http`";
    NETWORK_VERSION: String, All("network.protocol.version"), "The version of HTTP";
    USER_AGENT: String, All("user_agent.original"), "Server: the client's `user-agent`";
    ERROR_TYPE: String, All("error.type"), "The provider's error code, the HTTP status, the JSON-RPC code, `tool_error`, `length`, or `client_disconnected`, `server_disconnected`, `process_exited`, `_OTHER`";
    EXCEPTION_TYPE: String, All("exception.type"), "On the event `exception`: the same as `error.type`; the event has no message";
    SYSTEM_INSTRUCTIONS: String, All("gen_ai.system_instructions"), "Content, opt-in: JSON";
    INPUT_MESSAGES: String, All("gen_ai.input.messages"), "Content, opt-in: JSON";
    OUTPUT_MESSAGES: String, All("gen_ai.output.messages"), "Content, opt-in: JSON";
    TOOL_ARGUMENTS: String, All("gen_ai.tool.call.arguments"), "Content, opt-in: JSON";
    TOOL_RESULT: String, All("gen_ai.tool.call.result"), "Content, opt-in: JSON";
    HOP: String, All("telemetry.kaos.hop"), "Model calls: `origin` (the far end is the model's server, as far as seen), `proxy` (the far end forwards the call; the span behind it counts), `agent` (the far end is an agent)";
    PARENT: String, All("telemetry.kaos.parent"), "How the parent was found: `wire` (trace context of the request), `peer` (our span of the connection's other end), `exact` (the request that the process served with this call), `inferred` (the same, but only likely), `none`";
    COUNTS: Bool, All("telemetry.kaos.counts"), "Model calls: true on exactly one span of each generation; sums of tokens take these alone";
    TIME_TO_FIRST_TOKEN: Double, All("telemetry.kaos.time_to_first_token"), "Streams: seconds from the request's first byte to the first event with output";
    CHUNKS: Int, All("telemetry.kaos.stream.chunks"), "Streams: data events, the end mark not counted";
    REQUEST_ID: String, All("telemetry.kaos.request.id"), "`x-request-id` and the like";
    REQUEST_TOOLS: Int, All("telemetry.kaos.request.tools"), "How many tools the request offers";
    ANSWERED_TOOL_CALLS: Strings, All("telemetry.kaos.request.tool_call_ids"), "Ids of the tool calls that the request's messages answer";
    TOOL_CALLS: Strings, All("telemetry.kaos.response.tool_calls"), "Names of the tools that the model asks for, in order";
    TOOL_CALL_IDS: Strings, All("telemetry.kaos.response.tool_call_ids"), "Ids of these tool calls, in order, those without an id left out";
    NO_INFERENCE: Bool, All("telemetry.kaos.no_inference"), "True where the server says that no model ran (Ollama load and unload)";
    TASK_ID: String, All("telemetry.kaos.a2a.task.id"), "The task of an agent-to-agent call";
    TASK_STATE: String, All("telemetry.kaos.a2a.task.state"), "The task's state at the end of the call";
    MISSED_BYTES: Int, All("telemetry.kaos.capture.missed_bytes"), "Bytes of bodies that were not captured";
    UNDECODABLE: Bool, All("telemetry.kaos.capture.undecodable"), "True where a body's encoding is unknown or broken";
    LIMITED: Bool, All("telemetry.kaos.capture.limited"), "True where a value was cut or a structure was too deep for the reader";
    LOST_END: Bool, All("telemetry.kaos.capture.lost_end"), "True where a hole in the capture hides the call's end";
    CONTENT_TRUNCATED: Bool, All("telemetry.kaos.content.truncated"), "True where opted-in content was cut at its cap";
    LEGACY_SYSTEM: String, Legacy("gen_ai.system"), "The provider by its old name";
    LEGACY_PROMPT_TOKENS: Int, Legacy("gen_ai.usage.prompt_tokens"), "As `gen_ai.usage.input_tokens`";
    LEGACY_COMPLETION_TOKENS: Int, Legacy("gen_ai.usage.completion_tokens"), "As `gen_ai.usage.output_tokens`";
    LEGACY_SEED: Int, Legacy("gen_ai.openai.request.seed"), "As `gen_ai.request.seed`, provider openai only";
    LEGACY_REQUEST_TIER: String, Legacy("gen_ai.openai.request.service_tier"), "As `openai.request.service_tier`";
    LEGACY_RESPONSE_TIER: String, Legacy("gen_ai.openai.response.service_tier"), "As `openai.response.service_tier`";
    LEGACY_FINGERPRINT: String, Legacy("gen_ai.openai.response.system_fingerprint"), "As `openai.response.system_fingerprint`";
    KAOS_RESOURCE: String, Kaos("kaos.resource.name"), "The KAOS resource that the process belongs to";
    KAOS_AGENT: String, Kaos("agent.name"), "Server: the agent that was called, as in KAOS's own spans";
    KAOS_TARGET: String, Kaos("agent.delegation.target"), "Client: the agent that is called, as in KAOS's own spans";
    KAOS_SESSION: String, Kaos("session.id"), "As `gen_ai.conversation.id`";
    KAOS_TASK: String, Kaos("task.id"), "As `telemetry.kaos.a2a.task.id`";
    KAOS_TASK_STATE: String, Kaos("task.state"), "As `telemetry.kaos.a2a.task.state`";
}
