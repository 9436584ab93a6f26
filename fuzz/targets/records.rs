//! Whatever may stand in the ring buffer, and the kernel's look at the first bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probe_common::http::{PEEK, look};
use probe_common::record::{HEADER, Header, Open};

fuzz_target!(|bytes: &[u8]| {
    if let Some((header, captured)) = Header::parse(bytes) {
        assert_eq!(captured.len(), header.captured as usize);
        assert!(HEADER + captured.len() <= bytes.len());
        let _ = Open::parse(captured);
    }
    let mut peek = [0; PEEK];
    let n = bytes.len().min(PEEK);
    peek[..n].copy_from_slice(&bytes[..n]);
    let _ = look(&peek, n);
});
