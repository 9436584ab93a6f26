//! What one operation moved, and where its bytes are.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_user};
use probe_common::maps::{Process, counter};

use crate::maps::count;

/// The bytes of an operation: one buffer, or the buffers of an `iovec` array.
#[derive(Clone, Copy)]
pub struct Segments {
    /// Address of the array, 0 for one buffer.
    pub vector: u64,
    /// Entries of the array.
    pub entries: u64,
    /// 1 if the array stands in the kernel's memory. The buffers never do.
    pub in_kernel: u64,
    /// Address of the first buffer.
    pub buffer: u64,
    /// Bytes of the first buffer.
    pub length: u64,
}

impl Segments {
    /// One buffer.
    #[inline(always)]
    pub const fn one(buffer: u64, length: u64) -> Self {
        Self {
            vector: 0,
            entries: 1,
            in_kernel: 0,
            buffer,
            length,
        }
    }

    /// An array of buffers.
    #[inline(always)]
    pub fn many(vector: u64, entries: u64) -> Self {
        let [buffer, length] = entry(vector, 0, 0);
        Self {
            vector,
            entries,
            in_kernel: 0,
            buffer,
            length,
        }
    }

    /// An array of buffers that the kernel has copied, without the first `skip` bytes of the
    /// first one.
    #[inline(always)]
    pub fn many_in_kernel(vector: u64, entries: u64, skip: u64) -> Self {
        let [buffer, length] = entry(vector, 0, 1);
        Self {
            vector,
            entries,
            in_kernel: 1,
            buffer: buffer.wrapping_add(skip),
            length: length.saturating_sub(skip),
        }
    }
}

/// An operation that moved `n` bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Operation {
    pub direction: u8,
    pub n: u64,
    pub segments: Segments,
    /// Stream offset of its first byte.
    pub start: u64,
    pub process: Process,
    /// The socket, 0 where it is not known.
    pub sk: u64,
    /// The socket or the TLS library's object.
    pub pointer: u64,
    /// [`TLS`] or 0.
    pub transport: u32,
    /// The caller asked not to wait for this operation, whatever the socket's mode.
    pub hasty: bool,
}

impl Operation {
    /// Nothing moved.
    pub const NONE: Self = Self {
        direction: 0,
        n: 0,
        segments: Segments {
            vector: 0,
            entries: 0,
            in_kernel: 0,
            buffer: 0,
            length: 0,
        },
        start: 0,
        process: Process {
            policy: 0,
            flags: 0,
            start: 0,
        },
        sk: 0,
        pointer: 0,
        transport: 0,
        hasty: false,
    };
}

/// An entry of an `iovec` array: address and length.
#[inline(always)]
pub fn entry(vector: u64, index: u64, in_kernel: u64) -> [u64; 2] {
    let at = vector.wrapping_add(index.wrapping_mul(16)) as *const [u64; 2];
    // SAFETY: the helpers check the address.
    let entry = unsafe {
        if in_kernel == 0 {
            bpf_probe_read_user(at)
        } else {
            bpf_probe_read_kernel(at)
        }
    };
    match entry {
        Ok(entry) => entry,
        Err(_) => {
            count(counter::UNREADABLE, 1);
            [0, 0]
        }
    }
}
