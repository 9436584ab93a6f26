//! The wire formats that are known. A new one is a file here and a line in [`DIALECTS`].
//!
//! A dialect looks at a request's head and says whether it may be one of its own. Where the
//! method and path do not settle it, the body does; until then several may read along.

mod a2a;
mod agent_card;
mod anthropic;
mod llama_cpp;
mod mcp;
mod ollama;
mod openai;
mod openai_chat;
mod openai_completions;
mod openai_embeddings;
mod openai_responses;

use super::reading::{Head, Reading};

/// Opens a reading if the head may be that of a call in the dialect.
type Dialect = fn(&Head<'_>) -> Option<Box<dyn Reading>>;

/// All dialects; where two recognise a call at the same byte, the first has it.
const DIALECTS: &[Dialect] = &[
    openai_chat::open,
    openai_responses::open,
    anthropic::open,
    openai_embeddings::open,
    openai_completions::open,
    ollama::open,
    llama_cpp::open,
    agent_card::open,
    mcp::open,
    a2a::open,
];

/// Every dialect that the head may be of.
pub(super) fn candidates(head: &Head<'_>) -> Vec<Box<dyn Reading>> {
    let mut readings = Vec::new();
    for open in DIALECTS {
        if let Some(reading) = open(head) {
            let sure = reading.verdict() == super::reading::Verdict::Call;
            readings.push(reading);
            if sure {
                break;
            }
        }
    }
    readings
}
