//! OpenAI embeddings.

use std::sync::LazyLock;

use super::super::inference::{Field, InferenceReading, Mark, Row, Rules};
use super::super::reading::{Head, Reading};
use super::super::{Format, Operation};
use super::openai;
use crate::json::Take;

const REQUEST: &[Row] = &[
    ("input", Field::Mark(Mark::Input), Take::Probe),
    ("encoding_format", Field::Encoding, Take::Value),
    ("dimensions", Field::Dimensions, Take::Value),
];

fn rules(shapes: &'static [&'static [Mark]]) -> Rules {
    Rules::new(
        Format::OpenAiEmbeddings,
        Operation::Embeddings,
        &[openai::REQUEST, REQUEST],
        &[openai::RESPONSE, openai::ERRORS],
        shapes,
    )
}

static RULES: LazyLock<Rules> = LazyLock::new(|| rules(&[&[Mark::Model, Mark::Input]]));
static DEPLOYED: LazyLock<Rules> = LazyLock::new(|| rules(&[&[Mark::Input]]));

/// A model and an input; the model may be the path's.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    if !head.posts_to("/embeddings") {
        return None;
    }
    let model = openai::deployment(head);
    let rules = if model.is_some() { &DEPLOYED } else { &RULES };
    Some(Box::new(
        InferenceReading::by_body(rules, head).with_model(model),
    ))
}
