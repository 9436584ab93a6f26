//! OpenAI chat completions, and the many servers that speak the same: vLLM, llama.cpp, LiteLLM,
//! Ollama's `/v1`, Azure, KAOS agents (OpenAI `OpenAPI` 2.3.0).

use std::sync::LazyLock;

use super::super::inference::{Field, InferenceReading, Row, Rules};
use super::super::reading::{Head, Reading};
use super::super::{Format, Operation};
use super::openai;
use crate::json::Take;

const REQUEST: &[Row] = &[
    ("max_completion_tokens", Field::MaxTokens, Take::Value),
    ("response_format type", Field::OutputType, Take::Value),
    ("modalities []", Field::Modality, Take::Value),
    ("reasoning_effort", Field::ReasoningLevel, Take::Value),
    ("functions []", Field::OfferedTool, Take::Probe),
];

/// The choices of an answer, and of a chunk of one.
pub(super) const CHOICES: &[Row] = &[
    ("choices []", Field::Choice, Take::Probe),
    ("choices [] index", Field::ChoiceIndex, Take::Value),
    ("choices [] finish_reason", Field::Finish, Take::Value),
    ("choices [] message content", Field::Output, Take::Content),
    ("choices [] message refusal", Field::Output, Take::Content),
    (
        "choices [] message reasoning_content",
        Field::Reasoning,
        Take::Content,
    ),
    (
        "choices [] message reasoning",
        Field::Reasoning,
        Take::Content,
    ),
    ("choices [] message tool_calls []", Field::Tool, Take::Probe),
    (
        "choices [] message tool_calls [] index",
        Field::ToolIndex,
        Take::Value,
    ),
    (
        "choices [] message tool_calls [] id",
        Field::ToolId,
        Take::Value,
    ),
    (
        "choices [] message tool_calls [] function name",
        Field::ToolName,
        Take::Value,
    ),
    (
        "choices [] message tool_calls [] function arguments",
        Field::ToolArguments,
        Take::Content,
    ),
    (
        "choices [] message tool_calls [] custom name",
        Field::ToolName,
        Take::Value,
    ),
    ("choices [] message function_call", Field::Tool, Take::Probe),
    (
        "choices [] message function_call name",
        Field::ToolName,
        Take::Value,
    ),
    ("choices [] delta content", Field::Output, Take::Content),
    ("choices [] delta refusal", Field::Output, Take::Content),
    (
        "choices [] delta reasoning_content",
        Field::Reasoning,
        Take::Content,
    ),
    (
        "choices [] delta reasoning",
        Field::Reasoning,
        Take::Content,
    ),
    (
        "choices [] delta audio data",
        Field::OtherOutput,
        Take::Probe,
    ),
    ("choices [] delta tool_calls []", Field::Tool, Take::Probe),
    (
        "choices [] delta tool_calls [] index",
        Field::ToolIndex,
        Take::Value,
    ),
    (
        "choices [] delta tool_calls [] id",
        Field::ToolId,
        Take::Value,
    ),
    (
        "choices [] delta tool_calls [] function name",
        Field::ToolName,
        Take::Value,
    ),
    (
        "choices [] delta tool_calls [] function arguments",
        Field::ToolArguments,
        Take::Content,
    ),
    (
        "choices [] delta tool_calls [] custom name",
        Field::ToolName,
        Take::Value,
    ),
    ("choices [] delta function_call", Field::Tool, Take::Probe),
    (
        "choices [] delta function_call name",
        Field::ToolName,
        Take::Value,
    ),
    (
        "choices [] delta function_call arguments",
        Field::ToolArguments,
        Take::Content,
    ),
];

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    Rules::new(
        Format::OpenAiChat,
        Operation::Chat,
        &[openai::REQUEST, openai::MESSAGES, REQUEST],
        &[openai::RESPONSE, openai::ERRORS, CHOICES],
        &[],
    )
});

/// The path says it all, whatever stands before it.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    if !head.posts_to("/chat/completions") {
        return None;
    }
    let reading = InferenceReading::sure(&RULES, head).with_model(openai::deployment(head));
    Some(Box::new(reading))
}
