//! Content encodings that can be flushed after each event.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::script::Encoding;

/// Bytes that brotli gathers before it encodes them by itself.
const BROTLI_BUFFER: usize = 4096;

/// An encoder for one body.
pub(super) enum Encoder {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd,
}

impl Encoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Brotli => {
                let writer = brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER, 1, 18);
                Self::Brotli(Box::new(writer))
            }
            Encoding::Zstd => Self::Zstd,
        }
    }

    /// Encodes a piece so that the other side can decode all of it at once.
    pub(super) fn piece(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(match self {
            Self::Identity => bytes,
            Self::Gzip(encoder) => {
                encoder.write_all(&bytes)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Deflate(encoder) => {
                encoder.write_all(&bytes)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Brotli(encoder) => {
                encoder.write_all(&bytes)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            // The library cannot flush; RFC 8878, section 3 allows one frame after the other.
            Self::Zstd => zstd_frame(&bytes),
        })
    }

    /// What ends the body.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity | Self::Zstd => Ok(Vec::new()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
        }
    }
}

fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn encoded(encoding: Encoding) -> Vec<u8> {
        let mut encoder = Encoder::new(encoding);
        let mut wire = encoder.piece(b"data: one\n\n".to_vec()).unwrap();
        assert!(encoding == Encoding::Identity || !wire.is_empty());
        wire.extend(encoder.piece(b"data: two\n\n".to_vec()).unwrap());
        wire.extend(encoder.finish().unwrap());
        wire
    }

    #[test]
    fn each_encoding_is_read_back_by_its_decoder() {
        let text = "data: one\n\ndata: two\n\n";
        let mut out = String::new();
        flate2::read::GzDecoder::new(&encoded(Encoding::Gzip)[..])
            .read_to_string(&mut out)
            .unwrap();
        assert_eq!(out, text);
        out.clear();
        flate2::read::ZlibDecoder::new(&encoded(Encoding::Deflate)[..])
            .read_to_string(&mut out)
            .unwrap();
        assert_eq!(out, text);
        out.clear();
        brotli::Decompressor::new(&encoded(Encoding::Brotli)[..], 4096)
            .read_to_string(&mut out)
            .unwrap();
        assert_eq!(out, text);
        assert_eq!(encoded(Encoding::Identity), text.as_bytes());
    }

    #[test]
    fn zstd_is_one_frame_after_the_other() {
        let wire = encoded(Encoding::Zstd);
        let magic = wire
            .windows(4)
            .filter(|w| *w == [0x28, 0xb5, 0x2f, 0xfd])
            .count();
        assert_eq!(magic, 2);
    }
}
