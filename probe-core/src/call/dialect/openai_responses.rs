//! The OpenAI Responses API. Its stream ends with an event that holds the whole response.

use std::sync::LazyLock;

use super::super::inference::{Field, InferenceReading, Mark, Row, Rules};
use super::super::reading::{Head, Reading};
use super::super::{Format, Operation};
use super::openai;
use crate::json::Take;

const REQUEST: &[Row] = &[
    ("input", Field::Mark(Mark::Input), Take::Content),
    ("input []", Field::Message, Take::Probe),
    ("input [] type", Field::MessageKind, Take::Value),
    ("input [] role", Field::MessageRole, Take::Content),
    ("input [] content", Field::MessageText, Take::Content),
    (
        "input [] content [] text",
        Field::MessageText,
        Take::Content,
    ),
    ("input [] call_id", Field::Answered, Take::Value),
    ("input [] output", Field::MessageResult, Take::Content),
    ("instructions", Field::System, Take::Content),
    ("prompt id", Field::Mark(Mark::Prompt), Take::Probe),
    ("max_output_tokens", Field::MaxTokens, Take::Value),
    ("text format type", Field::OutputType, Take::Value),
    ("reasoning effort", Field::ReasoningLevel, Take::Value),
    ("previous_response_id", Field::PreviousResponse, Take::Value),
    ("conversation", Field::Conversation, Take::Value),
    ("conversation id", Field::Conversation, Take::Value),
];

const PLAIN: &[Row] = &[
    ("id", Field::Id, Take::Value),
    ("model", Field::ResponseModel, Take::Value),
    ("status", Field::Status, Take::Value),
    (
        "incomplete_details reason",
        Field::IncompleteReason,
        Take::Value,
    ),
    ("service_tier", Field::ResponseTier, Take::Value),
    ("output []", Field::Tool, Take::Probe),
    ("output [] type", Field::ToolKind, Take::Value),
    ("output [] call_id", Field::ToolId, Take::Value),
    ("output [] name", Field::ToolName, Take::Value),
    ("output [] arguments", Field::ToolArguments, Take::Content),
    ("output [] content [] text", Field::Output, Take::Content),
    ("output [] content [] refusal", Field::Output, Take::Content),
    ("output [] summary [] text", Field::Reasoning, Take::Content),
    ("usage input_tokens", Field::InputTokens, Take::Value),
    ("usage output_tokens", Field::OutputTokens, Take::Value),
    (
        "usage input_tokens_details cached_tokens",
        Field::CacheRead,
        Take::Value,
    ),
    (
        "usage input_tokens_details cache_write_tokens",
        Field::CacheWrite,
        Take::Value,
    ),
    (
        "usage output_tokens_details reasoning_tokens",
        Field::ReasoningTokens,
        Take::Value,
    ),
];

const EVENTS: &[Row] = &[
    ("type", Field::Kind, Take::Value),
    ("delta", Field::OtherOutput, Take::Probe),
    ("item", Field::Tool, Take::Probe),
    ("item type", Field::ToolKind, Take::Value),
    ("item call_id", Field::ToolId, Take::Value),
    ("item name", Field::ToolName, Take::Value),
    ("response id", Field::Id, Take::Value),
    ("response model", Field::ResponseModel, Take::Value),
    ("response status", Field::Status, Take::Value),
    (
        "response incomplete_details reason",
        Field::IncompleteReason,
        Take::Value,
    ),
    ("response service_tier", Field::ResponseTier, Take::Value),
    ("response output []", Field::Tool, Take::Probe),
    ("response output [] type", Field::ToolKind, Take::Value),
    ("response output [] call_id", Field::ToolId, Take::Value),
    ("response output [] name", Field::ToolName, Take::Value),
    (
        "response output [] arguments",
        Field::ToolArguments,
        Take::Content,
    ),
    (
        "response output [] content [] text",
        Field::Output,
        Take::Content,
    ),
    (
        "response output [] content [] refusal",
        Field::Output,
        Take::Content,
    ),
    (
        "response output [] summary [] text",
        Field::Reasoning,
        Take::Content,
    ),
    (
        "response usage input_tokens",
        Field::InputTokens,
        Take::Value,
    ),
    (
        "response usage output_tokens",
        Field::OutputTokens,
        Take::Value,
    ),
    (
        "response usage input_tokens_details cached_tokens",
        Field::CacheRead,
        Take::Value,
    ),
    (
        "response usage input_tokens_details cache_write_tokens",
        Field::CacheWrite,
        Take::Value,
    ),
    (
        "response usage output_tokens_details reasoning_tokens",
        Field::ReasoningTokens,
        Take::Value,
    ),
    ("response error", Field::Error, Take::Probe),
    ("response error code", Field::ErrorCode, Take::Value),
    ("response error type", Field::ErrorType, Take::Value),
];

/// An error object, or an event that is one itself.
const ERRORS: &[Row] = &[
    ("error", Field::Error, Take::Probe),
    ("error code", Field::ErrorCode, Take::Value),
    ("error type", Field::ErrorType, Take::Value),
    ("code", Field::OwnErrorCode, Take::Value),
];

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    Rules::new(
        Format::OpenAiResponses,
        Operation::Chat,
        &[openai::REQUEST, REQUEST],
        &[PLAIN, EVENTS, ERRORS],
        &[
            &[Mark::Model, Mark::Input],
            &[Mark::Model, Mark::Previous],
            &[Mark::Prompt],
        ],
    )
});

/// A model and an input, a response to go on from, or a stored prompt.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    if !head.posts_to("/responses") {
        return None;
    }
    Some(Box::new(InferenceReading::by_body(&RULES, head)))
}
