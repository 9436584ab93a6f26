//! Opted-in content under its call. Where nobody asked for it, spans have none.

use probe_core::span::Span;

use super::escape::escape;
use super::format;

/// The parts of the content, and what they are called here.
const PARTS: [(&str, &str); 5] = [
    ("gen_ai.system_instructions", "system"),
    ("gen_ai.input.messages", "input"),
    ("gen_ai.output.messages", "output"),
    ("gen_ai.tool.call.arguments", "arguments"),
    ("gen_ai.tool.call.result", "result"),
];

/// A line for each part that the span has.
pub(super) fn lines(span: &Span) -> impl Iterator<Item = String> + '_ {
    PARTS.iter().filter_map(|(name, short)| {
        let text = format::text(span, name)?;
        Some(format!("{short}: {}", escape(text)))
    })
}
