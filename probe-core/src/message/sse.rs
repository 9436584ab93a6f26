//! Server-sent events, read as they pass (WHATWG HTML §9.2.6).
//!
//! Nothing of the stream is kept but the name of the event under way, so memory is the same for
//! a line of ten bytes and for one of ten megabytes.

use memchr::memchr2;

/// The longest event name that is kept; the rest of a longer one is cut off.
pub const MAX_NAME: usize = 64;

/// A part of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// The `event` field of the event under way, whole, cut to [`MAX_NAME`] bytes and to what
    /// is valid UTF-8 of it. The last one of an event counts.
    EventName(&'a str),
    /// A part of the data of the event under way. Lines are joined by a `Data(b"\n")`.
    Data(&'a [u8]),
    /// A blank line ended an event that had data or a name.
    Dispatch,
}

/// Reads an event stream that is cut anywhere.
#[derive(Debug)]
pub struct Scanner {
    place: Place,
    /// The last byte was CR: a LF that follows belongs to it.
    after_cr: bool,
    /// The event under way has a `data` field.
    has_data: bool,
    /// The event under way has an `event` field.
    has_name: bool,
    name_len: u8,
    name: [u8; MAX_NAME],
}

/// Where in the stream the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the very start, this many bytes into a byte order mark.
    Mark(u8),
    /// This many bytes into `field`'s name; all of them matched.
    FieldName { field: Field, matched: u8 },
    /// Right behind the colon, where one space is not part of the value.
    Colon(Field),
    /// In a value.
    Value(Field),
    /// Behind a hole: everything up to a blank line is skipped. `blank`: the line has no byte yet.
    Hole { first: bool, blank: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    /// A comment, or a field that does not matter (`id`, `retry`, unknown ones).
    Other,
}

impl Field {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Data => b"data",
            Self::Event => b"event",
            Self::Other => b"",
        }
    }
}

const LINE_START: Place = Place::FieldName {
    field: Field::Other,
    matched: 0,
};
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            place: Place::Mark(0),
            after_cr: false,
            has_data: false,
            has_name: false,
            name_len: 0,
            name: [0; MAX_NAME],
        }
    }

    /// Takes the next bytes of the stream and hands their tokens to `sink`.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Token<'_>)) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if self.after_cr {
                self.after_cr = false;
                if first == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
            }
            let used = match self.place {
                Place::Mark(seen) => self.mark(seen, first),
                Place::FieldName { field, matched } => self.field_name(field, matched, rest, sink),
                Place::Colon(field) => self.colon(field, first),
                Place::Value(field) => self.value(field, rest, sink),
                Place::Hole {
                    first: at_once,
                    blank,
                } => self.hole(at_once, blank, rest),
            };
            rest = &rest[used..];
        }
    }

    /// Bytes of the stream were lost: the event under way is forgotten without a
    /// [`Token::Dispatch`], and reading goes on behind the next blank line, or at once if what
    /// follows the hole begins like an event.
    pub fn gap(&mut self) {
        self.forget_event();
        self.after_cr = false;
        self.place = Place::Hole {
            first: true,
            blank: false,
        };
    }

    fn mark(&mut self, seen: u8, byte: u8) -> usize {
        if byte == BYTE_ORDER_MARK[usize::from(seen)] {
            self.place = if seen == 2 {
                LINE_START
            } else {
                Place::Mark(seen + 1)
            };
            return 1;
        }
        // A part of a mark is no mark: it is the start of an unknown field's name.
        self.place = if seen == 0 {
            LINE_START
        } else {
            Place::Value(Field::Other)
        };
        0
    }

    fn field_name(
        &mut self,
        field: Field,
        matched: u8,
        rest: &[u8],
        sink: &mut impl FnMut(Token<'_>),
    ) -> usize {
        if matched == 0 && rest.starts_with(b"data: ") {
            self.begin_value(Field::Data, sink);
            self.place = Place::Value(Field::Data);
            return 6;
        }
        let byte = rest[0];
        let field = match (matched, byte) {
            (0, b'd') => Field::Data,
            (0, b'e') => Field::Event,
            _ => field,
        };
        let complete = usize::from(matched) == field.name().len();
        if is_line_end(byte) {
            if matched == 0 {
                self.dispatch(sink);
            } else if complete {
                self.begin_value(field, sink);
                self.end_value(field, sink);
            }
            self.end_line(byte);
            return 1;
        }
        self.place = match field.name().get(usize::from(matched)) {
            Some(&wanted) if byte == wanted => Place::FieldName {
                field,
                matched: matched + 1,
            },
            None if byte == b':' && matched > 0 => {
                self.begin_value(field, sink);
                Place::Colon(field)
            }
            _ => Place::Value(Field::Other),
        };
        1
    }

    fn colon(&mut self, field: Field, byte: u8) -> usize {
        self.place = Place::Value(field);
        usize::from(byte == b' ')
    }

    fn value(&mut self, field: Field, rest: &[u8], sink: &mut impl FnMut(Token<'_>)) -> usize {
        let line_end = memchr2(b'\n', b'\r', rest);
        let part = &rest[..line_end.unwrap_or(rest.len())];
        match field {
            Field::Data if !part.is_empty() => sink(Token::Data(part)),
            Field::Event => self.keep_name(part),
            Field::Data | Field::Other => {}
        }
        match line_end {
            Some(at) => {
                self.end_value(field, sink);
                self.end_line(rest[at]);
                at + 1
            }
            None => rest.len(),
        }
    }

    fn hole(&mut self, first: bool, blank: bool, rest: &[u8]) -> usize {
        if first && (rest.starts_with(b"data:") || rest.starts_with(b"event:")) {
            self.place = LINE_START;
            return 0;
        }
        let Some(at) = memchr2(b'\n', b'\r', rest) else {
            self.place = Place::Hole {
                first: false,
                blank: false,
            };
            return rest.len();
        };
        self.after_cr = rest[at] == b'\r';
        self.place = if blank && at == 0 {
            LINE_START
        } else {
            Place::Hole {
                first: false,
                blank: true,
            }
        };
        at + 1
    }

    fn begin_value(&mut self, field: Field, sink: &mut impl FnMut(Token<'_>)) {
        match field {
            Field::Data => {
                if self.has_data {
                    sink(Token::Data(b"\n"));
                }
                self.has_data = true;
            }
            Field::Event => {
                self.has_name = true;
                self.name_len = 0;
            }
            Field::Other => {}
        }
    }

    fn end_value(&mut self, field: Field, sink: &mut impl FnMut(Token<'_>)) {
        if field == Field::Event {
            let name = &self.name[..usize::from(self.name_len)];
            sink(Token::EventName(valid_prefix(name)));
        }
    }

    fn keep_name(&mut self, part: &[u8]) {
        let start = usize::from(self.name_len);
        let take = part.len().min(MAX_NAME - start);
        self.name[start..start + take].copy_from_slice(&part[..take]);
        self.name_len += take as u8;
    }

    fn end_line(&mut self, byte: u8) {
        self.after_cr = byte == b'\r';
        self.place = LINE_START;
    }

    fn dispatch(&mut self, sink: &mut impl FnMut(Token<'_>)) {
        if self.has_data || self.has_name {
            self.forget_event();
            sink(Token::Dispatch);
        }
    }

    fn forget_event(&mut self) {
        self.has_data = false;
        self.has_name = false;
        self.name_len = 0;
    }
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn valid_prefix(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
