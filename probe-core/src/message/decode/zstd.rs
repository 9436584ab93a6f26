//! zstd (RFC 8878), block by block.
//!
//! The library decodes whole blocks only, so the bytes of one block (at most 128 KiB) are
//! collected. And it hands out a frame's last window of output at the frame's end only, which
//! for a stream of events would be far too late; how that is overcome is told at [`Peek`].

use std::fmt;
use std::io::{self, Read, Write};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Output, Undecodable};

/// The largest window that zstd in HTTP may have (RFC 9659).
const MAX_WINDOW: u64 = 8 << 20;
/// RFC 8878 §3.1.1.2.4.
const MAX_BLOCK: usize = 128 << 10;
const MAGIC: u32 = 0xfd2f_b528;
const SKIPPABLE: u32 = 0x184d_2a50;

/// A zstd body: one frame after the other.
pub(super) struct Zstd {
    place: Place,
    /// Bytes of a header or block that is not whole yet.
    pending: Vec<u8>,
}

enum Place {
    /// At a frame's magic number.
    Magic,
    /// In a skippable frame, so many bytes before its end.
    Skip(u32),
    /// In a frame, at a block.
    Block(Box<Frame>),
    /// At a frame's checksum.
    Checksum,
}

struct Frame {
    decoder: FrameDecoder,
    window: usize,
    checksum: bool,
    /// How much of what the decoder holds was handed out.
    shown: usize,
}

