//! One message's body: its framing taken off, its content decoded, handed on as it passes.

use super::Piece;
use super::chunked::{self, Chunks, Step};
use super::decode::{Coding, Decoder};
use super::framing::{Length, UnknownCoding};

/// A body under way.
#[derive(Debug)]
pub(super) struct Body {
    framing: Framing,
    content: Content,
}

#[derive(Debug)]
enum Framing {
    /// So many bytes to come.
    Length(u64),
    Chunked(Chunks),
    UntilClose,
    /// A hole, or nonsense, hid where the chunks are.
    Lost,
}

/// What becomes of the body's bytes.
#[derive(Debug)]
enum Content {
    /// Nobody wants them.
    Unwanted,
    /// They are handed on as they are.
    Identity,
    /// They are coded; the decoder is made when the first one comes.
    Coded(Coding),
    Decoding(Box<Decoder>),
    /// A hole took what the decoder needs to go on.
    Skipped,
    /// The coding is unknown, which is told when the first byte comes.
    Unknown,
    /// Nothing more is handed on.
    Broken,
}

/// How far a body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// How many of the bytes, or of the gap's, belong to the body.
    pub(super) used: u64,
    /// The body's last byte is among them.
    pub(super) done: bool,
}

impl Body {
    /// A body at its start; `None` if there is none. A body of unknown length has no end but
    /// that of the connection.
    pub(super) fn new(
        length: Length,
        coding: Result<Option<Coding>, UnknownCoding>,
    ) -> Option<Self> {
        let framing = match length {
            Length::Bytes(0) => return None,
            Length::Bytes(n) => Framing::Length(n),
            Length::Chunked => Framing::Chunked(Chunks::START),
            Length::UntilClose | Length::Unknown => Framing::UntilClose,
        };
        let content = match coding {
            Ok(None) => Content::Identity,
            Ok(Some(coding)) => Content::Coded(coding),
            Err(UnknownCoding) => Content::Unknown,
        };
        Some(Self { framing, content })
    }

    /// The same body, of which nothing will be handed on.
    pub(super) fn unwanted(mut self) -> Self {
        self.forget();
        self
    }

    /// Nothing more of it will be handed on.
    pub(super) fn forget(&mut self) {
        self.content = Content::Unwanted;
    }

    /// About how many bytes of memory its decoder takes.
    pub(super) fn held(&self) -> usize {
        match &self.content {
            Content::Decoding(decoder) => decoder.held(),
            _ => 0,
        }
    }

    /// Gives its decoder up: what follows is told as undecodable.
    pub(super) fn shed(&mut self) {
        if matches!(self.content, Content::Decoding(_)) {
            self.content = Content::Unknown;
        }
    }

    /// How many more bytes the body has, where that is known.
    pub(super) const fn left(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(left) => Some(left),
            Framing::Chunked(_) | Framing::UntilClose | Framing::Lost => None,
        }
    }

    /// Whether the end of the connection is the end of the body.
    pub(super) const fn ends_with_connection(&self) -> bool {
        matches!(self.framing, Framing::UntilClose)
    }

    /// Whether nobody knows where the body ends.
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self.framing, Framing::Lost)
    }

    /// Takes the next bytes, which are not empty. `record_start`: they begin a record.
    pub(super) fn bytes(
        &mut self,
        bytes: &[u8],
        record_start: bool,
        sink: &mut impl FnMut(Piece<'_>),
    ) -> Progress {
        match &mut self.framing {
            Framing::Length(left) => {
                let used = usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                *left -= used as u64;
                let done = *left == 0;
                self.content.bytes(&bytes[..used], sink);
                Progress {
                    used: used as u64,
                    done,
                }
            }
            Framing::Chunked(_) => self.chunks(bytes, sink),
            Framing::UntilClose => {
                self.content.bytes(bytes, sink);
                Progress {
                    used: bytes.len() as u64,
                    done: false,
                }
            }
            Framing::Lost if record_start && chunked::begins_chunk(bytes) => {
                self.framing = Framing::Chunked(Chunks::START);
                self.chunks(bytes, sink)
            }
            Framing::Lost => {
                self.content.gap(bytes.len() as u64, sink);
                Progress {
                    used: bytes.len() as u64,
                    done: chunked::ends_message(bytes),
                }
            }
        }
    }

    /// `n` bytes were not captured.
    pub(super) fn gap(&mut self, n: u64, sink: &mut impl FnMut(Piece<'_>)) -> Progress {
        let used = match &mut self.framing {
            Framing::Length(left) => {
                let used = n.min(*left);
                *left -= used;
                let done = *left == 0;
                self.content.gap(used, sink);
                return Progress { used, done };
            }
            Framing::Chunked(chunks) => chunks.skip(n),
            Framing::UntilClose => Some(n),
            Framing::Lost => None,
        };
        if used.is_none() {
            self.framing = Framing::Lost;
        }
        self.content.gap(used.unwrap_or(n), sink);
        Progress {
            used: n,
            done: false,
        }
    }

    fn chunks(&mut self, bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) -> Progress {
        let mut rest = bytes;
        while let Framing::Chunked(chunks) = &mut self.framing
            && !rest.is_empty()
        {
            let used = match chunks.step(rest) {
                Step::Data(used) => {
                    self.content.bytes(&rest[..used], sink);
                    used
                }
                Step::Framing(used) => used,
                Step::End(used) => {
                    let used = bytes.len() - rest.len() + used;
                    return Progress {
                        used: used as u64,
                        done: true,
                    };
                }
                Step::Broken => {
                    self.framing = Framing::Lost;
                    self.content.gap(rest.len() as u64, sink);
                    rest.len()
                }
            };
            rest = &rest[used..];
        }
        Progress {
            used: bytes.len() as u64,
            done: false,
        }
    }
}

impl Content {
    fn bytes(&mut self, bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) {
        match self {
            Self::Identity => sink(Piece::Bytes(bytes)),
            Self::Unwanted | Self::Broken => {}
            Self::Skipped => sink(Piece::Gap(bytes.len() as u64)),
            Self::Coded(coding) => {
                *self = Self::Decoding(Box::new(Decoder::new(*coding)));
                self.bytes(bytes, sink);
            }
            Self::Decoding(decoder) => {
                let outcome = decoder.push(bytes, &mut |decoded| sink(Piece::Bytes(decoded)));
                if outcome.is_err() {
                    *self = Self::Unknown;
                    self.bytes(bytes, sink);
                }
            }
            Self::Unknown => {
                sink(Piece::Undecodable);
                *self = Self::Broken;
            }
        }
    }

    fn gap(&mut self, n: u64, sink: &mut impl FnMut(Piece<'_>)) {
        match self {
            Self::Unwanted | Self::Broken => return,
            Self::Unknown => {
                sink(Piece::Undecodable);
                *self = Self::Broken;
                return;
            }
            Self::Coded(_) | Self::Decoding(_) => *self = Self::Skipped,
            Self::Identity | Self::Skipped => {}
        }
        if n > 0 {
            sink(Piece::Gap(n));
        }
    }
}
