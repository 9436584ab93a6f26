//! What can be wrong with a file that should be ELF.

use thiserror::Error;

/// Why a file could not be read as an ELF image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is no 64-bit little-endian ELF.
    #[error("not a 64-bit little-endian ELF file")]
    NotElf,
    /// The file is for a processor that this crate knows nothing about.
    #[error("unsupported processor (ELF machine {machine})")]
    Machine {
        /// `e_machine` of the ELF header.
        machine: u16,
    },
    /// A header or table points outside of the file, or contradicts itself.
    #[error("malformed ELF file: {what}")]
    Malformed {
        /// The part that is wrong.
        what: &'static str,
    },
    /// A table is larger than anything that real files have.
    #[error("ELF file with a {what} beyond the limit")]
    TooLarge {
        /// The table that is too large.
        what: &'static str,
    },
}
