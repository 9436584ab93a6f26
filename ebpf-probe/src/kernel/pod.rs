//! The shared values, as aya wants them marked.

#![expect(
    unsafe_code,
    reason = "aya marks what may cross to the kernel by an unsafe trait"
)]

use probe_common::capture::Connection;
use probe_common::maps::{Go, Grant, Process, Python, Settings, TlsKey};
use probe_common::offsets::Offsets;

/// A value that crosses to the kernel as it is.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Pod<T: Copy>(pub(crate) T);

// SAFETY: `repr(C)` structures of integers without implicit padding, as their definitions show;
// any bit pattern is a value.
unsafe impl aya::Pod for Pod<Offsets> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<Process> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<Settings> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<Grant> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<TlsKey> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<Connection> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<Python> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<Go> {}
