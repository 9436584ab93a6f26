//! llama.cpp's own API.

use std::sync::LazyLock;

use super::super::inference::{Field, InferenceReading, Mark, Row, Rules};
use super::super::reading::{Head, Reading};
use super::super::{Format, Operation};
use super::openai;
use crate::json::Take;

/// Its own parameters; those that it shares with OpenAI are read from there.
pub(super) const REQUEST: &[Row] = &[("n_predict", Field::MaxTokens, Take::Value)];

const SHAPE: &[Row] = &[
    ("prompt", Field::Mark(Mark::Prompt), Take::Content),
    ("input_prefix", Field::Mark(Mark::Infill), Take::Probe),
    ("input_suffix", Field::Mark(Mark::Infill), Take::Probe),
];

/// An answer, and the chunks of one.
pub(super) const RESPONSE: &[Row] = &[
    ("content", Field::Output, Take::Content),
    ("stop_type", Field::Finish, Take::Value),
    ("tokens_evaluated", Field::InputTokens, Take::Value),
    ("tokens_predicted", Field::OutputTokens, Take::Value),
    (
        "generation_settings",
        Field::Format(Format::LlamaCpp),
        Take::Probe,
    ),
    ("stop", Field::Done, Take::Value),
    ("tokens", Field::Format(Format::LlamaCpp), Take::Probe),
];

fn rules(shapes: &'static [&'static [Mark]]) -> Rules {
    Rules::new(
        Format::LlamaCpp,
        Operation::TextCompletion,
        &[openai::REQUEST, REQUEST, SHAPE],
        &[openai::RESPONSE, openai::ERRORS, RESPONSE],
        shapes,
    )
}

static COMPLETION: LazyLock<Rules> = LazyLock::new(|| rules(&[&[Mark::Prompt]]));
static INFILL: LazyLock<Rules> = LazyLock::new(|| rules(&[&[Mark::Infill]]));

/// A prompt to `/completion`, or a text with a hole to `/infill`.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    let rules: &'static Rules = if head.posts_to("/completion") {
        &COMPLETION
    } else if head.posts_to("/infill") {
        &INFILL
    } else {
        return None;
    };
    Some(Box::new(InferenceReading::by_body(rules, head)))
}
