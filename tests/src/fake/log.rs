//! What the fake writes down about each call: the ground truth.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

/// One call, one line of JSON. Times are nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 1.
    pub call: u64,
    /// What the call is.
    #[serde(flatten)]
    pub facts: Facts,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// `traceparent` as it came.
    pub traceparent: Option<String>,
    /// The client's port.
    pub peer_port: u16,
    /// Our port.
    pub port: u16,
    /// Inside TLS.
    pub tls: bool,
    /// Which request of its connection, from 1.
    pub nth: u32,
    /// Right after the read that returned the request's first byte.
    pub start: u64,
    /// Right after the write that completed the head.
    pub head: u64,
    /// Right after the write that completed the first data event of a stream, or else the body.
    pub first_chunk: u64,
    /// Right after the write of the end mark of a stream (`[DONE]`, `message_stop`, `done:true`).
    pub done: u64,
    /// Right after the last write.
    pub end: u64,
    /// Data events written.
    pub chunks: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a dialect knows of a call, exactly as it stood on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// `chat`, `completions`, `responses`, `embeddings`, `messages`, `ollama`, `mcp`, `a2a`,
    /// or empty for what is no call.
    pub dialect: String,
    /// The model, or the MCP tool, or the agent's context id.
    pub asked: String,
    /// The model that answered.
    pub answered: Option<String>,
    /// The response's id, or that of the JSON-RPC request.
    pub id: Option<String>,
    /// The JSON-RPC method.
    pub rpc_method: Option<String>,
    /// The answer is a stream.
    pub stream: bool,
    /// Input tokens as the conventions count them: with cached ones.
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    pub output_tokens: Option<u64>,
    /// Of the input: from a cache.
    pub cached_tokens: Option<u64>,
    /// Of the output: reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Finish reasons, one for each choice.
    pub finish: Vec<String>,
    /// The `error.type` that the conventions want.
    pub error: Option<String>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All was written.
    #[default]
    Complete,
    /// The script had the connection closed or reset in mid-stream.
    Cut,
    /// The client went away.
    ClientGone,
}

/// The log's file. Lines are flushed one by one.
#[derive(Debug)]
pub struct Log(Mutex<Option<File>>);

impl Log {
    /// Opens a new log; `None` writes nothing.
    pub fn create(path: Option<&Path>) -> io::Result<Self> {
        Ok(Self(Mutex::new(path.map(File::create).transpose()?)))
    }

    /// Appends a record.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut file = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.as_mut().map_or(Ok(()), |file| file.write_all(&line))
    }
}
