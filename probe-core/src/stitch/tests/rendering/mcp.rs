//! Tools and the other methods of MCP.

use super::*;

#[test]
fn an_mcp_tool_call_and_its_error() {
    let mut call = call(
        0,
        1,
        Role::Server,
        10,
        40,
        mcp("tools/call", Some("get_weather")),
    );
    call.error = Some(crate::call::CallError {
        kind: "-32602".to_owned(),
        source: ErrorSource::JsonRpc,
        rpc_code: Some(-32602),
    });
    let span = span(&call);
    assert_eq!(span.name, "tools/call get_weather");
    assert!(span.error.is_some());
    for (name, expected) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "get_weather"),
        ("jsonrpc.request.id", "3"),
        ("error.type", "-32602"),
        ("rpc.response.status_code", "-32602"),
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
    ] {
        assert_eq!(text(&span, name), Some(expected), "{name}");
    }
    assert_eq!(attribute(&span, "client.port"), Some(&Value::Int(8000)));
    assert_eq!(attribute(&span, "gen_ai.provider.name"), None);
    assert_eq!(attribute(&span, "telemetry.kaos.hop"), None);
    assert_eq!(span.summary.operation, "execute_tool");
    assert_eq!(span.summary.target.as_deref(), Some("get_weather"));
}

#[test]
fn a_tool_error_under_a_4xx_is_an_error_on_both_sides() {
    let mut call = call(0, 1, Role::Server, 10, 40, mcp("tools/list", None));
    call.http.status = Some(400);
    call.error = Some(error("-32600", ErrorSource::Body));
    assert!(span(&call).error.is_some());
}

#[test]
fn other_mcp_methods_are_no_tools() {
    let span = span(&call(0, 1, Role::Client, 10, 40, mcp("tools/list", None)));
    assert_eq!(span.name, "tools/list");
    assert_eq!(attribute(&span, "gen_ai.operation.name"), None);
}

#[test]
fn an_unknown_method_is_kept_apart() {
    let mut call = model(|_| {});
    call.http.method = "BREW".to_owned();
    let span = span(&call);
    assert_eq!(text(&span, "http.request.method"), Some("_OTHER"));
    assert_eq!(text(&span, "http.request.method_original"), Some("BREW"));
}
