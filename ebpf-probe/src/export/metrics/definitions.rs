//! Names, units and buckets (OpenTelemetry GenAI semantic conventions, metrics and MCP pages).

/// A metric.
#[derive(Debug, PartialEq)]
pub(crate) struct Definition {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its unit, in UCUM.
    pub(crate) unit: &'static str,
    /// What it measures, one sentence.
    pub(crate) help: &'static str,
    /// Upper bounds of the buckets; empty for a counter.
    pub(crate) bounds: &'static [f64],
}

/// Durations of model calls and tools, seconds.
const DURATION: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
/// Token counts.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// A server's time to the first token, seconds.
const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// A server's time per token, seconds.
const PER_TOKEN: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];
/// Durations of whole agent runs, seconds.
const AGENT: &[f64] = &[
    0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6,
];
/// Durations of MCP operations, seconds.
const MCP: &[f64] = &[
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

const fn seconds(name: &'static str, help: &'static str, bounds: &'static [f64]) -> Definition {
    Definition {
        name,
        unit: "s",
        help,
        bounds,
    }
}

const fn tokens(name: &'static str, help: &'static str, bounds: &'static [f64]) -> Definition {
    Definition {
        name,
        unit: "{token}",
        help,
        bounds,
    }
}

pub(super) const CLIENT_DURATION: Definition = seconds(
    "gen_ai.client.operation.duration",
    "GenAI operation duration",
    DURATION,
);
pub(super) const CLIENT_FIRST_CHUNK: Definition = seconds(
    "gen_ai.client.operation.time_to_first_chunk",
    "Time from the request to the first chunk of a streamed answer",
    DURATION,
);
pub(super) const CLIENT_PER_CHUNK: Definition = seconds(
    "gen_ai.client.operation.time_per_output_chunk",
    "Time between two chunks of a streamed answer",
    DURATION,
);
pub(super) const INFERENCE_PER_CHUNK: Definition = seconds(
    "gen_ai.client.inference.time_per_output_chunk",
    "Time between two chunks of a streamed answer",
    DURATION,
);
pub(super) const TOKEN_USAGE: Definition = tokens(
    "gen_ai.client.token.usage",
    "Number of input and output tokens used",
    TOKENS,
);
pub(super) const INFERENCE_DURATION: Definition = seconds(
    "gen_ai.client.inference.duration",
    "Duration of an inference call",
    DURATION,
);
pub(super) const INFERENCE_FIRST_CHUNK: Definition = seconds(
    "gen_ai.client.inference.time_to_first_chunk",
    "Time from the request to the first chunk of a streamed answer",
    DURATION,
);
pub(super) const INFERENCE_INPUT: Definition = tokens(
    "gen_ai.client.inference.operation.input_tokens",
    "Input tokens of one inference call",
    TOKENS,
);
pub(super) const INFERENCE_OUTPUT: Definition = tokens(
    "gen_ai.client.inference.operation.output_tokens",
    "Output tokens of one inference call",
    TOKENS,
);
pub(super) const USAGE_INPUT: Definition = tokens(
    "gen_ai.client.inference.usage.input_tokens",
    "Input tokens used, cached ones included",
    &[],
);
pub(super) const USAGE_OUTPUT: Definition = tokens(
    "gen_ai.client.inference.usage.output_tokens",
    "Output tokens used, reasoning included",
    &[],
);
pub(super) const USAGE_CACHE_READ: Definition = tokens(
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "Input tokens that were read from the provider's cache",
    &[],
);
pub(super) const USAGE_CACHE_WRITE: Definition = tokens(
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    "Input tokens that were written to the provider's cache",
    &[],
);
pub(super) const USAGE_REASONING: Definition = tokens(
    "gen_ai.client.inference.usage.reasoning.output_tokens",
    "Output tokens that were used for reasoning",
    &[],
);
pub(super) const SERVER_DURATION: Definition = seconds(
    "gen_ai.server.request.duration",
    "Time from the request to the last byte of the answer, seen by the server",
    DURATION,
);
pub(super) const SERVER_FIRST_TOKEN: Definition = seconds(
    "gen_ai.server.time_to_first_token",
    "Time to the first token of successful answers, seen by the server",
    FIRST_TOKEN,
);
pub(super) const SERVER_PER_TOKEN: Definition = seconds(
    "gen_ai.server.time_per_output_token",
    "Time per token after the first one of successful answers, seen by the server",
    PER_TOKEN,
);
pub(super) const INVOKE_AGENT: Definition = seconds(
    "gen_ai.invoke_agent.duration",
    "Duration of an agent's invocation",
    AGENT,
);
pub(super) const EXECUTE_TOOL: Definition = seconds(
    "gen_ai.execute_tool.duration",
    "Duration of a tool's execution",
    DURATION,
);
pub(super) const MCP_CLIENT: Definition = seconds(
    "mcp.client.operation.duration",
    "Duration of an MCP request or notification, seen by its sender",
    MCP,
);
pub(super) const MCP_SERVER: Definition = seconds(
    "mcp.server.operation.duration",
    "Duration of an MCP request or notification, seen by its receiver",
    MCP,
);

#[cfg(test)]
mod tests {
    use probe_core::gaps;

    use super::*;

    #[test]
    fn durations_have_the_buckets_of_gaps() {
        assert_eq!(DURATION.len() + 1, gaps::BUCKETS);
        for (place, bound) in DURATION.iter().enumerate() {
            let gap = (gaps::FIRST_BOUND << place) as f64 / 1e9;
            assert!((gap - bound).abs() < 1e-9, "{gap} against {bound}");
        }
    }

    #[test]
    fn bounds_grow() {
        for bounds in [DURATION, TOKENS, FIRST_TOKEN, PER_TOKEN, AGENT, MCP] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
