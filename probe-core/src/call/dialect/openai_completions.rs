//! OpenAI completions. llama.cpp answers `/completions` (without `/v1`) in its own form.

use std::sync::LazyLock;

use super::super::inference::{Field, InferenceReading, Mark, Row, Rules};
use super::super::reading::{Head, Reading};
use super::super::{Format, Operation};
use super::{llama_cpp, openai};
use crate::json::Take;

const REQUEST: &[Row] = &[("prompt", Field::Mark(Mark::Prompt), Take::Content)];

const RESPONSE: &[Row] = &[
    ("choices []", Field::Choice, Take::Probe),
    ("choices [] index", Field::ChoiceIndex, Take::Value),
    ("choices [] finish_reason", Field::Finish, Take::Value),
    ("choices [] text", Field::Output, Take::Content),
];

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    Rules::new(
        Format::OpenAiCompletions,
        Operation::TextCompletion,
        &[openai::REQUEST, llama_cpp::REQUEST, REQUEST],
        &[
            llama_cpp::RESPONSE,
            openai::RESPONSE,
            openai::ERRORS,
            RESPONSE,
        ],
        &[&[Mark::Prompt]],
    )
});

/// A prompt to a path that ends in `/completions`.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    if !head.posts_to("/completions") || head.path.ends_with("/chat/completions") {
        return None;
    }
    let reading = InferenceReading::by_body(&RULES, head).with_model(openai::deployment(head));
    Some(Box::new(reading))
}
