//! br (RFC 7932).

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Output, Undecodable};

/// How much is decoded at once.
const STEP: usize = 4096;

/// A br body.
pub(super) struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    ended: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        // Strict: no windows beyond the RFC's 16 MiB.
        let new = BrotliState::new_strict;
        let state = new(
            StandardAlloc::default(),
            StandardAlloc::default(),
            StandardAlloc::default(),
        );
        Self {
            state: Box::new(state),
            ended: false,
        }
    }

    pub(super) fn push(
        &mut self,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<(), Undecodable> {
        let mut buffer = [0; STEP];
        let (mut left, mut used, mut total) = (input.len(), 0, 0);
        while !self.ended {
            let (mut room, mut given) = (STEP, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut used,
                input,
                &mut room,
                &mut given,
                &mut buffer,
                &mut total,
                &mut self.state,
            );
            output.write(&buffer[..given])?;
            match result {
                BrotliResult::ResultSuccess => self.ended = true,
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultFailure => return Err(Undecodable),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Brotli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brotli")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
