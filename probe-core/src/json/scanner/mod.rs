//! The scanner itself: one small state machine over the bytes.

use super::schema::{NOWHERE, NodeId, ROOT, Schema, Take};
use super::text::{MAX_LONG, MAX_TEXT, TextBuffer, plain_len, plain_string};
use super::value::{At, Text, Value};

mod skip;

/// The longest number or literal. A longer integer is not reported.
const MAX_SCALAR: usize = 64;

/// The longest key that can be wanted.
const MAX_KEY: usize = 64;

/// Receives what a scanner finds.
pub trait Sink<F> {
    /// A wanted value. `at` tells its place in the arrays around it.
    fn value(&mut self, field: F, at: At<'_>, value: Value<'_>);

    /// A root value ended; not `complete` when it turned out to be malformed.
    fn end(&mut self, complete: bool);
}

/// An incremental scanner: [`Scanner::feed`] it bytes cut anywhere.
///
/// Root values may follow each other (NDJSON); each gives one [`Sink::end`].
#[derive(Clone, Debug)]
pub struct Scanner {
    frames: Vec<Frame>,
    state: State,
    /// The place of the value that comes or is being read.
    node: NodeId,
    text: TextBuffer,
    /// Open brackets inside the skipped value.
    depth: u64,
    /// The skipped value is wanted as it is.
    raw: bool,
    content_cap: usize,
    lines: bool,
    limited: bool,
}

/// An object or array on the way to something wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    node: NodeId,
    array: bool,
    index: u32,
}

impl Frame {
    pub(super) fn index(self) -> Option<u32> {
        self.array.then_some(self.index)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value comes; or, `first` in an array, its end.
    Value {
        first: bool,
    },
    /// A key comes, or the object's end.
    Key,
    KeyText,
    Colon,
    /// A comma comes, or the end of the container.
    After,
    Text,
    /// The first byte of a string tells whether it is empty.
    Probe,
    Scalar,
    Skip {
        string: bool,
        escape: bool,
    },
    Broken,
}

impl Scanner {
    /// A scanner that keeps up to `content_cap` bytes of each value of [`Take::Content`] and
    /// [`Take::Raw`].
    #[must_use]
    pub fn new(content_cap: usize) -> Self {
        Self {
            frames: Vec::new(),
            state: State::Value { first: false },
            node: ROOT,
            text: TextBuffer::default(),
            depth: 0,
            raw: false,
            content_cap,
            lines: false,
            limited: false,
        }
    }

    /// A scanner of values that stand on lines of their own: after a malformed or lost one it
    /// goes on with the next line.
    #[must_use]
    pub fn lines(content_cap: usize) -> Self {
        Self {
            lines: true,
            ..Self::new(content_cap)
        }
    }

    /// Forgets what was begun: a root value comes next.
    pub fn reset(&mut self) {
        self.frames.clear();
        self.state = State::Value { first: false };
        self.node = ROOT;
        self.raw = false;
    }

    /// Bytes are missing here: nothing more is reported until [`Scanner::reset`], or until the
    /// next line in a scanner of lines.
    pub fn lose(&mut self) {
        self.reset();
        self.state = State::Broken;
    }

    /// Whether a wanted string or number was too long to be kept whole.
    #[must_use]
    pub const fn limited(&self) -> bool {
        self.limited
    }

