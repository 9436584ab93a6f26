//! Lines for the user of `kubectl`.

/// The API server may cut longer ones.
const MAX_BYTES: usize = 256;
/// A hundred containers must not make a hundred lines.
const MAX_LINES: usize = 16;

/// Warnings, each once, in the order in which they came up. They name places, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Warnings(Vec<String>);

impl Warnings {
    pub(crate) fn push(&mut self, text: impl Into<String>) {
        let mut text = text.into();
        if text.len() > MAX_BYTES {
            let cut = text.floor_char_boundary(MAX_BYTES);
            text.truncate(cut);
        }
        if self.0.len() < MAX_LINES && !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        for line in other.0 {
            self.push(line);
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.0
    }

    pub(crate) fn lines(&self) -> &[String] {
        &self.0
    }
}
