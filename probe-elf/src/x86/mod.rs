//! x86-64 machine code: what the kernel emulates, and what a function does with its arguments.

mod code;
pub(crate) mod emulation;
pub(crate) mod flow;
pub(crate) mod sweep;
pub(crate) mod values;
pub(crate) mod wrapper;
