//! A fake of OpenAI, Anthropic, Ollama, MCP and A2A servers, exact on the wire.
//!
//! It answers as the real ones do, goes wrong on demand ([`script`]), and writes down each call
//! with the times of its own system calls ([`log`]). HTTP is written by hand, because a kept
//! server would not put bytes where a test wants them.

pub mod cli;
pub mod conn;
pub mod dialect;
mod encode;
pub mod log;
pub mod request;
pub mod script;
mod serve;
mod tls;
mod wire;

pub use serve::{Options, serve};
pub use tls::Certificates;
