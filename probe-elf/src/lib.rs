//! Reads executables and libraries, values in and values out.
//!
//! - [`tls`] finds OpenSSL's entry points and decides where to hook them most cheaply.
//! - [`runtime`] says what an executable is, and what of its TLS can be seen.
//! - [`go`] finds where a Go program is hooked: its own TLS, and `net/http`'s client.
//! - [`python`] finds where CPython's contexts are seen.
//! - [`dynamic`] and [`image`] read the facts of ELF that both need.
//!
//! The input is any [`object::ReadRef`]: a byte slice, or a `ReadCache` over a file, so that an
//! executable of a hundred megabytes is not read whole. Input is hostile: nothing here panics on
//! it, and each loop and each allocation has a bound.

mod arm;
mod budget;
pub mod dynamic;
mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod go;
pub mod image;
pub mod python;
pub mod runtime;
pub mod symbols;
pub mod tls;
mod x86;

pub use error::Error;
pub use object::read::{ReadCache, ReadRef};
