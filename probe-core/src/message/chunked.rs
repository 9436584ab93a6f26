//! The chunked transfer coding (RFC 9112 §7.1), byte by byte where it must be.

/// Where in the chunks the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In a chunk's size, with so many digits read.
    Size { size: u64, digits: u8 },
    /// Behind the size: an extension, or white space, up to the line's end.
    Extension { size: u64 },
    /// In a chunk's data, with so many bytes to come.
    Data(u64),
    /// Behind a chunk's data, at its line end. `cr`: CR was seen.
    DataEnd { cr: bool },
    /// In the trailer section. `empty`: the line has no byte yet, CR not counted.
    Trailer { empty: bool },
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes of data.
    Data(usize),
    /// So many bytes of framing.
    Framing(usize),
    /// So many bytes of framing, the last of the message.
    End(usize),
    /// No chunk can look like this.
    Broken,
}

impl Chunks {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size { size: 0, digits: 0 };

    /// Reads on in `bytes`, which is not empty.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        match *self {
            Self::Data(left) => self.data(left, bytes.len()),
            Self::Size { size, digits } => self.size(size, digits, bytes),
            Self::Extension { size } => match memchr::memchr(b'\n', bytes) {
                Some(at) => self.begin_chunk(size, at + 1),
                None => Step::Framing(bytes.len()),
            },
            Self::DataEnd { cr } => self.data_end(cr, bytes),
            Self::Trailer { empty } => self.trailer(empty, bytes),
        }
    }

    /// Passes over `n` bytes that were not captured: how many of them were data. `None` if it
    /// cannot be told where the next byte stands, which it can up to a chunk's line end: servers
    /// write chunk by chunk, so that is how far a hole in one record goes.
    pub(super) fn skip(&mut self, n: u64) -> Option<u64> {
        let Self::Data(left) = *self else {
            return None;
        };
        *self = match n.checked_sub(left) {
            None => Self::Data(left - n),
            Some(0) => Self::DataEnd { cr: false },
            Some(1) => Self::DataEnd { cr: true },
            Some(2) => Self::START,
            Some(_) => return None,
        };
        Some(n.min(left))
    }

    fn data(&mut self, left: u64, available: usize) -> Step {
        let taken = usize::try_from(left).map_or(available, |left| left.min(available));
        let left = left - taken as u64;
        *self = if left == 0 {
            Self::DataEnd { cr: false }
        } else {
            Self::Data(left)
        };
        Step::Data(taken)
    }

    fn size(&mut self, mut size: u64, mut digits: u8, bytes: &[u8]) -> Step {
        for (at, &byte) in bytes.iter().enumerate() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                b'\n' if digits > 0 => return self.begin_chunk(size, at + 1),
                b'\r' | b';' | b' ' | b'\t' if digits > 0 => {
                    *self = Self::Extension { size };
                    return Step::Framing(at + 1);
                }
                _ => return Step::Broken,
            };
            if digits == 16 {
                return Step::Broken;
            }
            size = size << 4 | u64::from(digit);
            digits += 1;
        }
        *self = Self::Size { size, digits };
        Step::Framing(bytes.len())
    }

    fn begin_chunk(&mut self, size: u64, used: usize) -> Step {
        *self = if size == 0 {
            Self::Trailer { empty: true }
        } else {
            Self::Data(size)
        };
        Step::Framing(used)
    }

    fn data_end(&mut self, cr: bool, bytes: &[u8]) -> Step {
        match bytes {
            [b'\r', b'\n', ..] if !cr => {
                *self = Self::START;
                Step::Framing(2)
            }
            [b'\r'] if !cr => {
                *self = Self::DataEnd { cr: true };
                Step::Framing(1)
            }
            [b'\n', ..] => {
                *self = Self::START;
                Step::Framing(1)
            }
            _ => Step::Broken,
        }
    }

    fn trailer(&mut self, mut empty: bool, bytes: &[u8]) -> Step {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if empty => return Step::End(at + 1),
                b'\n' => empty = true,
                b'\r' => {}
                _ => empty = false,
            }
        }
        *self = Self::Trailer { empty };
        Step::Framing(bytes.len())
    }
}

