//! One message as it is read.

use super::Field;
use crate::json::Value;

/// What was seen of a message.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent facts, not a state"
)]
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Message {
    pub(in crate::call) is_rpc: bool,
    pub(in crate::call) method: Option<String>,
    pub(in crate::call) id: Option<String>,
    pub(in crate::call) has_result: bool,
    pub(in crate::call) has_error: bool,
    pub(in crate::call) error_code: Option<i64>,
    pub(in crate::call) is_error: bool,
    pub(in crate::call) name: Option<String>,
    pub(in crate::call) uri: Option<String>,
    pub(in crate::call) protocol_version: Option<String>,
    pub(in crate::call) trace_parent: Option<String>,
    pub(in crate::call) trace_state: Option<String>,
    pub(in crate::call) arguments: Option<String>,
    pub(in crate::call) result: Option<String>,
    pub(in crate::call) task_id: Option<String>,
    pub(in crate::call) context_id: Option<String>,
    pub(in crate::call) state: Option<String>,
    pub(in crate::call) is_final: bool,
    pub(in crate::call) has_parts: bool,
    pub(in crate::call) input: Vec<String>,
    pub(in crate::call) output: Vec<String>,
    /// A value was too long to be kept.
    pub(in crate::call) limited: bool,
    /// Content was left out at the cap.
    pub(in crate::call) truncated: bool,
    pub(super) kept: usize,
}

impl Message {
    /// Takes a value. `content_cap` bounds what is kept of texts that come in parts.
    pub(super) fn value(&mut self, field: Field, value: &Value<'_>, content_cap: usize) {
        match field {
            Field::Version => self.is_rpc |= value.whole() == Some("2.0"),
            Field::Id => self.id = id(value),
            Field::Result => self.has_result |= !matches!(value, Value::Close),
            Field::Error => self.has_error |= *value == Value::Object,
            Field::ErrorCode => self.error_code = value.as_i64(),
            Field::IsError => self.is_error = *value == Value::Bool(true),
            Field::Final => self.is_final |= *value == Value::Bool(true),
            Field::Parts => self.has_parts |= *value == Value::Array,
            Field::Arguments | Field::ResultContent => self.content(field, value),
            Field::InputText | Field::OutputText => self.text_part(field, value, content_cap),
            _ => self.text(field, value),
        }
    }

    fn text(&mut self, field: Field, value: &Value<'_>) {
        let slot = match field {
            Field::Method => &mut self.method,
            Field::Name => &mut self.name,
            Field::Uri => &mut self.uri,
            Field::ProtocolVersion => &mut self.protocol_version,
            Field::TraceParent => &mut self.trace_parent,
            Field::TraceState => &mut self.trace_state,
            Field::TaskId => &mut self.task_id,
            Field::ContextId => &mut self.context_id,
            Field::State => &mut self.state,
            _ => return,
        };
        if let Some(text) = value.text().filter(|text| !text.is_empty()) {
            self.limited |= text.cut;
            *slot = Some(text.text.to_owned());
        }
    }

    fn content(&mut self, field: Field, value: &Value<'_>) {
        if let Value::Raw(text) = value {
            self.truncated |= text.cut;
            let slot = match field {
                Field::Arguments => &mut self.arguments,
                _ => &mut self.result,
            };
            *slot = Some(text.text.to_owned());
        }
    }

    fn text_part(&mut self, field: Field, value: &Value<'_>, content_cap: usize) {
        let Some(text) = value.text().filter(|text| !text.text.is_empty()) else {
            return;
        };
        if self.kept + text.text.len() > content_cap {
            self.truncated = true;
            return;
        }
        self.kept += text.text.len() + 16;
        let list = match field {
            Field::InputText => &mut self.input,
            _ => &mut self.output,
        };
        list.push(text.text.to_owned());
    }

    /// Whether it answers a request.
    pub(super) const fn is_answer(&self) -> bool {
        self.method.is_none() && (self.has_result || self.has_error)
    }
}

/// An id: a number or a text; `null` is none.
fn id(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Number(number) => Some((*number).to_owned()),
        Value::Text(text) => Some(text.text.to_owned()),
        _ => None,
    }
}
