//! JSON-RPC 2.0 over HTTP, as MCP and A2A use it: single messages and batches, answered in
//! JSON or in server-sent events. What the protocols say in their messages is their dialects'.

mod field;
mod message;
mod part;
mod reading;

pub(super) use field::{ENVELOPE, Field, Row};
pub(super) use message::Message;
pub(super) use part::Part;
pub(super) use reading::RpcReading;

use super::reading::Head;
use super::{CallKind, Content};
use crate::json::Schema;

/// What sets a protocol apart.
pub(super) struct Protocol {
    /// What is read of each message, of requests and answers alike.
    pub(super) schema: Schema<Field>,
    /// Whether a request with this method is the protocol's.
    pub(super) recognises: fn(&Message, &Evidence) -> bool,
    /// Whether the answer to this method is a row of messages.
    pub(super) streams: fn(&str) -> bool,
    /// Whether the peer's own requests inside an answer are calls.
    pub(super) reverses: bool,
    /// What a part was.
    pub(super) kind: fn(&mut Part, &Evidence) -> CallKind,
    /// The content of a part.
    pub(super) content: fn(&mut Part) -> Content,
    /// The error that a part's answer is, beside JSON-RPC's own.
    pub(super) fails: fn(&Part) -> Option<super::CallError>,
}

/// What the heads say.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// One of MCP's own fields is there.
    pub(super) mcp: bool,
    /// The client takes both JSON and event streams.
    pub(super) takes_both: bool,
    /// `mcp-session-id`
    pub(super) session_id: Option<String>,
    /// `mcp-protocol-version`
    pub(super) version: Option<String>,
    /// `mcp-method`
    pub(super) method: Option<String>,
    /// `mcp-name`
    pub(super) name: Option<String>,
    /// The request is no JSON-RPC: its method as the path tells it, and its body's message.
    pub(super) rest: bool,
}

impl Evidence {
    /// What the request's head says.
    pub(super) fn of(head: &Head<'_>) -> Self {
        let text = |name| {
            let short = |text: &&str| text.len() <= 256;
            head.headers.get(name).filter(short).map(str::to_owned)
        };
        let accepts = |kind: &str| {
            let values = head.headers.all("accept");
            values
                .filter_map(|v| std::str::from_utf8(v).ok())
                .any(|v| v.contains(kind))
        };
        let (session_id, version) = (text("mcp-session-id"), text("mcp-protocol-version"));
        let method = text("mcp-method");
        Self {
            mcp: session_id.is_some() || version.is_some() || method.is_some(),
            takes_both: accepts("application/json") && accepts("text/event-stream"),
            session_id,
            version,
            method,
            name: text("mcp-name"),
            rest: false,
        }
    }
}
