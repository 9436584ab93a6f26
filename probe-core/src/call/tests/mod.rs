//! Golden exchanges: each is read whole, cut at every place, byte by byte, and with holes.

mod a2a;
mod anthropic;
mod content;
mod errors;
mod hostile;
mod llama_cpp;
mod mcp;
mod ollama;
mod openai;
mod script;
mod wire;

use script::{Script, sse};
