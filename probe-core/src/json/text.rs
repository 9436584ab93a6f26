//! Strings in pieces: escapes, surrogates, ill-formed UTF-8, and the cap.

use std::borrow::Cow;

use super::value::Text;

/// The longest string of [`super::Take::Value`], in bytes; a longer one is cut.
pub(super) const MAX_TEXT: usize = 256;

/// The longest string of [`super::Take::Long`].
pub(super) const MAX_LONG: usize = 1024;

/// Collects one string, or the text of one value, up to a cap.
#[derive(Clone, Debug, Default)]
pub(super) struct TextBuffer {
    bytes: Vec<u8>,
    cap: usize,
    cut: bool,
    escape: Escape,
    /// The first half of a surrogate pair, until the second is there.
    high: Option<u16>,
}

/// Where in an escape sequence the last piece ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// `\u` with this many digits, and their value.
    Unicode(u8, u16),
}

impl TextBuffer {
    /// Begins a text of at most `cap` bytes.
    pub(super) fn begin(&mut self, cap: usize) {
        self.bytes.clear();
        self.cap = cap;
        self.cut = false;
        self.escape = Escape::None;
        self.high = None;
    }

    /// Adds bytes as they are.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.cap - self.bytes.len();
        let kept = bytes.len().min(room);
        self.cut |= kept < bytes.len();
        self.bytes.extend_from_slice(&bytes[..kept]);
    }

    /// Takes string contents up to and with the closing quote. Gives how many bytes that was,
    /// and whether the quote was among them.
    pub(super) fn string(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            if self.escape != Escape::None {
                self.escaped(bytes[at]);
                at += 1;
                continue;
            }
            let rest = &bytes[at..];
            let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            if plain > 0 {
                self.lone_surrogate();
                self.push(&rest[..plain]);
                at += plain;
                continue;
            }
            at += 1;
            if rest[0] == b'"' {
                self.lone_surrogate();
                return (at, true);
            }
            self.escape = Escape::Backslash;
        }
        (at, false)
    }

    /// One byte of an escape sequence. Unknown escapes stand for themselves.
    fn escaped(&mut self, byte: u8) {
        let (digits, code) = match (self.escape, byte) {
            (Escape::Unicode(digits, code), _) => match char::from(byte).to_digit(16) {
                Some(digit) => (digits + 1, (code << 4) | digit as u16),
                None => (4, 0xfffd),
            },
            (_, b'u') => (0, 0),
            (_, other) => {
                self.escape = Escape::None;
                self.lone_surrogate();
                self.push(&[unescape(other)]);
                return;
            }
        };
        if digits < 4 {
            self.escape = Escape::Unicode(digits, code);
            return;
        }
        self.escape = Escape::None;
        self.unit(code);
    }

    /// One UTF-16 unit of a `\u` escape.
    fn unit(&mut self, unit: u16) {
        let units = [self.high.unwrap_or(0), unit];
        if self.high.is_some() && (0xdc00..0xe000).contains(&unit) {
            self.high = None;
            self.decoded(&units);
        } else {
            self.lone_surrogate();
            if (0xd800..0xdc00).contains(&unit) {
                self.high = Some(unit);
            } else {
                self.decoded(&units[1..]);
            }
        }
    }

    /// A first half without its second is replaced.
    fn lone_surrogate(&mut self) {
        if let Some(high) = self.high.take() {
            self.decoded(&[high]);
        }
    }

    fn decoded(&mut self, units: &[u16]) {
        for decoded in char::decode_utf16(units.iter().copied()) {
            let char = decoded.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.push(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// The bytes as they are, when none was cut off.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (!self.cut).then_some(self.bytes.as_slice())
    }

    /// The text, ill-formed parts replaced, and not cut inside a character.
    pub(super) fn text(&self) -> (Cow<'_, str>, bool) {
        let mut bytes = self.bytes.as_slice();
        if self.cut
            && let Err(error) = std::str::from_utf8(bytes)
            && error.error_len().is_none()
        {
            bytes = &bytes[..error.valid_up_to()];
        }
        (String::from_utf8_lossy(bytes), self.cut)
    }

    /// Gives back the memory of a large text.
    pub(super) fn shrink(&mut self) {
        if self.bytes.capacity() > 4 * MAX_TEXT {
            self.bytes = Vec::new();
        }
    }
}

/// A string that lies whole in `bytes` (behind its opening quote), has no escapes and fits:
/// how long it is without its closing quote.
pub(super) fn plain_len(bytes: &[u8], cap: usize) -> Option<usize> {
    let end = memchr::memchr2(b'"', b'\\', bytes)?;
    (bytes[end] == b'"' && end <= cap).then_some(end)
}

/// The same, where it is well-formed: its text and the bytes that it takes with its quote.
pub(super) fn plain_string(bytes: &[u8], cap: usize) -> Option<(Text<'_>, usize)> {
    let end = plain_len(bytes, cap)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((Text { text, cut: false }, end + 1))
}

const fn unescape(byte: u8) -> u8 {
    match byte {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}