    /// Scans the next bytes. `schema` must be the same for all of a root value.
    pub fn feed<F: Copy>(&mut self, schema: &Schema<F>, bytes: &[u8], sink: &mut impl Sink<F>) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.state {
                State::Value { first } => self.value(schema, rest, first, sink),
                State::Key => self.key(schema, rest, sink),
                State::KeyText => self.key_text(schema, rest),
                State::Colon => self.colon(rest, sink),
                State::After => self.after(schema, rest, sink),
                State::Text => self.text(schema, rest, sink),
                State::Probe => self.probe(schema, rest, sink),
                State::Scalar => self.scalar(schema, rest, sink),
                State::Skip { string, escape } => self.skip(schema, rest, string, escape, sink),
                State::Broken => self.broken(rest),
            };
        }
    }

    /// How deep the stack is.
    #[cfg(test)]
    pub(super) fn frames_len(&self) -> usize {
        self.frames.len()
    }

    fn value<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        rest: &[u8],
        first: bool,
        sink: &mut impl Sink<F>,
    ) -> usize {
        match rest[0] {
            b' ' | b'\t' | b'\r' | b'\n' => 1,
            b'"' => 1 + self.open_string(schema, &rest[1..], sink),
            b'{' => self.open(schema, false, sink),
            b'[' => self.open(schema, true, sink),
            b']' if first => self.close(schema, true, sink),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.text.begin(MAX_SCALAR);
                self.state = State::Scalar;
                0
            }
            // A byte order mark.
            0xef | 0xbb | 0xbf if self.frames.is_empty() => 1,
            _ => self.fail(sink),
        }
    }

    fn open<F: Copy>(&mut self, schema: &Schema<F>, array: bool, sink: &mut impl Sink<F>) -> usize {
        match schema.want(self.node) {
            Some((_, Take::Raw)) if self.content_cap > 0 => {
                self.text.begin(self.content_cap);
                self.text.push(if array { b"[" } else { b"{" });
                self.raw = true;
            }
            Some((field, _)) => {
                let value = if array { Value::Array } else { Value::Object };
                sink.value(field, At(&self.frames), value);
            }
            None => {}
        }
        let enter = if array {
            schema.has_elements(self.node)
        } else {
            schema.has_keys(self.node)
        };
        if !enter {
            self.depth = 1;
            self.state = SKIP;
            return 1;
        }
        self.frames.push(Frame {
            node: self.node,
            array,
            index: 0,
        });
        if array {
            self.node = schema.element(self.node);
            self.state = State::Value { first: true };
        } else {
            self.state = State::Key;
        }
        1
    }

    fn close<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        array: bool,
        sink: &mut impl Sink<F>,
    ) -> usize {
        match self.frames.pop() {
            Some(frame) if frame.array == array => {
                if let Some((field, _)) = schema.want(frame.node) {
                    sink.value(field, At(&self.frames), Value::Close);
                }
                self.done(sink);
                1
            }
            _ => self.fail(sink),
        }
    }

    fn key<F: Copy>(&mut self, schema: &Schema<F>, rest: &[u8], sink: &mut impl Sink<F>) -> usize {
        match rest[0] {
            b' ' | b'\t' | b'\r' | b'\n' => 1,
            b'}' => self.close(schema, false, sink),
            b'"' => {
                if let Some(len) = plain_len(&rest[1..], MAX_KEY) {
                    self.at_key(schema, &rest[1..=len]);
                    return len + 2;
                }
                self.text.begin(MAX_KEY);
                self.state = State::KeyText;
                1
            }
            _ => self.fail(sink),
        }
    }

    fn key_text<F: Copy>(&mut self, schema: &Schema<F>, rest: &[u8]) -> usize {
        let (taken, ended) = self.text.string(rest);
        if ended {
            self.node = match (self.text.whole(), self.frames.last()) {
                (Some(key), Some(frame)) => schema.child(frame.node, key),
                _ => NOWHERE,
            };
            self.state = State::Colon;
        }
        taken
    }

    fn at_key<F: Copy>(&mut self, schema: &Schema<F>, key: &[u8]) {
        self.node = match self.frames.last() {
            Some(frame) => schema.child(frame.node, key),
            None => NOWHERE,
        };
        self.state = State::Colon;
    }

    fn colon<F>(&mut self, rest: &[u8], sink: &mut impl Sink<F>) -> usize {
        match rest[0] {
            b' ' | b'\t' | b'\r' | b'\n' => 1,
            b':' => {
                self.state = State::Value { first: false };
                1
            }
            _ => self.fail(sink),
        }
    }

    fn after<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        rest: &[u8],
        sink: &mut impl Sink<F>,
    ) -> usize {
        match (rest[0], self.frames.last_mut()) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => 1,
            (b',', Some(frame)) if frame.array => {
                frame.index = frame.index.saturating_add(1);
                self.node = schema.element(frame.node);
                self.state = State::Value { first: false };
                1
            }
            (b',', Some(_)) => {
                self.state = State::Key;
                1
            }
            (b'}', _) => self.close(schema, false, sink),
            (b']', _) => self.close(schema, true, sink),
            _ => self.fail(sink),
        }
    }

    /// A string begins; `rest` stands behind its opening quote.
    fn open_string<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        rest: &[u8],
        sink: &mut impl Sink<F>,
    ) -> usize {
        let Some((field, take)) = schema.want(self.node) else {
            self.depth = 0;
            self.state = SKIP_STRING;
            return 0;
        };
        let cap = match take {
            Take::Value => MAX_TEXT,
            Take::Long => MAX_LONG,
            Take::Probe => 0,
            Take::Content | Take::Raw => self.content_cap,
        };
        if cap == 0 {
            self.state = State::Probe;
            return 0;
        }
        if take == Take::Raw {
            self.text.begin(cap);
            self.text.push(b"\"");
            self.raw = true;
            self.depth = 0;
            self.state = SKIP_STRING;
            return 0;
        }
        if let Some((text, taken)) = plain_string(rest, cap) {
            sink.value(field, At(&self.frames), Value::Text(text));
            self.done(sink);
            return taken;
        }
        self.text.begin(cap);
        self.state = State::Text;
        0
    }

    fn text<F: Copy>(&mut self, schema: &Schema<F>, rest: &[u8], sink: &mut impl Sink<F>) -> usize {
        let (taken, ended) = self.text.string(rest);
        if ended {
            if let Some((field, take)) = schema.want(self.node) {
                let (text, cut) = self.text.text();
                self.limited |= cut && matches!(take, Take::Value | Take::Long);
                let text = Text { text: &text, cut };
                sink.value(field, At(&self.frames), Value::Text(text));
            }
            self.text.shrink();
            self.done(sink);
        }
        taken
    }

    fn probe<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        rest: &[u8],
        sink: &mut impl Sink<F>,
    ) -> usize {
        let cut = rest[0] != b'"';
        if let Some((field, _)) = schema.want(self.node) {
            let text = Text { text: "", cut };
            sink.value(field, At(&self.frames), Value::Text(text));
        }
        self.depth = 0;
        self.state = SKIP_STRING;
        0
    }

    fn scalar<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        rest: &[u8],
        sink: &mut impl Sink<F>,
    ) -> usize {
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'));
        self.text.push(&rest[..end.unwrap_or(rest.len())]);
        let Some(end) = end else {
            return rest.len();
        };
        let (text, cut) = self.text.text();
        let value = match text.as_ref() {
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                Some(Value::Number(number))
            }
            _ => None,
        };
        let Some(value) = value else {
            return self.fail(sink);
        };
        match schema.want(self.node) {
            // Cut off a fraction and the number is the same; cut off an integer and it is not.
            Some(_) if cut && !text.contains('.') => self.limited = true,
            Some((field, _)) => sink.value(field, At(&self.frames), value),
            None => {}
        }
        self.done(sink);
        end
    }

    /// A value is over.
    fn done<F>(&mut self, sink: &mut impl Sink<F>) {
        self.state = State::After;
        if self.frames.is_empty() {
            self.reset();
            sink.end(true);
        }
    }

    /// The value is malformed.
    fn fail<F>(&mut self, sink: &mut impl Sink<F>) -> usize {
        self.lose();
        sink.end(false);
        0
    }

    fn broken(&mut self, rest: &[u8]) -> usize {
        match memchr::memchr(b'\n', rest) {
            Some(end) if self.lines => {
                self.reset();
                end + 1
            }
            _ => rest.len(),
        }
    }
}

const SKIP: State = State::Skip {
    string: false,
    escape: false,
};

const SKIP_STRING: State = State::Skip {
    string: true,
    escape: false,
};
