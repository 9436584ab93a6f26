//! Records of any offsets and lengths: no byte is handed on twice, none vanishes uncounted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probe_core::ids::{ConnId, Context, Direction};
use probe_core::stream::{Assembler, Data};

fuzz_target!(|input: (bool, Vec<(bool, u16, u16, Vec<u8>)>)| {
    let (late, records) = input;
    let mut assembler = Assembler::new(late);
    let mut passed = [None; 2];
    for (out, offset, len, bytes) in &records {
        let direction = if *out { Direction::Out } else { Direction::In };
        let data = Data {
            conn: ConnId(1),
            direction,
            offset: u64::from(*offset),
            len: u64::from(*len),
            bytes,
            at: 0,
            context: Context::default(),
        };
        let parts = assembler.push(&data);
        let end = data.offset + data.len.max(bytes.len() as u64);
        let before = &mut passed[direction.index()];
        let start = before.unwrap_or(if late { data.offset } else { 0 });
        let after = start + parts.gap_before + parts.bytes.len() as u64 + parts.gap_after;
        assert_eq!(after, end.max(start));
        *before = Some(after);
    }
});