/// Whether `record` may begin with a chunk's head, after a hole. Servers write a chunk at a time,
/// so its end is checked where the record reaches that far; a chunk that goes on in later
/// records is believed up to a size that no text is likely to spell.
pub(super) fn begins_chunk(record: &[u8]) -> bool {
    const MAX_UNSEEN: u64 = 1 << 20;
    let mut chunks = Chunks::START;
    let mut rest = record;
    while !rest.is_empty() {
        match chunks.step(rest) {
            Step::Framing(used) => rest = &rest[used..],
            Step::Data(_) | Step::End(_) | Step::Broken => return false,
        }
        match chunks {
            Chunks::Data(size) => {
                let end = usize::try_from(size).ok().and_then(|n| rest.get(n..));
                return end.map_or(size <= MAX_UNSEEN, |end| {
                    b"\r\n".starts_with(&end[..end.len().min(2)])
                });
            }
            Chunks::Trailer { .. } => return rest == b"\r\n",
            _ => {}
        }
    }
    false
}

/// Whether `record` ends with the last chunk, without trailers.
pub(super) fn ends_message(record: &[u8]) -> bool {
    record == b"0\r\n\r\n" || record == b"\r\n0\r\n\r\n" || record.ends_with(b"\r\n0\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data, how many bytes belong to the message, and whether it was sound.
    fn read(parts: &[&[u8]]) -> (Vec<u8>, Option<usize>, bool) {
        let (mut data, mut total, mut chunks) = (Vec::new(), 0, Chunks::START);
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let used = match chunks.step(rest) {
                    Step::Data(used) => {
                        data.extend_from_slice(&rest[..used]);
                        used
                    }
                    Step::Framing(used) => used,
                    Step::End(used) => return (data, Some(total + used), true),
                    Step::Broken => return (data, None, false),
                };
                total += used;
                rest = &rest[used..];
            }
        }
        (data, None, true)
    }

    #[test]
    fn reads_chunks_at_any_cut() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
            (b"0\r\n\r\n", b""),
            (
                b"000A;ext=\"q;\" \r\n0123456789\r\n1 \r\nx\r\n0;last\r\n\r\n",
                b"0123456789x",
            ),
            (b"3\nabc\n0\n\n", b"abc"),
            (b"1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", b"a"),
        ];
        for (message, data) in cases {
            let wanted = (data.to_vec(), Some(message.len()), true);
            let longer = [message, &b"HTTP/1.1 200 OK"[..]].concat();
            for cut in 0..=longer.len() {
                assert_eq!(
                    read(&[&longer[..cut], &longer[cut..]]),
                    wanted,
                    "cut at {cut}"
                );
            }
            assert_eq!(read(&longer.chunks(1).collect::<Vec<_>>()), wanted);
        }
    }

    #[test]
    fn breaks_on_what_is_no_chunk() {
        for broken in [
            &b"x\r\n"[..],
            b"\r\n",
            b"1\r\nab\r\n",
            b"12345678901234567\r\n",
            b"-1\r\n",
            b"1\r\na\rb",
        ] {
            assert!(!read(&[broken]).2, "{broken:?}");
        }
    }

    #[test]
    fn finds_its_way_back() {
        assert!(begins_chunk(b"5\r\nhello\r\n"));
        assert!(begins_chunk(b"5\r\nhello\r\n3\r\nfoo\r\n"));
        assert!(begins_chunk(b"1000\r\nhello"));
        assert!(begins_chunk(b"0\r\n\r\n"));
        assert!(!begins_chunk(b"5\r\nhelloworld"));
        assert!(!begins_chunk(b"data: 5\r\n"));
        assert!(!begins_chunk(b"ffffffff\r\nhello"));
        assert!(!begins_chunk(b"5"));
        assert!(!begins_chunk(b""));
        assert!(ends_message(b"x\r\n0\r\n\r\n"));
        assert!(ends_message(b"0\r\n\r\n"));
        assert!(!ends_message(b"100\r\n\r\n"));
    }
}
