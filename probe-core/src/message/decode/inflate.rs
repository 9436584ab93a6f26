//! gzip (RFC 1952), and deflate with or without its zlib wrapper (RFC 1950, 1951).
//!
//! Checksums are passed over: whoever reads the body for real checks them.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Output, Undecodable};

/// How much is decoded at once.
const STEP: usize = 4096;

/// Decodes what `input` allows: how many of its bytes were used, and whether the data ended.
fn inflate(
    state: &mut Decompress,
    input: &[u8],
    output: &mut Output<'_>,
) -> Result<(usize, bool), Undecodable> {
    let mut buffer = [0; STEP];
    let mut used = 0;
    loop {
        let (before_in, before_out) = (state.total_in(), state.total_out());
        let status = state
            .decompress(&input[used..], &mut buffer, FlushDecompress::None)
            .map_err(|_broken| Undecodable)?;
        let taken = (state.total_in() - before_in) as usize;
        let given = (state.total_out() - before_out) as usize;
        used += taken;
        output.write(&buffer[..given])?;
        if status == Status::StreamEnd {
            return Ok((used, true));
        }
        let stuck = taken == 0 && given == 0;
        if stuck || (used == input.len() && given < STEP) {
            return Ok((used, false));
        }
    }
}

/// A gzip body: one member after the other.
pub(super) struct Gzip {
    place: Place,
    flags: u8,
    state: Decompress,
}

/// Where in a member the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// So many bytes into the fixed part of the header. `first`: no member came before.
    Fixed { at: u8, first: bool },
    /// At the length of the extra field, with so many of its two bytes read.
    ExtraLength { read: u8, length: u16 },
    /// So many bytes before the end of the extra field.
    Extra(u16),
    /// In the name, which a NUL ends.
    Name,
    /// In the comment, which a NUL ends.
    Comment,
    /// So many bytes before the end of the header's checksum.
    HeaderCheck(u8),
    /// In the data.
    Data,
    /// So many bytes before the end of the member.
    Trailer(u8),
    /// Behind the last member: padding.
    Done,
}

const HAS_HEADER_CHECK: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;

impl Gzip {
    pub(super) fn new() -> Self {
        let place = Place::Fixed { at: 0, first: true };
        Self {
            place,
            flags: 0,
            state: Decompress::new(false),
        }
    }

    pub(super) fn push(
        &mut self,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<(), Undecodable> {
        let mut rest = input;
        while let Some((&byte, behind)) = rest.split_first() {
            match self.place {
                Place::Data => {
                    let (used, ended) = inflate(&mut self.state, rest, output)?;
                    rest = &rest[used..];
                    if ended {
                        self.place = Place::Trailer(8);
                    } else {
                        return Ok(());
                    }
                }
                Place::Done => return Ok(()),
                _ => {
                    self.place = self.wrapper(byte)?;
                    rest = behind;
                }
            }
        }
        Ok(())
    }

    /// Takes one byte of header or trailer; gives the place behind it.
    fn wrapper(&mut self, byte: u8) -> Result<Place, Undecodable> {
        Ok(match self.place {
            Place::Fixed { at, first } => self.fixed(at, first, byte)?,
            Place::ExtraLength { read: 0, .. } => Place::ExtraLength {
                read: 1,
                length: u16::from(byte),
            },
            Place::ExtraLength { length, .. } => match length | u16::from(byte) << 8 {
                0 => self.behind(HAS_EXTRA),
                length => Place::Extra(length),
            },
            Place::Extra(1) => self.behind(HAS_EXTRA),
            Place::Extra(left) => Place::Extra(left - 1),
            Place::Name if byte == 0 => self.behind(HAS_NAME),
            Place::Comment if byte == 0 => self.behind(HAS_COMMENT),
            Place::HeaderCheck(2) => Place::HeaderCheck(1),
            Place::HeaderCheck(_) => Place::Data,
            Place::Trailer(1) => {
                self.state.reset(false);
                Place::Fixed {
                    at: 0,
                    first: false,
                }
            }
            Place::Trailer(left) => Place::Trailer(left - 1),
            same @ (Place::Name | Place::Comment | Place::Data | Place::Done) => same,
        })
    }

    fn fixed(&mut self, at: u8, first: bool, byte: u8) -> Result<Place, Undecodable> {
        let sound = match at {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            2 => byte == 8,
            3 => {
                self.flags = byte;
                byte & 0xe0 == 0
            }
            _ => true,
        };
        if !sound {
            return if first {
                Err(Undecodable)
            } else {
                Ok(Place::Done)
            };
        }
        Ok(if at == 9 {
            self.behind(0)
        } else {
            Place::Fixed { at: at + 1, first }
        })
    }

    /// What comes behind the optional part `part` (0: behind the fixed part).
    const fn behind(&self, part: u8) -> Place {
        if part < HAS_EXTRA && self.flags & HAS_EXTRA != 0 {
            Place::ExtraLength { read: 0, length: 0 }
        } else if part < HAS_NAME && self.flags & HAS_NAME != 0 {
            Place::Name
        } else if part < HAS_COMMENT && self.flags & HAS_COMMENT != 0 {
            Place::Comment
        } else if self.flags & HAS_HEADER_CHECK != 0 {
            Place::HeaderCheck(2)
        } else {
            Place::Data
        }
    }
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// A deflate body. Its first two bytes tell whether it has the zlib wrapper.
pub(super) struct Deflate {
    first: Option<u8>,
    state: Option<Decompress>,
    ended: bool,
}

impl Deflate {
    pub(super) const fn new() -> Self {
        Self {
            first: None,
            state: None,
            ended: false,
        }
    }

    pub(super) fn push(
        &mut self,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<(), Undecodable> {
        let mut rest = input;
        while let (None, Some((&byte, behind))) = (&self.state, rest.split_first()) {
            rest = behind;
            let Some(first) = self.first else {
                self.first = Some(byte);
                continue;
            };
            // RFC 1950 §2.2: method 8, and the two bytes are a multiple of 31.
            let zlib = first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(byte)) % 31 == 0;
            let state = self.state.insert(Decompress::new(zlib));
            (_, self.ended) = inflate(state, &[first, byte], output)?;
        }
        match &mut self.state {
            Some(state) if !self.ended => (_, self.ended) = inflate(state, rest, output)?,
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflate")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
