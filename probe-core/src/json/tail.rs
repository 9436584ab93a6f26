//! The end of a JSON body whose middle was not captured.
//!
//! Of a large body with a known length the kernel sends the head and the tail. What the tail
//! holds (`model`, `stream`, `usage` often stand last) cannot be read forwards, for nobody knows
//! how deep it begins, or whether inside a string. Backwards it can: behind the last bracket the
//! depth is 0.

/// Keeps the last bytes of a body.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
}

/// How many of the last bytes are looked at.
const MAX_TAIL: usize = 16 * 1024;

impl Tail {
    /// Bytes are missing here; those before them are worth nothing.
    pub fn gap(&mut self) {
        self.bytes.clear();
    }

    /// The next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(MAX_TAIL)..];
        let excess = (self.bytes.len() + bytes.len()).saturating_sub(MAX_TAIL);
        self.bytes.drain(..excess);
        self.bytes.extend_from_slice(bytes);
    }

    /// The members of the root object that lie whole in the tail, as `"key":value,…}`: put a
    /// `{` before them and they are JSON. Empty when there are none.
    #[must_use]
    pub fn members(&self) -> &[u8] {
        let mut depth = 0_u32;
        let mut members = self.bytes.len();
        let mut at = self.bytes.len();
        while at > 0 {
            at -= 1;
            match self.bytes[at] {
                b'}' | b']' => depth += 1,
                b'{' | b'[' if depth > 1 => depth -= 1,
                // The root's own start, or no JSON at all.
                b'{' | b'[' => break,
                b',' if depth == 1 => members = at + 1,
                b'"' => match self.opening_quote(at) {
                    Some(open) => at = open,
                    None => break,
                },
                _ if depth == 0 && !self.bytes[at].is_ascii_whitespace() => break,
                _ => {}
            }
        }
        &self.bytes[members..]
    }

    /// The quote that opens the string which the quote at `close` ends.
    fn opening_quote(&self, close: usize) -> Option<usize> {
        let mut end = close;
        loop {
            let quote = memchr::memrchr(b'"', &self.bytes[..end])?;
            let escapes = self.bytes[..quote]
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count();
            // At the very start of the tail the backslashes before it may be missing.
            if escapes % 2 == 0 && quote > escapes {
                return Some(quote);
            }
            end = quote;
        }
    }
}
