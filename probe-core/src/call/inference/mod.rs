//! Model calls. What the formats have in common is here; what sets one apart is its dialect's
//! two tables of paths and a few rules.

mod content;
mod field;
mod finish;
mod reading;
mod request;
mod response;
mod tools;

pub(super) use field::{Field, Mark};
pub(super) use reading::InferenceReading;

use super::{Format, Operation};
use crate::json::{Schema, Take};

/// A row of a dialect's table: a path, what stands there, and how much of it is kept.
pub(super) type Row = (&'static str, Field, Take);

/// What sets a format apart.
#[derive(Debug)]
pub(super) struct Rules {
    /// The format.
    pub(super) format: Format,
    /// The operation.
    pub(super) operation: Operation,
    /// What is read of a request.
    pub(super) request: Schema<Field>,
    /// What is read of an answer, or of each event of one.
    pub(super) response: Schema<Field>,
    /// A request is a call when one of these sets of marks was seen in its body.
    pub(super) shapes: &'static [&'static [Mark]],
    /// Cached tokens are reported beside the input tokens, not among them.
    pub(super) cache_is_extra: bool,
}

impl Rules {
    /// Rules for `format` with the rows of several tables.
    pub(super) fn new(
        format: Format,
        operation: Operation,
        request: &[&[Row]],
        response: &[&[Row]],
        shapes: &'static [&'static [Mark]],
    ) -> Self {
        Self {
            format,
            operation,
            request: Schema::new(&request.concat()),
            response: Schema::new(&response.concat()),
            shapes,
            cache_is_extra: false,
        }
    }
}
