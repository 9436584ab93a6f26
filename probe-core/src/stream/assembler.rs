//! One connection's records, put into terms of bytes and holes.

use super::Data;

/// Follows the stream offsets of one connection.
///
/// Records are taken as they come: nothing is kept, copied or waited for. What an offset jumps
/// over is a gap; what was there before (a duplicate, or a record that comes after its place was
/// reported as a gap) is dropped, because the stages behind have already passed it.
#[derive(Clone, Debug)]
pub struct Assembler {
    /// The offset that each direction goes on at; `None` before the first record of a
    /// connection whose start was not seen.
    next: [Option<u64>; 2],
    dropped: u64,
}

/// What one record adds to its direction, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Bytes that moved before the record and were not captured.
    pub gap_before: u64,
    /// New bytes, a slice of the record.
    pub bytes: &'a [u8],
    /// Bytes behind them that moved and were not captured.
    pub gap_after: u64,
}

impl Assembler {
    /// `late`: bytes may have passed before the first record, so that its offset says nothing.
    #[must_use]
    pub const fn new(late: bool) -> Self {
        let next = if late { None } else { Some(0) };
        Self {
            next: [next; 2],
            dropped: 0,
        }
    }

    /// Takes a record.
    pub fn push<'a>(&mut self, data: &Data<'a>) -> Parts<'a> {
        let next = &mut self.next[data.direction.index()];
        let len = data.len.max(data.bytes.len() as u64);
        let end = data.offset.saturating_add(len);
        let expected = next.unwrap_or(data.offset);
        *next = Some(expected.max(end));
        let stale = expected.saturating_sub(data.offset).min(len);
        self.dropped = self.dropped.saturating_add(stale);
        let captured = data.bytes.len() as u64;
        let skip = stale.min(captured);
        Parts {
            gap_before: data.offset.saturating_sub(expected),
            bytes: &data.bytes[usize::try_from(skip).unwrap_or(data.bytes.len())..],
            gap_after: len - stale.max(captured).min(len),
        }
    }

    /// How many bytes were dropped because their place in the stream had already passed.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests;
