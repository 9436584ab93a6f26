//! An incremental JSON scanner: wanted values at wanted paths, everything else skipped.
//!
//! Bodies pass through here in pieces that are cut anywhere, and may be of any size. So nothing
//! is collected: a [`Scanner`] remembers where it stands (a stack no deeper than the deepest
//! wanted path, and a counter for what it skips) and reports the values that a [`Schema`] names,
//! in the order of the wire. Strings are bounded; a longer one is cut and marked.
//!
//! The scanner reads, it does not validate: of malformed JSON it reports what stood before the
//! fault, then falls silent. In skipped parts only strings and the balance of brackets count.

mod scanner;
mod schema;
mod tail;
mod text;
mod value;

pub use scanner::{Scanner, Sink};
pub use schema::{Schema, Take};
pub use tail::Tail;
pub use value::{At, Text, Value};

#[cfg(test)]
mod tests;
