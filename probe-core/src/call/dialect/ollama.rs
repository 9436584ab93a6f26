//! Ollama's own API. llama.cpp answers `/api/chat` in OpenAI's form: the answer decides.

use std::sync::LazyLock;

use super::super::inference::{Field, InferenceReading, Mark, Row, Rules};
use super::super::reading::{Head, Reading};
use super::super::{Format, Operation};
use super::{openai, openai_chat};
use crate::json::Take;

const REQUEST: &[Row] = &[
    ("model", Field::Model, Take::Value),
    ("stream", Field::Stream, Take::Value),
    ("format", Field::OutputType, Take::Value),
    ("tools []", Field::OfferedTool, Take::Probe),
    ("think", Field::ReasoningLevel, Take::Value),
    ("dimensions", Field::Dimensions, Take::Value),
    ("system", Field::System, Take::Content),
    ("options num_predict", Field::MaxTokens, Take::Value),
    ("options temperature", Field::Temperature, Take::Value),
    ("options top_p", Field::TopP, Take::Value),
    ("options top_k", Field::TopK, Take::Value),
    ("options seed", Field::Seed, Take::Value),
    ("options stop", Field::Stop, Take::Value),
    ("options stop []", Field::Stop, Take::Value),
    (
        "options frequency_penalty",
        Field::FrequencyPenalty,
        Take::Value,
    ),
    (
        "options presence_penalty",
        Field::PresencePenalty,
        Take::Value,
    ),
    ("messages", Field::Mark(Mark::Messages), Take::Probe),
    ("messages []", Field::Message, Take::Probe),
    ("messages [] role", Field::MessageRole, Take::Content),
    ("messages [] content", Field::MessageText, Take::Content),
    ("messages [] tool_call_id", Field::Answered, Take::Value),
    ("messages [] tool_calls []", Field::MessageCall, Take::Probe),
    (
        "messages [] tool_calls [] function name",
        Field::MessageCallName,
        Take::Content,
    ),
    (
        "messages [] tool_calls [] function arguments",
        Field::MessageCallArguments,
        Take::Raw,
    ),
    ("prompt", Field::Mark(Mark::Prompt), Take::Content),
    ("input", Field::Mark(Mark::Input), Take::Probe),
];

const RESPONSE: &[Row] = &[
    ("model", Field::ResponseModel, Take::Value),
    ("done", Field::Done, Take::Value),
    ("done_reason", Field::Finish, Take::Value),
    ("response", Field::Output, Take::Content),
    ("thinking", Field::Reasoning, Take::Content),
    ("message content", Field::Output, Take::Content),
    ("message thinking", Field::Reasoning, Take::Content),
    ("message tool_calls []", Field::Tool, Take::Probe),
    ("message tool_calls [] id", Field::ToolId, Take::Value),
    (
        "message tool_calls [] function name",
        Field::ToolName,
        Take::Value,
    ),
    (
        "message tool_calls [] function arguments",
        Field::ToolArguments,
        Take::Raw,
    ),
    ("prompt_eval_count", Field::InputTokens, Take::Value),
    ("eval_count", Field::OutputTokens, Take::Value),
];

/// What tells OpenAI's form.
const OTHER_FORM: &[Row] = &[("choices", Field::Format(Format::OpenAiChat), Take::Probe)];

fn rules(operation: Operation, shapes: &'static [&'static [Mark]]) -> Rules {
    let openai: &[&[Row]] = match operation {
        Operation::Chat => &[openai::RESPONSE, openai_chat::CHOICES, OTHER_FORM],
        _ => &[],
    };
    let response = [&[openai::ERRORS, RESPONSE], openai].concat();
    Rules::new(Format::Ollama, operation, &[REQUEST], &response, shapes)
}

static CHAT: LazyLock<Rules> =
    LazyLock::new(|| rules(Operation::Chat, &[&[Mark::Model, Mark::Messages]]));
static GENERATE: LazyLock<Rules> =
    LazyLock::new(|| rules(Operation::TextCompletion, &[&[Mark::Model, Mark::Prompt]]));
static EMBED: LazyLock<Rules> =
    LazyLock::new(|| rules(Operation::Embeddings, &[&[Mark::Model, Mark::Input]]));
static EMBEDDINGS: LazyLock<Rules> =
    LazyLock::new(|| rules(Operation::Embeddings, &[&[Mark::Model, Mark::Prompt]]));

/// The four paths of inference; a model and the right kind of input.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    let paths: [(&str, &'static LazyLock<Rules>); 4] = [
        ("/api/chat", &CHAT),
        ("/api/generate", &GENERATE),
        ("/api/embed", &EMBED),
        ("/api/embeddings", &EMBEDDINGS),
    ];
    let (_, rules) = paths.into_iter().find(|(path, _)| head.posts_to(path))?;
    let reading = InferenceReading::by_body(rules, head);
    Some(Box::new(match rules.operation {
        Operation::Chat | Operation::TextCompletion => reading.streams_by_default(),
        Operation::Embeddings => reading,
    }))
}
