//! What a request asks for.

use super::content::Input;
use super::{Field, Mark};
use crate::call::Params;
use crate::call::body::{Event, EventSink};
use crate::json::{At, Value};

/// The most stop sequences that are kept; providers take four.
const MAX_STOPS: usize = 16;
/// The most answered tool calls that are kept: the last ones, which are the new ones.
const MAX_ANSWERED: usize = 32;

/// Collects a request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) model: Option<String>,
    pub(super) params: Params,
    pub(super) answered: Vec<String>,
    pub(super) session: Option<String>,
    /// The marks that were seen, as bits.
    pub(super) marks: u8,
    /// A string was too long or a list had too many entries.
    pub(super) limited: bool,
    pub(super) content: Option<Box<Input>>,
    /// The answered tool call of the message under way.
    answer: Option<String>,
    /// The input item under way is itself a tool call, and answers none.
    is_call: bool,
}

impl Request {
    pub(super) fn new(content_cap: usize) -> Self {
        Self {
            content: (content_cap > 0).then(|| Box::new(Input::new(content_cap))),
            ..Self::default()
        }
    }

    /// Whether all of `marks` were seen.
    pub(super) fn has_all(&self, marks: &[Mark]) -> bool {
        marks.iter().all(|mark| self.marks & mark.bit() != 0)
    }

    fn text(&mut self, value: &Value<'_>) -> Option<String> {
        let text = value.text()?;
        self.limited |= text.cut;
        (!text.is_empty()).then(|| text.text.to_owned())
    }

    fn take_answer(&mut self) {
        if let Some(answer) = self.answer.take().filter(|_| !self.is_call) {
            if self.answered.len() == MAX_ANSWERED {
                self.answered.remove(0);
            }
            self.answered.push(answer);
        }
    }

    fn mark(&mut self, mark: Mark, value: &Value<'_>) {
        if *value != Value::Null {
            self.marks |= mark.bit();
        }
        if let (Mark::Prompt | Mark::Input, Value::Text(text), Some(content)) =
            (mark, value, &mut self.content)
        {
            content.prompt(*text);
        }
    }

    fn stop(&mut self, value: &Value<'_>) {
        if self.params.stop_sequences.len() >= MAX_STOPS {
            self.limited = true;
        } else if let Some(stop) = self.text(value) {
            self.params.stop_sequences.push(stop);
        }
    }

    /// The sampling parameters and other numbers; false for another field.
    fn number(&mut self, field: Field, value: &Value<'_>) -> bool {
        let params = &mut self.params;
        let integer = |slot: &mut Option<i64>| *slot = value.as_i64().or(*slot);
        let float = |slot: &mut Option<f64>| *slot = value.as_f64().or(*slot);
        match field {
            Field::MaxTokens => integer(&mut params.max_tokens),
            Field::Seed => integer(&mut params.seed),
            Field::ChoiceCount => integer(&mut params.choice_count),
            Field::Dimensions => integer(&mut params.dimensions),
            Field::Temperature => float(&mut params.temperature),
            Field::TopP => float(&mut params.top_p),
            Field::TopK => float(&mut params.top_k),
            Field::FrequencyPenalty => float(&mut params.frequency_penalty),
            Field::PresencePenalty => float(&mut params.presence_penalty),
            _ => return false,
        }
        true
    }

    /// Strings of their own slot; false for another field.
    fn string(&mut self, field: Field, value: &Value<'_>) -> bool {
        if !matches!(
            field,
            Field::Model
                | Field::ReasoningLevel
                | Field::PreviousResponse
                | Field::Conversation
                | Field::RequestTier
                | Field::Encoding
                | Field::Session
        ) {
            return false;
        }
        let Some(text) = self.text(value) else {
            return true;
        };
        let params = &mut self.params;
        let slot = match field {
            Field::Model => {
                self.marks |= Mark::Model.bit();
                &mut self.model
            }
            Field::ReasoningLevel => &mut params.reasoning_level,
            Field::PreviousResponse => {
                self.marks |= Mark::Previous.bit();
                &mut params.previous_response_id
            }
            Field::Conversation => &mut params.conversation_id,
            Field::RequestTier => &mut params.service_tier,
            Field::Encoding => &mut params.encoding_format,
            _ => &mut self.session,
        };
        *slot = Some(text);
        true
    }
}

impl EventSink<Field> for Request {
    fn value(&mut self, field: Field, _at: At<'_>, value: Value<'_>) {
        if let Some(content) = &mut self.content {
            content.value(field, &value);
        }
        if self.number(field, &value) || self.string(field, &value) {
            return;
        }
        match field {
            Field::Mark(mark) => self.mark(mark, &value),
            Field::Stream => self.params.stream = value.as_bool().unwrap_or(self.params.stream),
            Field::Stop => self.stop(&value),
            Field::OutputType => {
                self.params.output_type = output_type(&value).or(self.params.output_type);
            }
            Field::Modality => {
                // Text is what everybody asks for; the other one says something.
                if let Some(kind) = modality(&value) {
                    self.params.output_type = Some(kind);
                }
            }
            Field::OfferedTool if value != Value::Close => {
                self.params.tools = self.params.tools.saturating_add(1);
            }
            Field::Answered => {
                self.take_answer();
                self.answer = self.text(&value);
            }
            Field::MessageKind => {
                self.is_call = value.whole().is_some_and(|kind| kind.ends_with("_call"));
            }
            Field::Message if value == Value::Close => {
                self.take_answer();
                self.is_call = false;
            }
            _ => {}
        }
    }

    fn event(&mut self, _event: Event) {}

    fn lost(&mut self) {}
}

/// `gen_ai.output.type` of a response format: a name, or a JSON schema.
fn output_type(value: &Value<'_>) -> Option<&'static str> {
    match value {
        Value::Object => Some("json"),
        Value::Text(text) => match text.text {
            "text" => Some("text"),
            "json" | "json_object" | "json_schema" => Some("json"),
            _ => None,
        },
        _ => None,
    }
}

fn modality(value: &Value<'_>) -> Option<&'static str> {
    match value.whole()? {
        "audio" => Some("speech"),
        "image" => Some("image"),
        _ => None,
    }
}
