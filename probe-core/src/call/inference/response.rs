//! What an answer says, plain or streamed.

use super::content::Output;
use super::tools::Tools;
use super::{Field, Rules};
use crate::call::body::{Event, EventSink};
use crate::call::failure::Failure;
use crate::call::{Format, Usage};
use crate::json::{At, Value};

/// The most choices of an answer.
const MAX_CHOICES: usize = 128;

/// Collects an answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) format: Format,
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) fingerprint: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) usage: Usage,
    pub(super) timed: Timed,
    /// The finish reason of each choice that was seen.
    pub(super) choices: Vec<Option<String>>,
    pub(super) status: Option<String>,
    pub(super) incomplete: Option<String>,
    pub(super) tools: Tools,
    pub(super) failure: Failure,
    /// A stream's last event came.
    pub(super) terminal: bool,
    pub(super) limited: bool,
    pub(super) content: Option<Box<Output>>,
    /// Since the last [`Response::take_events`]: events, and whether one brought output.
    events: u64,
    output: bool,
    under_way: UnderWay,
}

/// llama.cpp's own count of tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timed {
    pub(super) input: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) output: Option<u64>,
}

/// The event that is being read.
#[derive(Debug, Default)]
struct UnderWay {
    kind: Kind,
    choice: Option<u32>,
    finish: Option<String>,
    output: bool,
    done: bool,
    own: Failure,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Other,
    Error,
    Last,
}

impl Response {
    pub(super) fn new(rules: &Rules, content_cap: usize) -> Self {
        Self {
            format: rules.format,
            id: None,
            model: None,
            fingerprint: None,
            tier: None,
            usage: Usage::default(),
            timed: Timed::default(),
            choices: Vec::new(),
            status: None,
            incomplete: None,
            tools: Tools::new(content_cap),
            failure: Failure::default(),
            terminal: false,
            limited: false,
            content: (content_cap > 0).then(|| Box::new(Output::new(content_cap))),
            events: 0,
            output: false,
            under_way: UnderWay::default(),
        }
    }

    /// How many data events ended since the last time, and whether one brought output.
    pub(super) fn take_events(&mut self) -> (u64, bool) {
        (
            std::mem::take(&mut self.events),
            std::mem::take(&mut self.output),
        )
    }

    /// The body is over; what stands in a broken value counts as far as it came.
    pub(super) fn finish(&mut self) {
        self.commit();
    }

    fn choice(&mut self, at: At<'_>, value: &Value<'_>) {
        if *value != Value::Close {
            self.under_way.choice = None;
            return;
        }
        let choice = self.under_way.choice.take().unwrap_or(at.index(0));
        let finish = self.under_way.finish.take();
        self.finish_choice(choice, finish);
    }

    fn finish_choice(&mut self, choice: u32, finish: Option<String>) {
        let index = choice as usize;
        if index >= MAX_CHOICES {
            self.limited = true;
            return;
        }
        if self.choices.len() <= index {
            self.choices.resize(index + 1, None);
        }
        if finish.is_some() {
            self.choices[index] = finish;
        }
        if let Some(content) = &mut self.content {
            content.commit(index);
        }
    }

    /// The first non-empty text wins: the chunks of a stream repeat it.
    fn once(slot: &mut Option<String>, limited: &mut bool, value: &Value<'_>) {
        if slot.is_none()
            && let Some(text) = value.text().filter(|text| !text.is_empty())
        {
            *limited |= text.cut;
            *slot = Some(text.text.to_owned());
        }
    }

    /// Texts of their own slot; false for another field.
    fn string(&mut self, field: Field, value: &Value<'_>) -> bool {
        let limited = &mut self.limited;
        match field {
            Field::Id => Self::once(&mut self.id, limited, value),
            Field::ResponseModel => Self::once(&mut self.model, limited, value),
            Field::Fingerprint => Self::once(&mut self.fingerprint, limited, value),
            // The last tier is the one that served.
            Field::ResponseTier => {
                if let Some(tier) = value.whole() {
                    self.tier = Some(tier.to_owned());
                }
            }
            Field::Status => self.status = value.whole().map(str::to_owned),
            Field::IncompleteReason => self.incomplete = value.whole().map(str::to_owned),
            Field::Finish => {
                let reason = value.whole().filter(|r| !r.is_empty() && *r != "none");
                if let Some(reason) = reason {
                    self.under_way.finish = Some(reason.to_owned());
                }
            }
            _ => return false,
        }
        true
    }

