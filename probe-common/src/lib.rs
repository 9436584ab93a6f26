//! What the kernel half and the user half of kaos-probe share.
#![no_std]
#![forbid(unsafe_code)]
