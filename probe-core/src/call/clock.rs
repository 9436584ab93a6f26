//! When the parts of an answer came.

use super::Timing;
use super::body::Framing;
use crate::ids::Nanos;

impl Timing {
    /// The response's head came.
    pub(super) fn head(&mut self, at: Nanos, framing: Framing) {
        self.response_start = Some(at);
        self.stream = framing.is_stream();
    }

    /// Bytes of an answer that is no stream came.
    pub(super) fn plain_bytes(&mut self, at: Nanos) {
        self.first_chunk.get_or_insert(at);
        self.last_chunk = Some(at);
    }

    /// A data event came; `output` when it brought some.
    pub(super) fn event(&mut self, at: Nanos, output: bool) {
        self.first_chunk.get_or_insert(at);
        if let Some(last) = self.last_chunk.replace(at) {
            self.gaps.add(at.saturating_sub(last));
        }
        self.chunks += 1;
        if output {
            self.first_token.get_or_insert(at);
        }
    }
}