impl Zstd {
    pub(super) const fn new() -> Self {
        Self {
            place: Place::Magic,
            pending: Vec::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<(), Undecodable> {
        let mut rest = input;
        loop {
            if let Place::Skip(left) = &mut self.place {
                let skipped = rest.len().min(*left as usize);
                *left -= skipped as u32;
                rest = &rest[skipped..];
                if *left > 0 {
                    return Ok(());
                }
                self.place = Place::Magic;
            }
            let wanted = self.wanted()?;
            if self.pending.len() < wanted {
                let taken = rest.len().min(wanted - self.pending.len());
                self.pending.extend_from_slice(&rest[..taken]);
                rest = &rest[taken..];
                if self.pending.len() < wanted {
                    return Ok(());
                }
                // With more bytes known, more may be wanted.
                continue;
            }
            self.take(output)?;
            self.pending.clear();
        }
    }

    /// How many bytes the next unit has, as far as `pending` tells.
    fn wanted(&self) -> Result<usize, Undecodable> {
        match &self.place {
            Place::Magic => Ok(match little_endian(&self.pending) {
                Some(magic) if magic & !0xf == SKIPPABLE => 8,
                Some(MAGIC) => self.pending.get(4).map_or(5, |&it| header_length(it)),
                Some(_) => return Err(Undecodable),
                None => 4,
            }),
            Place::Block(_) => Ok(match block_header(&self.pending) {
                Some(header) if header.content > MAX_BLOCK => return Err(Undecodable),
                Some(header) => 3 + header.content,
                None => 3,
            }),
            Place::Skip(_) => Ok(0),
            Place::Checksum => Ok(4),
        }
    }

    /// Takes the whole unit in `pending`.
    fn take(&mut self, output: &mut Output<'_>) -> Result<(), Undecodable> {
        match &mut self.place {
            Place::Magic => {
                self.place = match little_endian(&self.pending) {
                    Some(MAGIC) => Place::Block(Box::new(Frame::new(&self.pending)?)),
                    _ => Place::Skip(little_endian(&self.pending[4..]).ok_or(Undecodable)?),
                };
            }
            Place::Block(frame) => {
                let last = block_header(&self.pending).is_some_and(|header| header.last);
                frame.decode(&self.pending, last, output)?;
                if last {
                    self.place = if frame.checksum {
                        Place::Checksum
                    } else {
                        Place::Magic
                    };
                }
            }
            Place::Skip(_) | Place::Checksum => self.place = Place::Magic,
        }
        Ok(())
    }
}

impl Frame {
    fn new(header: &[u8]) -> Result<Self, Undecodable> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        decoder.init(header).map_err(|_broken| Undecodable)?;
        let mut frame = Self {
            decoder,
            window: window(header).ok_or(Undecodable)?,
            checksum: header[4] & 4 != 0,
            shown: 0,
        };
        // An empty last block and a checksum of our own: from here on the decoder takes the
        // frame for finished and lets all of its output be seen.
        frame.feed(&[1u8, 0, 0, 0, 0, 0, 0][..])?;
        Ok(frame)
    }

    fn decode(
        &mut self,
        block: &[u8],
        last: bool,
        output: &mut Output<'_>,
    ) -> Result<(), Undecodable> {
        // Without its mark as the last: the decoder would look for a checksum behind it.
        let header = [block[0] & !1, block[1], block[2]];
        self.feed(header.as_slice().chain(&block[3..]))?;
        let held = self.decoder.can_collect();
        let droppable = if last {
            held
        } else {
            held.saturating_sub(self.window)
        };
        let mut peek = Peek {
            seen: 0,
            shown: self.shown,
            droppable,
            output,
            over: false,
        };
        self.decoder
            .collect_to_writer(&mut peek)
            .map_err(|_broken| Undecodable)?;
        if peek.over {
            return Err(Undecodable);
        }
        self.shown = peek.shown - peek.seen;
        Ok(())
    }

    /// Decodes one block.
    fn feed(&mut self, block: impl Read) -> Result<(), Undecodable> {
        let one = BlockDecodingStrategy::UptoBlocks(1);
        self.decoder
            .decode_blocks(block, one)
            .map(drop)
            .map_err(|_broken| Undecodable)
    }
}

/// Sees the decoder's output without taking all of it away.
///
/// The decoder needs the last window of its output to decode on, and removes from it what a
/// writer takes. This writer looks at all that it is shown and takes only what lies before the
/// window. The output is a ring: once it has wrapped, its newer part is shown only when the
/// older was taken. So output is prompt up to one window (2 to 8 MiB with common settings), and
/// after that some of it may come up to a window late.
struct Peek<'a, 'o> {
    /// How many bytes of the decoder's output were taken by now.
    seen: usize,
    /// How many of its bytes, from its start, were handed on.
    shown: usize,
    /// How many of its bytes are not needed any more.
    droppable: usize,
    output: &'a mut Output<'o>,
    over: bool,
}

impl Write for Peek<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.seen + bytes.len();
        if end > self.shown && !self.over {
            let new = &bytes[self.shown.saturating_sub(self.seen)..];
            self.over = self.output.write(new).is_err();
            self.shown = end;
        }
        let taken = bytes.len().min(self.droppable.saturating_sub(self.seen));
        self.seen += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct BlockHeader {
    last: bool,
    /// Bytes of the block behind its header.
    content: usize,
}

fn block_header(bytes: &[u8]) -> Option<BlockHeader> {
    let &[a, b, c] = bytes.first_chunk()?;
    let size = (usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16) >> 3;
    // Type 1 is one byte, repeated `size` times.
    let content = if a >> 1 & 3 == 1 { 1 } else { size };
    Some(BlockHeader {
        last: a & 1 == 1,
        content,
    })
}

/// The length of a frame's header with its magic number, by its descriptor.
fn header_length(descriptor: u8) -> usize {
    let single_segment = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(single_segment),
        size => 1 << size,
    };
    5 + usize::from(!single_segment) + dictionary + content
}

/// The window of a frame, from its whole header (RFC 8878 §3.1.1.1.2).
fn window(header: &[u8]) -> Option<usize> {
    let descriptor = *header.get(4)?;
    if descriptor & 0x20 != 0 {
        // A single segment: all of it is held to its end.
        return Some(usize::MAX);
    }
    let byte = *header.get(5)?;
    let base = 1u64 << (10 + (byte >> 3));
    usize::try_from(base + (base / 8) * u64::from(byte & 7)).ok()
}

fn little_endian(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zstd")
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
