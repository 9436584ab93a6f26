//! A fixed list of calls, made by this process.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::fidelity::cells::{PARENT_ID, TRACE_ID};

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    path: &'static str,
    body: Value,
    /// Send a `traceparent`.
    traced: bool,
}

/// Calls of models and tools: whole, as streams, with errors, with a parent on the wire.
#[must_use]
pub fn of_models() -> Vec<Call> {
    let mut calls = Vec::new();
    let mut ask = |path, script: &str, stream: bool, traced| {
        let model = format!("fake-{script}-totlp{}", calls.len());
        let body = json!({"model": model, "stream": stream, "max_tokens": 64, "temperature": 0.25,
            "stream_options": {"include_usage": true}, "prompt": "Say something.",
            "input": "Say something.", "messages": [{"role": "user", "content": "Say something."}]});
        calls.push(Call { path, body, traced });
    };
    ask("/v1/chat/completions", "n3", false, false);
    ask("/v1/chat/completions", "n5-i2-cached7-reason3", true, true);
    ask("/v1/chat/completions", "tool", false, true);
    ask("/v1/chat/completions", "e429", false, false);
    ask("/v1/chat/completions", "n4-ee", true, true);
    ask("/v1/completions", "n3", false, false);
    ask("/v1/responses", "n3-i1", true, false);
    ask("/v1/embeddings", "n1", false, false);
    ask("/v1/messages", "n6-i1-ping", true, true);
    ask("/api/chat", "n3-i1", true, false);
    for (id, script) in ["json", "sse-rpcerr", "sse-toolerr"].iter().enumerate() {
        let tool = format!("fake-{script}-totlp{}", calls.len());
        let params = json!({"name": tool, "arguments": {}});
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let (path, traced) = ("/mcp", true);
        calls.push(Call { path, body, traced });
    }
    calls
}

/// A call of an agent by another.
#[must_use]
pub fn of_agent() -> Call {
    let name = "fake-totlp-agent";
    let message = json!({"messageId": name, "contextId": name, "role": "user",
        "parts": [{"kind": "text", "text": "Do something."}]});
    Call {
        path: "/",
        body: json!({"jsonrpc": "2.0", "id": 1, "method": "message/send",
            "params": {"message": message}}),
        traced: true,
    }
}

impl Call {
    /// Makes the call and reads the answer to its end.
    pub fn make(&self, server: SocketAddr) -> Result<()> {
        let body = self.body.to_string();
        let parent = if self.traced {
            format!("traceparent: 00-{TRACE_ID}-{PARENT_ID}-01\r\n")
        } else {
            String::new()
        };
        let (path, length) = (self.path, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n{parent}\
             accept: application/json, text/event-stream\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(server).context("reach the fake")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all((head + &body).as_bytes())?;
        stream.read_to_end(&mut Vec::new()).context(path)?;
        Ok(())
    }
}
