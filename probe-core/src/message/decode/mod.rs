//! Content codings, undone as the bytes pass (RFC 9110 §8.4.1, RFC 8878, RFC 7932).
//!
//! A decoder gives out all that the bytes so far allow, so that events inside a compressed
//! stream are seen when they come. It lives on the heap from the body's first byte to its last;
//! its size does not depend on the body's: about 45 KiB for gzip and deflate, and for br and
//! zstd the window that the sender chose, at most 16 MiB and 8 MiB, as far as output fills it.

mod brotli;
mod inflate;
mod zstd;

#[cfg(test)]
mod tests;

use self::brotli::Brotli;
use self::inflate::{Deflate, Gzip};
use self::zstd::Zstd;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 bare, which some servers send under the same name.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// The coding of that name, in any case.
    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        let names: [(&[u8], Self); 5] = [
            (b"gzip", Self::Gzip),
            (b"x-gzip", Self::Gzip),
            (b"deflate", Self::Deflate),
            (b"br", Self::Brotli),
            (b"zstd", Self::Zstd),
        ];
        names
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map(|(_, coding)| *coding)
    }
}

/// The bytes are not what the coding says, or there are too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undecodable;

/// Undoes one body's coding.
#[derive(Debug)]
pub(super) struct Decoder {
    budget: Budget,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Brotli),
    Zstd(Zstd),
}

impl Decoder {
    /// A decoder at the start of a body.
    pub(super) fn new(coding: Coding) -> Self {
        let kind = match coding {
            Coding::Gzip => Kind::Gzip(Gzip::new()),
            Coding::Deflate => Kind::Deflate(Deflate::new()),
            Coding::Brotli => Kind::Brotli(Brotli::new()),
            Coding::Zstd => Kind::Zstd(Zstd::new()),
        };
        Self {
            budget: Budget::default(),
            kind,
        }
    }

    /// About how many bytes of memory it takes: a large window is filled by what it gives out.
    pub(super) fn held(&self) -> usize {
        let window = match self.kind {
            Kind::Gzip(_) | Kind::Deflate(_) => 0,
            Kind::Brotli(_) => self.budget.output.min(16 << 20),
            Kind::Zstd(_) => self.budget.output.min(8 << 20),
        };
        BASE + usize::try_from(window).unwrap_or(usize::MAX - BASE)
    }

    /// Takes the next encoded bytes and hands what they decode to to `sink`.
    pub(super) fn push(
        &mut self,
        input: &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Undecodable> {
        self.budget.input = self.budget.input.saturating_add(input.len() as u64);
        let mut output = Output {
            budget: &mut self.budget,
            sink,
        };
        match &mut self.kind {
            Kind::Gzip(gzip) => gzip.push(input, &mut output),
            Kind::Deflate(deflate) => deflate.push(input, &mut output),
            Kind::Brotli(brotli) => brotli.push(input, &mut output),
            Kind::Zstd(zstd) => zstd.push(input, &mut output),
        }
    }
}

/// What a decoder takes at its start.
const BASE: usize = 48 << 10;
/// The most that one body may decode to.
const MAX_OUTPUT: u64 = 256 << 20;
/// The most output bytes that an input byte may bring, beyond [`FREE_OUTPUT`]. JSON and text
/// come to 20, deflate cannot pass 1032, a brotli or zstd bomb reaches a million.
const MAX_RATIO: u64 = 256;
/// Output that no ratio is asked of.
const FREE_OUTPUT: u64 = 1 << 20;

/// What keeps a decompression bomb from going off.
#[derive(Debug, Default)]
struct Budget {
    input: u64,
    output: u64,
}

/// Where decoders write to.
struct Output<'a> {
    budget: &'a mut Budget,
    sink: &'a mut dyn FnMut(&[u8]),
}

impl Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Undecodable> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Budget { input, output } = &mut *self.budget;
        *output = output.saturating_add(bytes.len() as u64);
        let allowed = FREE_OUTPUT
            .saturating_add(input.saturating_mul(MAX_RATIO))
            .min(MAX_OUTPUT);
        if *output > allowed {
            return Err(Undecodable);
        }
        (self.sink)(bytes);
        Ok(())
    }
}
