//! The fixtures hold events that libzstd and libbrotli compressed with a flush behind each: for
//! each event, and for the end, a 16-bit little-endian length and the bytes that came out.
//! `narrow.zst` has a window of 1 KiB and a checksum, the others what the libraries choose.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

fn event(i: usize) -> String {
    format!("data: {{\"i\":{i},\"t\":\"tok{}\"}}\n\n", i * 7919 % 1000)
}

fn events(n: usize) -> String {
    (0..n).map(event).collect()
}

fn pieces(mut fixture: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some((length, rest)) = fixture.split_first_chunk() {
        let (piece, behind) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
        pieces.push(piece);
        fixture = behind;
    }
    pieces
}

/// Decodes pieces; what each of them brought, up to the first that could not be decoded.
fn decode(
    coding: Coding,
    pieces: impl IntoIterator<Item: AsRef<[u8]>>,
) -> (Vec<Vec<u8>>, Result<(), Undecodable>) {
    let mut decoder = Decoder::new(coding);
    let mut all = Vec::new();
    for piece in pieces {
        let mut out = Vec::new();
        let result = decoder.push(piece.as_ref(), &mut |bytes| out.extend_from_slice(bytes));
        all.push(out);
        if result.is_err() {
            return (all, result);
        }
    }
    (all, Ok(()))
}

fn decode_all(coding: Coding, pieces: impl IntoIterator<Item: AsRef<[u8]>>) -> String {
    let (out, result) = decode(coding, pieces);
    assert_eq!(result, Ok(()));
    String::from_utf8(out.concat()).unwrap()
}

/// Compresses, with a flush behind each event.
fn flushed<W: Write>(mut encoder: W, n: usize, finish: impl FnOnce(W) -> Vec<u8>) -> Vec<u8> {
    for i in 0..n {
        encoder.write_all(event(i).as_bytes()).unwrap();
        encoder.flush().unwrap();
    }
    finish(encoder)
}

fn gzip(n: usize) -> Vec<u8> {
    let encoder = GzEncoder::new(Vec::new(), Compression::default());
    flushed(encoder, n, |encoder| encoder.finish().unwrap())
}

fn zlib(n: usize) -> Vec<u8> {
    let encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    flushed(encoder, n, |encoder| encoder.finish().unwrap())
}

fn raw(n: usize) -> Vec<u8> {
    let encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    flushed(encoder, n, |encoder| encoder.finish().unwrap())
}

const EVENTS_BR: &[u8] = include_bytes!("fixtures/events.br");
const EVENTS_ZST: &[u8] = include_bytes!("fixtures/events.zst");
const NARROW_ZST: &[u8] = include_bytes!("fixtures/narrow.zst");

#[test]
fn every_coding_at_every_cut() {
    let coded = [
        (Coding::Gzip, gzip(40)),
        (Coding::Deflate, zlib(40)),
        (Coding::Deflate, raw(40)),
        (Coding::Brotli, pieces(EVENTS_BR).concat()),
        (Coding::Zstd, pieces(EVENTS_ZST).concat()),
    ];
    for (coding, bytes) in coded {
        // Single bytes, below, cut everywhere; here the rest of a cut piece is long.
        for cut in (0..bytes.len()).step_by(7) {
            let parts = [&bytes[..cut], &bytes[cut..]];
            assert_eq!(decode_all(coding, parts), events(40), "{coding:?} at {cut}");
        }
        assert_eq!(
            decode_all(coding, bytes.chunks(1)),
            events(40),
            "{coding:?} by bytes"
        );
    }
}

#[test]
fn events_come_out_when_they_go_in() {
    for (coding, fixture) in [(Coding::Brotli, EVENTS_BR), (Coding::Zstd, EVENTS_ZST)] {
        let (out, result) = decode(coding, pieces(fixture));
        assert_eq!(result, Ok(()));
        for (i, out) in out[..40].iter().enumerate() {
            assert_eq!(String::from_utf8_lossy(out), event(i), "{coding:?}");
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut decoder = Decoder::new(Coding::Gzip);
    for i in 0..40 {
        encoder.write_all(event(i).as_bytes()).unwrap();
        encoder.flush().unwrap();
        let mut out = Vec::new();
        let coded = std::mem::take(encoder.get_mut());
        decoder
            .push(&coded, &mut |bytes| out.extend_from_slice(bytes))
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&out), event(i));
    }
}

#[test]
fn a_zstd_stream_beyond_its_window_is_whole() {
    assert_eq!(decode_all(Coding::Zstd, pieces(NARROW_ZST)), events(200));
    let bytes = pieces(NARROW_ZST).concat();
    assert_eq!(decode_all(Coding::Zstd, bytes.chunks(1)), events(200));
    // Frames follow each other, and skippable ones may stand between.
    let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let twice = [&bytes[..], &skippable, &bytes].concat();
    assert_eq!(
        decode_all(Coding::Zstd, twice.chunks(7)),
        events(200).repeat(2)
    );
}

#[test]
fn gzip_headers_with_everything() {
    let bare = gzip(3);
    let mut full = bare[..10].to_vec();
    full[3] = HAS_EVERYTHING;
    full.extend(b"\x05\x00extra");
    full.extend(b"name\0comment\0");
    full.extend([0x12, 0x34]);
    full.extend(&bare[10..]);
    // A second member, one without extra bytes, and padding.
    full.extend(&bare);
    full.extend([0; 20]);
    assert_eq!(
        decode_all(Coding::Gzip, full.chunks(1)),
        events(3).repeat(2)
    );
    assert_eq!(decode_all(Coding::Gzip, [&full[..]]), events(3).repeat(2));
}
const HAS_EVERYTHING: u8 = 0b1_1110;

#[test]
fn nonsense_is_undecodable() {
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
        let (_, result) = decode(
            coding,
            [&b"{\"plain\": \"json, not what it says\"}\xff\xff\xff\xff"[..]],
        );
        assert_eq!(result, Err(Undecodable), "{coding:?}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 8 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    let (out, result) = decode(Coding::Gzip, [&bomb[..]]);
    assert_eq!(result, Err(Undecodable));
    let limit = (1 << 20) + bomb.len() * 256;
    assert!(out.concat().len() <= limit);
    // The same in zstd: a frame of blocks that repeat one byte.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    for _ in 0..400 {
        let header = ((128u32 << 10) << 3 | 1 << 1).to_le_bytes();
        frame.extend(&header[..3]);
        frame.push(b'x');
    }
    let (out, result) = decode(Coding::Zstd, [&frame[..]]);
    assert_eq!(result, Err(Undecodable));
    assert!(out.concat().len() <= (1 << 20) + frame.len() * 256);
}

#[test]
fn zstd_windows_are_bounded() {
    // 2^30 bytes.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3];
    assert_eq!(decode(Coding::Zstd, [&frame[..]]).1, Err(Undecodable));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_does_no_harm(
        which in 0usize..6,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        step in 1usize..100,
    ) {
        let (coding, mut bytes) = [
            (Coding::Gzip, gzip(20)),
            (Coding::Deflate, zlib(20)),
            (Coding::Deflate, raw(20)),
            (Coding::Brotli, pieces(EVENTS_BR).concat()),
            (Coding::Zstd, pieces(EVENTS_ZST).concat()),
            (Coding::Zstd, pieces(NARROW_ZST).concat()),
        ][which].clone();
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let (_, result) = decode(coding, bytes.chunks(step));
        prop_assert!(!damage.is_empty() || result.is_ok());
    }
}
