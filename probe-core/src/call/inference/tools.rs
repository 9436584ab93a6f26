//! The tool calls of an answer, which streams bring in pieces.

use super::Field;
use crate::call::ToolCall;
use crate::json::Value;

/// The most tool calls of an answer.
const MAX_TOOLS: usize = 128;

/// The tool calls so far.
#[derive(Debug, Default)]
pub(super) struct Tools {
    calls: Vec<Seen>,
    open: Option<Box<Open>>,
    /// How many bytes of arguments are kept.
    cap: usize,
    /// Arguments were cut off at the cap.
    pub(super) truncated: bool,
    /// There were more than are kept.
    pub(super) limited: bool,
}

#[derive(Debug)]
struct Seen {
    choice: u32,
    index: Option<u32>,
    call: ToolCall,
    arguments: String,
}

/// The tool call, or the piece of one, that is being read.
#[derive(Debug, Default)]
struct Open {
    index: Option<u32>,
    id: Option<String>,
    name: Option<String>,
    by_provider: bool,
    arguments: Option<String>,
    /// The arguments are all there, not a piece.
    whole: bool,
}

impl Tools {
    /// No tool calls yet; of their arguments up to `cap` bytes will be kept.
    pub(super) fn new(cap: usize) -> Self {
        Self {
            cap,
            ..Self::default()
        }
    }

    /// A value inside a tool call. Gives true when it brings output.
    pub(super) fn value(&mut self, field: Field, value: &Value<'_>, choice: u32) -> bool {
        let text = || {
            value
                .text()
                .filter(|t| !t.is_empty())
                .map(|t| t.text.to_owned())
        };
        if field == Field::Tool {
            if *value == Value::Close {
                return self.close(choice);
            }
            self.open = Some(Box::default());
            return false;
        }
        let Some(open) = &mut self.open else {
            return false;
        };
        match field {
            Field::ToolIndex => open.index = value.as_u64().and_then(|i| i.try_into().ok()),
            Field::ToolId => open.id = text().or(open.id.take()),
            Field::ToolName => open.name = text().or(open.name.take()),
            Field::ToolKind => {
                // Tools that the provider runs itself are not asked of the caller.
                open.by_provider = value
                    .whole()
                    .is_some_and(|kind| kind.starts_with("server_") || kind.starts_with("mcp_"));
            }
            Field::ToolArguments => return open.argument(value),
            _ => {}
        }
        false
    }

    /// A piece of the arguments of the last tool call.
    pub(super) fn piece(&mut self, text: &str, room: usize) -> usize {
        self.calls
            .last_mut()
            .map_or(0, |seen| append(&mut seen.arguments, text, room))
    }

    fn close(&mut self, choice: u32) -> bool {
        let Some(open) = self.open.take().filter(|open| !open.by_provider) else {
            return false;
        };
        let open = *open;
        let known = self.calls.iter().position(|seen| {
            let same_id = open.id.is_some() && seen.call.id == open.id;
            let same_index = open.index.is_some() && seen.index == open.index;
            same_id || (same_index && seen.choice == choice)
        });
        let at = match (known, open.name) {
            (Some(at), _) => at,
            (None, None) => return false,
            (None, Some(_)) if self.calls.len() == MAX_TOOLS => {
                self.limited = true;
                return true;
            }
            (None, Some(name)) => {
                self.calls.push(Seen {
                    choice,
                    index: open.index,
                    call: ToolCall { id: None, name },
                    arguments: String::new(),
                });
                self.calls.len() - 1
            }
        };
        let seen = &mut self.calls[at];
        seen.call.id = seen.call.id.take().or(open.id);
        if open.whole {
            seen.arguments.clear();
        }
        let arguments = open.arguments.unwrap_or_default();
        let room = self.cap.saturating_sub(self.kept());
        let taken = append(&mut self.calls[at].arguments, &arguments, room);
        self.truncated |= taken < arguments.len();
        true
    }

    /// A hole: the piece under way is void.
    pub(super) fn lost(&mut self) {
        self.open = None;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The calls of `choice` with their arguments.
    pub(super) fn of_choice(&self, choice: u32) -> impl Iterator<Item = (&ToolCall, &str)> {
        self.calls
            .iter()
            .filter(move |seen| seen.choice == choice)
            .map(|seen| (&seen.call, seen.arguments.as_str()))
    }

    /// The bytes of arguments that are kept.
    pub(super) fn kept(&self) -> usize {
        self.calls.iter().map(|seen| seen.arguments.len()).sum()
    }

    /// The calls without their arguments.
    pub(super) fn into_calls(self) -> Vec<ToolCall> {
        self.calls.into_iter().map(|seen| seen.call).collect()
    }
}

impl Open {
    fn argument(&mut self, value: &Value<'_>) -> bool {
        match value {
            Value::Text(text) => {
                if !text.text.is_empty() {
                    self.arguments = Some(text.text.to_owned());
                }
                // Pieces of streams have an index; others are whole.
                self.whole = self.index.is_none();
                !text.is_empty()
            }
            Value::Raw(text) => {
                self.arguments = (!text.cut).then(|| text.text.to_owned());
                self.whole = true;
                true
            }
            _ => false,
        }
    }
}

/// Appends as much of `text` as there is room for, in whole characters. Gives how much that was.
pub(super) fn append(to: &mut String, text: &str, room: usize) -> usize {
    let mut end = text.len().min(room);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    to.push_str(&text[..end]);
    end
}
