use proptest::prelude::*;

use super::*;
use crate::ids::{ConnId, Context, Direction};

fn record(offset: u64, len: u64, bytes: &[u8]) -> Data<'_> {
    Data {
        conn: ConnId(1),
        direction: Direction::In,
        offset,
        len,
        bytes,
        at: 0,
        context: Context::default(),
    }
}

fn run(late: bool, records: &[(u64, u64, &'static [u8])]) -> Vec<(u64, &'static [u8], u64)> {
    let mut assembler = Assembler::new(late);
    let parts = records.iter().map(|&(offset, len, bytes)| {
        let parts = assembler.push(&record(offset, len, bytes));
        (parts.gap_before, parts.bytes, parts.gap_after)
    });
    parts.collect()
}

#[test]
fn bytes_in_order_have_no_gaps() {
    assert_eq!(
        run(false, &[(0, 3, b"abc"), (3, 2, b"de")]),
        [(0, &b"abc"[..], 0), (0, b"de", 0)]
    );
}

#[test]
fn a_jump_and_a_short_record_are_gaps() {
    let seen = run(
        false,
        &[(2, 2, b"cd"), (4, 10, b"ef"), (14, 5, b""), (20, 1, b"u")],
    );
    assert_eq!(
        seen,
        [(2, &b"cd"[..], 0), (0, b"ef", 8), (0, b"", 5), (1, b"u", 0)]
    );
}

#[test]
fn the_first_record_of_a_late_connection_is_no_gap() {
    assert_eq!(
        run(true, &[(700, 1, b"a"), (702, 1, b"c")]),
        [(0, &b"a"[..], 0), (1, b"c", 0)]
    );
}

#[test]
fn what_came_before_is_dropped() {
    let seen = run(
        false,
        &[
            (0, 4, b"abcd"),
            (0, 4, b"abcd"),
            (2, 4, b"cdef"),
            (1, 1, b"b"),
        ],
    );
    assert_eq!(
        seen,
        [
            (0, &b"abcd"[..], 0),
            (0, b"", 0),
            (0, b"ef", 0),
            (0, b"", 0)
        ]
    );
    // A short record that reaches beyond what is known adds a gap only.
    assert_eq!(
        run(false, &[(0, 4, b"abcd"), (0, 9, b"ab")])[1],
        (0, &b""[..], 5)
    );
}

#[test]
fn directions_do_not_mix() {
    let mut assembler = Assembler::new(false);
    assembler.push(&record(0, 9, b"123456789"));
    let mut out = record(0, 1, b"x");
    out.direction = Direction::Out;
    assert_eq!(
        assembler.push(&out),
        Parts {
            gap_before: 0,
            bytes: b"x",
            gap_after: 0
        }
    );
}

proptest! {
    #[test]
    fn every_offset_is_handed_on_once(
        records in prop::collection::vec((any::<u64>(), 0u64..50, 0usize..50), 0..20),
        near in any::<bool>(),
    ) {
        let store = [7u8; 50];
        let mut assembler = Assembler::new(false);
        let mut total = 0u64;
        let mut reached = 0u64;
        for (offset, len, captured) in records {
            let offset = if near { offset % 200 } else { offset };
            let parts = assembler.push(&record(offset, len, &store[..captured]));
            let end = offset.saturating_add(len.max(captured as u64));
            reached = reached.max(end);
            total = total
                .saturating_add(parts.gap_before)
                .saturating_add(parts.bytes.len() as u64)
                .saturating_add(parts.gap_after);
            prop_assert!(near || offset > u64::MAX - 100 || total == reached);
            prop_assert!(!near || total == reached);
        }
    }
}
