//! Where span and trace ids come from.

use crate::trace_context::{SpanId, TraceId};

/// Makes ids with xoshiro256++ (Blackman and Vigna, public domain).
///
/// Ids must not collide and must not be zero; they are no secrets. With a seed from the operating
/// system nobody outside can guess them without first collecting many in order.
#[derive(Clone, Debug)]
pub(super) struct IdSource {
    state: [u64; 4],
}

impl IdSource {
    /// A source that gives the same ids for the same seed.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            let mut raw = [0; 8];
            raw.copy_from_slice(bytes);
            *word = u64::from_le_bytes(raw);
        }
        // The one state that the generator never leaves.
        if state == [0; 4] {
            state[0] = 0x9e37_79b9_7f4a_7c15;
        }
        let mut source = Self { state };
        // Seeds of few set bits take some rounds to spread.
        for _ in 0..16 {
            source.next();
        }
        source
    }

    /// A fresh span id.
    pub(super) fn span(&mut self) -> SpanId {
        SpanId(self.nonzero().to_be_bytes())
    }

    /// A fresh trace id, random in all its bytes (the random flag may be set).
    pub(super) fn trace(&mut self) -> TraceId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.nonzero().to_be_bytes());
        id[8..].copy_from_slice(&self.next().to_be_bytes());
        TraceId(id)
    }

    fn nonzero(&mut self) -> u64 {
        loop {
            let word = self.next();
            if word != 0 {
                return word;
            }
        }
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_never_zero_and_do_not_repeat() {
        for seed in [[0; 32], [1; 32], [255; 32]] {
            let mut source = IdSource::new(seed);
            let mut seen = HashSet::new();
            for _ in 0..10_000 {
                let (span, trace) = (source.span(), source.trace());
                assert_ne!(span.0, [0; 8]);
                assert_ne!(trace.0, [0; 16]);
                assert!(seen.insert(span.0.to_vec()), "span id came twice");
                assert!(seen.insert(trace.0.to_vec()), "trace id came twice");
            }
        }
    }

    #[test]
    fn matches_the_reference_generator() {
        // First outputs of the reference C code for the state 1, 2, 3, 4.
        let mut source = IdSource {
            state: [1, 2, 3, 4],
        };
        let expected = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
        ];
        for word in expected {
            assert_eq!(source.next(), word);
        }
    }
}
