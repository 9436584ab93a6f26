//! The pure stages of kaos-probe.
//!
//! Data walks one way: [`stream`] puts records into order, [`message`] reads HTTP out of the
//! bytes, [`call`] reads meaning out of the messages, [`stitch`] gives the calls their parents
//! and names. Nothing in this crate does IO, keeps global state or knows of the async runtime:
//! bytes and clock values in, values out.

#![forbid(unsafe_code)]

pub mod call;
pub mod conventions;
pub mod gaps;
pub mod ids;
pub mod json;
pub mod message;
pub mod span;
pub mod stitch;
pub mod stream;
pub mod trace_context;
