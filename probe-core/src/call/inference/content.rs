//! Opted-in content: prompts and answers in the shapes of the conventions, each capped.

use super::Field;
use super::tools::{Tools, append};
use crate::call::json_text::{push_json, push_string};
use crate::json::{Text, Value};

/// The content of a request.
#[derive(Debug)]
pub(super) struct Input {
    messages: Vec<Message>,
    system: Vec<String>,
    room: usize,
    /// Something was left out at the cap.
    pub(super) truncated: bool,
}

/// One message.
#[derive(Debug, Default)]
struct Message {
    role: String,
    parts: Vec<Part>,
    /// The tool call that it answers.
    answers: Option<String>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Call {
        id: Option<String>,
        name: String,
        arguments: String,
    },
    Result {
        id: Option<String>,
        text: String,
    },
}

impl Input {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            messages: Vec::new(),
            system: Vec::new(),
            room: cap,
            truncated: false,
        }
    }

    /// As much of a text as there is room for. Each takes a little more than its length, so
    /// that empty ones cannot be without number.
    fn keep(&mut self, text: Text<'_>) -> Option<String> {
        let mut kept = String::new();
        let taken = append(&mut kept, text.text, self.room);
        self.truncated |= text.cut || taken < text.text.len();
        if self.room == 0 {
            return None;
        }
        self.room = self.room.saturating_sub(taken + 16);
        Some(kept)
    }

    /// A prompt that is no list of messages.
    pub(super) fn prompt(&mut self, text: Text<'_>) {
        if let Some(text) = self.keep(text) {
            self.messages.push(Message {
                role: "user".to_owned(),
                parts: vec![Part::Text(text)],
                answers: None,
            });
        }
    }

    pub(super) fn value(&mut self, field: Field, value: &Value<'_>) {
        if field == Field::Message {
            match value {
                Value::Object if self.room > 0 => self.messages.push(Message::default()),
                Value::Object => self.truncated = true,
                Value::Text(text) => self.prompt(*text),
                _ => {}
            }
            return;
        }
        let text = match value {
            Value::Text(text) | Value::Raw(text) => *text,
            Value::Object if field == Field::MessageCall => Text {
                text: "",
                cut: false,
            },
            _ => return,
        };
        if field == Field::System {
            if let Some(text) = self.keep(text) {
                self.system.push(text);
            }
            return;
        }
        if !matches!(
            field,
            Field::MessageRole
                | Field::MessageText
                | Field::MessageCall
                | Field::MessageCallId
                | Field::MessageCallName
                | Field::MessageCallArguments
                | Field::MessageResult
                | Field::Answered
        ) {
            return;
        }
        let Some(text) = self.keep(text) else {
            return;
        };
        if let Some(message) = self.messages.last_mut() {
            message.put(field, text);
        }
    }

    /// `gen_ai.input.messages` and `gen_ai.system_instructions`.
    pub(super) fn render(&self) -> (Option<String>, Option<String>) {
        let messages = (!self.messages.is_empty())
            .then(|| list(self.messages.iter(), |json, message| message.render(json)));
        let system = (!self.system.is_empty()).then(|| {
            list(self.system.iter(), |json, text| {
                render_text(json, "text", text);
            })
        });
        (messages, system)
    }
}

impl Message {
    fn put(&mut self, field: Field, text: String) {
        if field == Field::MessageCall {
            self.parts.push(Part::Call {
                id: None,
                name: String::new(),
                arguments: String::new(),
            });
            return;
        }
        match (field, self.parts.last_mut()) {
            (Field::MessageRole, _) => self.role = text,
            (Field::MessageText, _) => self.parts.push(Part::Text(text)),
            (Field::MessageCallId, Some(Part::Call { id, .. })) => *id = Some(text),
            (Field::MessageCallName, Some(Part::Call { name, .. })) => *name = text,
            (Field::MessageCallArguments, Some(Part::Call { arguments, .. })) => *arguments = text,
            (Field::Answered, _) => self.answers = Some(text),
            (Field::MessageResult, _) => {
                let id = self.answers.take();
                self.parts.push(Part::Result { id, text });
            }
            _ => {}
        }
    }

    fn render(&self, json: &mut String) {
        json.push_str("{\"role\":");
        push_string(
            json,
            if self.role.is_empty() {
                "user"
            } else {
                &self.role
            },
        );
        json.push_str(",\"parts\":");
        let answers = self.answers.as_deref();
        let parts = self.parts.iter().filter(|part| !part.is_void());
        json.push_str(&list(parts, |json, part| part.render(answers, json)));
        json.push('}');
    }
}