    /// Counts; the last one wins, `null` changes nothing. False for another field.
    fn count(&mut self, field: Field, value: &Value<'_>) -> bool {
        let slot = match field {
            Field::InputTokens => &mut self.usage.input,
            Field::OutputTokens => &mut self.usage.output,
            Field::CacheRead => &mut self.usage.cache_read,
            Field::CacheWrite => &mut self.usage.cache_write,
            Field::ReasoningTokens => &mut self.usage.reasoning,
            Field::TimedInput => &mut self.timed.input,
            Field::TimedCached => &mut self.timed.cached,
            Field::TimedOutput => &mut self.timed.output,
            _ => return false,
        };
        *slot = value.as_u64().or(*slot);
        true
    }

    /// Errors; false for another field.
    fn error(&mut self, field: Field, value: &Value<'_>) -> bool {
        match field {
            Field::Error => self.failure.value(value),
            Field::ErrorCode => self.failure.code(value),
            Field::ErrorType => self.failure.kind(value),
            Field::OwnErrorCode => self.under_way.own.code(value),
            Field::OwnErrorType => self.under_way.own.kind(value),
            _ => return false,
        }
        true
    }

    fn text(&mut self, field: Field, value: &Value<'_>) {
        let Some(text) = value.text().filter(|text| !text.is_empty()) else {
            return;
        };
        self.under_way.output = true;
        if let Some(content) = &mut self.content {
            content.text(field, text, &mut self.tools);
        }
    }

    fn commit(&mut self) {
        let under_way = std::mem::take(&mut self.under_way);
        if under_way.finish.is_some() {
            self.finish_choice(0, under_way.finish);
        } else if let Some(content) = &mut self.content {
            content.commit(0);
        }
        if under_way.kind == Kind::Error {
            self.failure.note();
            self.failure.or(under_way.own);
        }
        self.output |= under_way.output;
        self.terminal |= under_way.done || under_way.kind == Kind::Last;
    }
}

impl EventSink<Field> for Response {
    fn value(&mut self, field: Field, at: At<'_>, value: Value<'_>) {
        if self.terminal || self.string(field, &value) || self.count(field, &value) {
            return;
        }
        if self.error(field, &value) {
            return;
        }
        match field {
            Field::Choice => self.choice(at, &value),
            Field::ChoiceIndex => {
                self.under_way.choice = value.as_u64().and_then(|i| i.try_into().ok());
            }
            Field::Output | Field::Reasoning | Field::OtherOutput => self.text(field, &value),
            Field::Tool
            | Field::ToolIndex
            | Field::ToolId
            | Field::ToolName
            | Field::ToolKind
            | Field::ToolArguments => {
                let choice = self.under_way.choice.unwrap_or(0);
                self.under_way.output |= self.tools.value(field, &value, choice);
            }
            Field::Kind => {
                self.under_way.kind = match value.whole().unwrap_or_default() {
                    "error" => Kind::Error,
                    "message_stop"
                    | "response.completed"
                    | "response.incomplete"
                    | "response.failed" => Kind::Last,
                    _ => Kind::Other,
                };
            }
            Field::Format(format) if value != Value::Null => self.format = format,
            Field::Done => self.under_way.done |= value == Value::Bool(true),
            _ => {}
        }
    }

    fn event(&mut self, event: Event) {
        if self.terminal {
            return;
        }
        match event {
            Event::EndMark => self.terminal = true,
            Event::Json { error } => {
                if error {
                    self.under_way.kind = Kind::Error;
                }
                self.events += 1;
                self.commit();
            }
            Event::Other => self.under_way = UnderWay::default(),
        }
    }

    fn lost(&mut self) {
        self.under_way = UnderWay::default();
        self.tools.lost();
    }
}
