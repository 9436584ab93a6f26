//! Passing over what nobody wants, which is most of the bytes.

use super::{SKIP, SKIP_STRING, Scanner, Sink, State};
use crate::json::schema::Schema;
use crate::json::value::{At, Text, Value};

impl Scanner {
    /// Skips a value, or takes it as it is where that is wanted.
    pub(super) fn skip<F: Copy>(
        &mut self,
        schema: &Schema<F>,
        rest: &[u8],
        string: bool,
        escape: bool,
        sink: &mut impl Sink<F>,
    ) -> usize {
        let taken = if string {
            self.skip_string(rest, escape)
        } else {
            self.skip_nested(rest)
        };
        if self.raw {
            self.text.push(&rest[..taken]);
        }
        if self.state == SKIP && self.depth == 0 {
            if self.raw {
                self.raw = false;
                if let Some((field, _)) = schema.want(self.node) {
                    let (text, cut) = self.text.text();
                    let text = Text { text: &text, cut };
                    sink.value(field, At(&self.frames), Value::Raw(text));
                }
                self.text.shrink();
            }
            self.done(sink);
        }
        taken
    }

    /// Skips to behind the quote that ends a string.
    fn skip_string(&mut self, rest: &[u8], escape: bool) -> usize {
        let mut at = usize::from(escape);
        self.state = SKIP_STRING;
        while at < rest.len() {
            match memchr::memchr2(b'"', b'\\', &rest[at..]) {
                None => return rest.len(),
                Some(n) if rest[at + n] == b'"' => {
                    self.state = SKIP;
                    return at + n + 1;
                }
                Some(n) => at += n + 2,
            }
        }
        if at > rest.len() {
            self.state = State::Skip {
                string: true,
                escape: true,
            };
        }
        rest.len()
    }

    /// Skips to behind the next quote, or to the end of the skipped value.
    fn skip_nested(&mut self, rest: &[u8]) -> usize {
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'"' => {
                    self.state = SKIP_STRING;
                    return at + 1;
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return at + 1;
                    }
                }
                _ => {}
            }
        }
        rest.len()
    }
}