impl Part {
    /// Blocks of a message that turned out to be no tool call.
    fn is_void(&self) -> bool {
        matches!(self, Self::Call { name, .. } if name.is_empty())
    }

    fn render(&self, answers: Option<&str>, json: &mut String) {
        match self {
            Self::Text(text) => match answers {
                Some(id) => render_result(json, Some(id), text),
                None => render_text(json, "text", text),
            },
            Self::Result { id, text } => render_result(json, id.as_deref().or(answers), text),
            Self::Call {
                id,
                name,
                arguments,
            } => render_call(json, id.as_deref(), name, arguments),
        }
    }
}

/// The content of an answer.
#[derive(Debug)]
pub(super) struct Output {
    choices: Vec<Choice>,
    under_way: Choice,
    cap: usize,
    /// Something was left out at the cap.
    pub(super) truncated: bool,
}

#[derive(Debug, Default)]
struct Choice {
    text: String,
    reasoning: String,
}

impl Output {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            choices: Vec::new(),
            under_way: Choice::default(),
            cap,
            truncated: false,
        }
    }

    fn room(&self, tools: &Tools) -> usize {
        let choices = self.choices.iter().chain([&self.under_way]);
        let kept: usize = choices.map(|c| c.text.len() + c.reasoning.len()).sum();
        self.cap.saturating_sub(kept + tools.kept())
    }

    /// A piece of the answer.
    pub(super) fn text(&mut self, field: Field, text: Text<'_>, tools: &mut Tools) {
        let room = self.room(tools);
        let kept = match field {
            Field::Output => append(&mut self.under_way.text, text.text, room),
            Field::Reasoning => append(&mut self.under_way.reasoning, text.text, room),
            _ => tools.piece(text.text, room),
        };
        self.truncated |= text.cut || kept < text.text.len();
    }

    /// What is under way belongs to the choice.
    pub(super) fn commit(&mut self, choice: usize) {
        let piece = std::mem::take(&mut self.under_way);
        if piece.text.is_empty() && piece.reasoning.is_empty() {
            return;
        }
        if self.choices.len() <= choice {
            self.choices.resize_with(choice + 1, Choice::default);
        }
        self.choices[choice].text.push_str(&piece.text);
        self.choices[choice].reasoning.push_str(&piece.reasoning);
    }

    /// `gen_ai.output.messages`.
    pub(super) fn render(&self, reasons: &[String], tools: &Tools) -> Option<String> {
        let count = self.choices.len().max(reasons.len());
        let count = if tools.is_empty() {
            count
        } else {
            count.max(1)
        };
        if count == 0 {
            return None;
        }
        let none = Choice::default();
        Some(list(0..count, |json, index| {
            let choice = self.choices.get(index).unwrap_or(&none);
            json.push_str("{\"role\":\"assistant\",\"parts\":[");
            let start = json.len();
            if !choice.reasoning.is_empty() {
                render_text(json, "reasoning", &choice.reasoning);
            }
            if !choice.text.is_empty() {
                comma(json, start);
                render_text(json, "text", &choice.text);
            }
            for (call, arguments) in tools.of_choice(index as u32) {
                comma(json, start);
                render_call(json, call.id.as_deref(), &call.name, arguments);
            }
            json.push_str("],\"finish_reason\":");
            push_string(json, reasons.get(index).map_or("", String::as_str));
            json.push('}');
        }))
    }
}

fn comma(json: &mut String, start: usize) {
    if json.len() > start {
        json.push(',');
    }
}

fn list<T>(items: impl Iterator<Item = T>, render: impl Fn(&mut String, T)) -> String {
    let mut json = String::from("[");
    for item in items {
        comma(&mut json, 1);
        render(&mut json, item);
    }
    json.push(']');
    json
}

fn render_text(json: &mut String, kind: &str, text: &str) {
    json.push_str("{\"type\":");
    push_string(json, kind);
    json.push_str(",\"content\":");
    push_string(json, text);
    json.push('}');
}

fn render_result(json: &mut String, id: Option<&str>, text: &str) {
    json.push_str("{\"type\":\"tool_call_response\"");
    render_id(json, id);
    json.push_str(",\"response\":");
    push_string(json, text);
    json.push('}');
}

fn render_call(json: &mut String, id: Option<&str>, name: &str, arguments: &str) {
    json.push_str("{\"type\":\"tool_call\"");
    render_id(json, id);
    json.push_str(",\"name\":");
    push_string(json, name);
    if !arguments.is_empty() {
        json.push_str(",\"arguments\":");
        push_json(json, arguments);
    }
    json.push('}');
}

fn render_id(json: &mut String, id: Option<&str>) {
    if let Some(id) = id {
        json.push_str(",\"id\":");
        push_string(json, id);
    }
}
