//! Model Context Protocol, of all versions.

use super::Script;
use crate::call::{ErrorSource, Output};
use crate::ids::Role;
use crate::message::Interest;

fn rpc(body: &str) -> Script {
    Script::post("/mcp", body).header("accept", "application/json, text/event-stream")
}

fn event(message: &str) -> String {
    format!("event: message\r\ndata: {message}\r\n\r\n")
}

/// As the TypeScript SDK writes it.
const CALL: &str = r#"{"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"secret"},"_meta":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b"}},"jsonrpc":"2.0","id":3}"#;

#[test]
fn a_tool_call_of_the_stateless_version_is_read() {
    let call = rpc(CALL)
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "get_weather")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")
        .json(r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"secret"}],"isError":false,"resultType":"complete"}}"#)
        .call();
    let mcp = call.mcp();
    assert_eq!(mcp.method, "tools/call");
    assert_eq!(mcp.tool.as_deref(), Some("get_weather"));
    assert_eq!(mcp.request_id.as_deref(), Some("3"));
    assert_eq!(mcp.protocol_version.as_deref(), Some("2026-07-28"));
    assert_eq!(mcp.session_id, None);
    let parent = call.trace.as_ref().map(|trace| trace.parent.to_string());
    assert_eq!(parent.as_deref(), Some("b7ad6b7169203331"), "of `_meta`");
    assert_eq!(call.trace.as_ref().map(|t| t.state.as_str()), Some("a=b"));
    let linked = call
        .header_trace
        .as_ref()
        .map(|trace| trace.parent.to_string());
    assert_eq!(
        linked.as_deref(),
        Some("00f067aa0ba902b7"),
        "of the headers"
    );
    assert_eq!(call.error, None);
    assert!(!format!("{call:?}").contains("secret"));
}

#[test]
fn a_stateless_error_in_an_event_stream_is_an_error() {
    let call = rpc(CALL)
        .sse(&event(
            r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"secret"}}"#,
        ))
        .call();
    let error = call.error.as_ref().unwrap();
    assert_eq!(error.kind, "-32602");
    assert_eq!(error.rpc_code, Some(-32602));
    assert_eq!(error.source, ErrorSource::JsonRpc);
    assert!(call.timing.stream);
}

#[test]
fn an_error_without_an_id_is_that_of_the_only_request() {
    let call = rpc(CALL)
        .status(400)
        .json(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"secret"}}"#)
        .call();
    assert_eq!(call.error_kind(), Some("-32020"));
    let call = rpc(CALL).status(404).answer("text/plain", "secret").call();
    assert_eq!(call.error_kind(), Some("404"));
}

#[test]
fn a_failed_tool_is_an_error() {
    let answer = r#"{"result":{"content":[],"isError":true},"jsonrpc":"2.0","id":3}"#;
    for call in [
        rpc(CALL).json(answer).call(),
        rpc(CALL).sse(&event(answer)).call(),
    ] {
        let error = call.error.unwrap();
        assert_eq!(
            (error.kind.as_str(), error.source),
            ("tool_error", ErrorSource::Tool)
        );
    }
}

#[test]
fn a_session_begins_by_initialize() {
    let call = rpc(r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}},"jsonrpc":"2.0","id":0}"#)
        .response_header("mcp-session-id", "s-1")
        .sse(&event(r#"{"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s"}},"jsonrpc":"2.0","id":0}"#))
        .call();
    assert_eq!(call.mcp().method, "initialize");
    assert_eq!(call.mcp().session_id.as_deref(), Some("s-1"));
    assert_eq!(call.mcp().protocol_version.as_deref(), Some("2025-06-18"));
}

#[test]
fn a_notification_is_a_call_without_id() {
    let call = rpc(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        .header("mcp-session-id", "s-1")
        .status(202)
        .call();
    assert_eq!(call.mcp().method, "notifications/initialized");
    assert_eq!(call.mcp().request_id, None);
    assert_eq!(call.error, None);
}

#[test]
fn a_batch_gives_a_call_each() {
    let calls = rpc(r#"[{"jsonrpc":"2.0","id":"a","method":"tools/list"},{"jsonrpc":"2.0","id":"b","method":"resources/read","params":{"uri":"file:///x"}},{"jsonrpc":"2.0","method":"notifications/progress"}]"#)
        .json(r#"[{"jsonrpc":"2.0","id":"b","error":{"code":-32002,"message":"secret"}},{"jsonrpc":"2.0","id":"a","result":{"tools":[]}}]"#)
        .run();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[0].mcp().resource_uri.as_deref(), Some("file:///x"));
    assert_eq!(calls[0].key.part, 1);
    assert_eq!(calls[0].error_kind(), Some("-32002"));
    assert_eq!(calls[1].mcp().method, "tools/list");
    assert_eq!(calls[1].error, None);
    assert_eq!(calls[2].mcp().request_id, None);
}

#[test]
fn a_servers_own_request_is_a_call_the_other_way() {
    let stream = [
        event(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#),
        event(
            r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[]}}"#,
        ),
        event(r#"{"jsonrpc":"2.0","id":3,"result":{"content":[]}}"#),
    ];
    let calls = rpc(CALL).sse(&stream.concat()).run();
    assert_eq!(calls.len(), 2);
    let (sampling, tool) = (&calls[0], &calls[1]);
    assert_eq!(sampling.mcp().method, "sampling/createMessage");
    assert!(sampling.mcp().from_server && !tool.mcp().from_server);
    assert_eq!((sampling.role, tool.role), (Role::Server, Role::Client));
    assert_eq!((sampling.key.part, tool.key.part), (1, 0));
    assert!(sampling.start > tool.start);
    assert_eq!(tool.timing.chunks, 3);
}

#[test]
fn a_call_is_over_at_its_answer() {
    let script = rpc(CALL).sse("");
    let mut run = super::script::Run::new(&script);
    run.request(&[CALL.as_bytes()]);
    run.response_head();
    run.response(event(r#"{"jsonrpc":"2.0","id":3,"result":{}}"#).as_bytes());
    assert!(matches!(
        run.outputs(),
        [Output::Started(_), Output::Finished(_)]
    ));
    assert_eq!(run.end().len(), 1);
}

#[test]
fn an_open_stream_and_the_end_of_a_session_are_no_calls() {
    for method in ["GET", "DELETE"] {
        let script = Script::new(method, "/mcp")
            .header("accept", "text/event-stream")
            .header("mcp-session-id", "s-1");
        let run = super::script::Run::new(&script);
        assert_eq!(run.interest, Interest::Heads);
    }
    // The answer to a server's request, and other people's JSON-RPC.
    assert!(
        rpc(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)
            .header("mcp-session-id", "s")
            .status(202)
            .run()
            .is_empty()
    );
    assert!(
        Script::post("/rpc", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
            .run()
            .is_empty()
    );
    assert!(
        Script::post("/rpc", r#"{"id":1,"method":"tools/call"}"#)
            .run()
            .is_empty()
    );
}
