//! What OpenAI's formats have in common.

use super::super::inference::{Field, Mark, Row};
use super::super::reading::Head;
use crate::json::Take;

/// Sampling and the like.
pub(super) const REQUEST: &[Row] = &[
    ("model", Field::Model, Take::Value),
    ("stream", Field::Stream, Take::Value),
    ("temperature", Field::Temperature, Take::Value),
    ("top_p", Field::TopP, Take::Value),
    // Not of OpenAI, but of most servers that speak its formats.
    ("top_k", Field::TopK, Take::Value),
    ("frequency_penalty", Field::FrequencyPenalty, Take::Value),
    ("presence_penalty", Field::PresencePenalty, Take::Value),
    ("seed", Field::Seed, Take::Value),
    ("n", Field::ChoiceCount, Take::Value),
    ("stop", Field::Stop, Take::Value),
    ("stop []", Field::Stop, Take::Value),
    ("max_tokens", Field::MaxTokens, Take::Value),
    ("service_tier", Field::RequestTier, Take::Value),
    ("tools []", Field::OfferedTool, Take::Probe),
    // Of KAOS agents.
    ("session_id", Field::Session, Take::Value),
];

/// Messages of a chat.
pub(super) const MESSAGES: &[Row] = &[
    ("messages", Field::Mark(Mark::Messages), Take::Probe),
    ("messages []", Field::Message, Take::Probe),
    ("messages [] role", Field::MessageRole, Take::Content),
    ("messages [] content", Field::MessageText, Take::Content),
    (
        "messages [] content [] text",
        Field::MessageText,
        Take::Content,
    ),
    ("messages [] tool_call_id", Field::Answered, Take::Value),
    ("messages [] tool_calls []", Field::MessageCall, Take::Probe),
    (
        "messages [] tool_calls [] id",
        Field::MessageCallId,
        Take::Content,
    ),
    (
        "messages [] tool_calls [] function name",
        Field::MessageCallName,
        Take::Content,
    ),
    (
        "messages [] tool_calls [] function arguments",
        Field::MessageCallArguments,
        Take::Content,
    ),
];

/// What stands around the choices of an answer.
pub(super) const RESPONSE: &[Row] = &[
    ("id", Field::Id, Take::Value),
    ("model", Field::ResponseModel, Take::Value),
    ("object", Field::Kind, Take::Value),
    ("service_tier", Field::ResponseTier, Take::Value),
    ("system_fingerprint", Field::Fingerprint, Take::Value),
    ("usage prompt_tokens", Field::InputTokens, Take::Value),
    ("usage completion_tokens", Field::OutputTokens, Take::Value),
    (
        "usage prompt_tokens_details cached_tokens",
        Field::CacheRead,
        Take::Value,
    ),
    (
        "usage prompt_tokens_details cache_write_tokens",
        Field::CacheWrite,
        Take::Value,
    ),
    (
        "usage completion_tokens_details reasoning_tokens",
        Field::ReasoningTokens,
        Take::Value,
    ),
    // DeepSeek, Moonshot, Groq.
    (
        "usage prompt_cache_hit_tokens",
        Field::CacheRead,
        Take::Value,
    ),
    ("usage cached_tokens", Field::CacheRead, Take::Value),
    (
        "choices [] usage prompt_tokens",
        Field::InputTokens,
        Take::Value,
    ),
    (
        "choices [] usage completion_tokens",
        Field::OutputTokens,
        Take::Value,
    ),
    (
        "x_groq usage prompt_tokens",
        Field::InputTokens,
        Take::Value,
    ),
    (
        "x_groq usage completion_tokens",
        Field::OutputTokens,
        Take::Value,
    ),
    // llama.cpp.
    ("timings prompt_n", Field::TimedInput, Take::Value),
    ("timings cache_n", Field::TimedCached, Take::Value),
    ("timings predicted_n", Field::TimedOutput, Take::Value),
];

/// Errors: an object, a text, or (vLLM before 0.10) the answer itself.
pub(super) const ERRORS: &[Row] = &[
    ("error", Field::Error, Take::Probe),
    ("error code", Field::ErrorCode, Take::Value),
    ("error type", Field::ErrorType, Take::Value),
    ("code", Field::OwnErrorCode, Take::Value),
    ("type", Field::OwnErrorType, Take::Value),
];

/// The deployment or engine that a path of Azure or LiteLLM names, which is the model.
pub(super) fn deployment<'a>(head: &Head<'a>) -> Option<&'a str> {
    ["/deployments/", "/engines/"].iter().find_map(|part| {
        let (_, rest) = head.path.split_once(part)?;
        let (name, _) = rest.split_once('/')?;
        (!name.is_empty()).then_some(name)
    })
}
