//! Names, kinds, statuses and attributes of single spans.

mod errors;
mod mcp;
mod model;
mod names;

use super::world::*;
use crate::call::{Call, CallKind, Content, ErrorSource, Format, Timing, ToolCall};
use crate::conventions::{Conventions, Profile, TABLE};
use crate::ids::Role;
use crate::message::End;
use crate::span::{Span, SpanKind, Value};

/// The span of a single call under the default names.
fn span(call: &Call) -> Span {
    span_by(call, Conventions::default())
}

fn span_by(call: &Call, conventions: Conventions) -> Span {
    let mut w = World::named(conventions);
    w.open(&info(
        call.key.conn.0,
        call.process.tgid,
        "10.0.0.1:41",
        "10.0.0.2:8000",
        1,
    ));
    w.run(call);
    w.drain();
    let span = w.spans.pop().expect("a span");
    assert!(w.spans.is_empty());
    span
}

fn model(change: impl Fn(&mut crate::call::Inference)) -> Call {
    let mut call = chat(0, 1, Role::Client, 10, 40);
    if let CallKind::Inference(i) = &mut call.kind {
        change(i);
    }
    call
}

fn strings(span: &Span, name: &str) -> Vec<String> {
    match attribute(span, name) {
        Some(Value::Strings(list)) => list.clone(),
        _ => Vec::new(),
    }
}
