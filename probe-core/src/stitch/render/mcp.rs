//! The attributes of an MCP message.

use super::{View, conversation, inference};
use crate::call::Mcp;
use crate::conventions::{Attributes, table};

/// Adds the attributes and gives the span's name.
pub(super) fn attributes(view: &View<'_>, m: &Mcp, list: &mut Attributes<'_>) -> String {
    list.put_text(&table::MCP_METHOD, Some(&m.method));
    if m.method == "tools/call" {
        list.put(&table::OPERATION, "execute_tool");
    }
    list.put_text(&table::TOOL_NAME, m.tool.as_deref());
    list.put_text(&table::PROMPT_NAME, m.prompt.as_deref());
    let uri = m.resource_uri.as_deref().map(without_secrets);
    list.put_some(&table::MCP_RESOURCE, uri);
    list.put_text(&table::JSONRPC_ID, m.request_id.as_deref());
    list.put_text(&table::MCP_SESSION, m.session_id.as_deref());
    list.put_text(&table::MCP_PROTOCOL, m.protocol_version.as_deref());
    if let Some(code) = view.call.error.as_ref().and_then(|e| e.rpc_code) {
        list.put(&table::RPC_STATUS, code.to_string());
    }
    list.put(&table::NETWORK_TRANSPORT, "tcp");
    list.put(&table::NETWORK_PROTOCOL, "http");
    if let Some(endpoints) = view.endpoints.filter(|_| view.is_server()) {
        list.put(&table::CLIENT_PORT, i64::from(endpoints.peer.port()));
    }
    conversation(view.call.http.session_id.as_deref(), list);
    inference::content(view, list);
    match target(m) {
        Some(target) => format!("{} {target}", m.method),
        None => m.method.clone(),
    }
}

/// What the method is about, for the span's name: a tool or a prompt, never a resource (too many).
pub(super) fn target(m: &Mcp) -> Option<&str> {
    m.tool.as_deref().or(m.prompt.as_deref())
}

/// Keys sit in the query and in the userinfo of a URI.
fn without_secrets(uri: &str) -> String {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_uri_loses_its_secrets() {
        let cases = [
            ("file:///etc/hosts", "file:///etc/hosts"),
            (
                "postgres://user:pw@db:5432/x?sslkey=1",
                "postgres://db:5432/x",
            ),
            ("https://h/p@q#token=1", "https://h/p@q"),
            ("note", "note"),
            ("", ""),
        ];
        for (uri, expected) in cases {
            assert_eq!(without_secrets(uri), expected, "{uri}");
        }
    }
}
