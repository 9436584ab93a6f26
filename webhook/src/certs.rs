//! Certificates: which there are, which is served, and whom API servers are told to trust.
//!
//! [`plan`] decides, from values alone; [`keeper`] serves what is good and keeps the last good;
//! [`files`] and [`secret`] are where certificates come from.

pub mod bundle;
pub mod files;
pub mod issue;
pub mod keeper;
pub mod pair;
pub mod plan;
pub mod secret;
#[cfg(test)]
pub(crate) mod testing;
