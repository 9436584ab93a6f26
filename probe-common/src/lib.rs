//! What the kernel half and the user half of kaos-probe share: records, map values, limits, and
//! the pure pieces of the capture decision.
//!
//! Depends on `core` only. Everything here is plain values, so that the decision of the kernel
//! half is tested on the host, and what crosses the border has one definition.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod capture;
pub mod http;
pub mod maps;
pub mod offsets;
pub mod record;

/// Version of everything in this crate that both halves must agree on.
pub const ABI: u32 = 1;
