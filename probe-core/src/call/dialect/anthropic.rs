//! Anthropic messages; also served by llama.cpp, Ollama, vLLM and LiteLLM.

use std::sync::LazyLock;

use super::super::inference::{Field, InferenceReading, Mark, Row, Rules};
use super::super::reading::{Head, Reading};
use super::super::{Format, Operation};
use crate::json::Take;

const REQUEST: &[Row] = &[
    ("model", Field::Model, Take::Value),
    ("stream", Field::Stream, Take::Value),
    ("max_tokens", Field::MaxTokens, Take::Value),
    ("temperature", Field::Temperature, Take::Value),
    ("top_p", Field::TopP, Take::Value),
    ("top_k", Field::TopK, Take::Value),
    ("stop_sequences []", Field::Stop, Take::Value),
    ("tools []", Field::OfferedTool, Take::Probe),
    ("output_config effort", Field::ReasoningLevel, Take::Value),
    ("output_config format type", Field::OutputType, Take::Value),
    ("system", Field::System, Take::Content),
    ("system [] text", Field::System, Take::Content),
    ("messages", Field::Mark(Mark::Messages), Take::Probe),
    ("messages []", Field::Message, Take::Probe),
    ("messages [] role", Field::MessageRole, Take::Content),
    ("messages [] content", Field::MessageText, Take::Content),
    ("messages [] content []", Field::MessageCall, Take::Probe),
    (
        "messages [] content [] text",
        Field::MessageText,
        Take::Content,
    ),
    (
        "messages [] content [] id",
        Field::MessageCallId,
        Take::Content,
    ),
    (
        "messages [] content [] name",
        Field::MessageCallName,
        Take::Content,
    ),
    (
        "messages [] content [] input",
        Field::MessageCallArguments,
        Take::Raw,
    ),
    (
        "messages [] content [] tool_use_id",
        Field::Answered,
        Take::Value,
    ),
    (
        "messages [] content [] content",
        Field::MessageResult,
        Take::Content,
    ),
    (
        "messages [] content [] content [] text",
        Field::MessageResult,
        Take::Content,
    ),
];

const RESPONSE: &[Row] = &[
    ("type", Field::Kind, Take::Value),
    ("id", Field::Id, Take::Value),
    ("model", Field::ResponseModel, Take::Value),
    ("stop_reason", Field::Finish, Take::Value),
    ("content []", Field::Tool, Take::Probe),
    ("content [] type", Field::ToolKind, Take::Value),
    ("content [] id", Field::ToolId, Take::Value),
    ("content [] name", Field::ToolName, Take::Value),
    ("content [] input", Field::ToolArguments, Take::Raw),
    ("content [] text", Field::Output, Take::Content),
    ("content [] thinking", Field::Reasoning, Take::Content),
    ("message id", Field::Id, Take::Value),
    ("message model", Field::ResponseModel, Take::Value),
    ("content_block", Field::Tool, Take::Probe),
    ("content_block type", Field::ToolKind, Take::Value),
    ("content_block id", Field::ToolId, Take::Value),
    ("content_block name", Field::ToolName, Take::Value),
    ("content_block text", Field::Output, Take::Content),
    ("delta text", Field::Output, Take::Content),
    ("delta thinking", Field::Reasoning, Take::Content),
    ("delta partial_json", Field::OtherOutput, Take::Content),
    ("delta stop_reason", Field::Finish, Take::Value),
    ("error", Field::Error, Take::Probe),
    ("error type", Field::ErrorType, Take::Value),
    ("usage input_tokens", Field::InputTokens, Take::Value),
    ("usage output_tokens", Field::OutputTokens, Take::Value),
    (
        "usage cache_read_input_tokens",
        Field::CacheRead,
        Take::Value,
    ),
    (
        "usage cache_creation_input_tokens",
        Field::CacheWrite,
        Take::Value,
    ),
    (
        "usage output_tokens_details thinking_tokens",
        Field::ReasoningTokens,
        Take::Value,
    ),
    (
        "message usage input_tokens",
        Field::InputTokens,
        Take::Value,
    ),
    (
        "message usage output_tokens",
        Field::OutputTokens,
        Take::Value,
    ),
    (
        "message usage cache_read_input_tokens",
        Field::CacheRead,
        Take::Value,
    ),
    (
        "message usage cache_creation_input_tokens",
        Field::CacheWrite,
        Take::Value,
    ),
];

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let mut rules = Rules::new(
        Format::Anthropic,
        Operation::Chat,
        &[REQUEST],
        &[RESPONSE],
        &[&[Mark::Model, Mark::Messages]],
    );
    rules.cache_is_extra = true;
    rules
});

/// A request with Anthropic's own field, or one for a model and messages.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    if !head.posts_to("/messages") {
        return None;
    }
    Some(Box::new(if head.has("anthropic-version") {
        InferenceReading::sure(&RULES, head)
    } else {
        InferenceReading::by_body(&RULES, head)
    }))
}
