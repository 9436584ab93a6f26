//! The half of kaos-probe that runs in the kernel.
//!
//! Taps copy bytes of opted-in processes into one ring ([`records`]); what they copy is decided
//! by `probe_common::capture`. Nothing here knows of JSON, spans or Kubernetes.
#![no_std]
#![no_main]

mod connections;
mod functions;
mod go;
mod kernel;
mod maps;
mod operation;
mod process;
mod python;
mod records;
mod socket;
mod tls;

/// Kernel helpers that copy user memory want a licence compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses a program that can come here.
    loop {}
}
