//! Agent to agent: JSON-RPC, REST and cards.

use super::{Script, sse};
use crate::call::{CallKind, ErrorSource};

/// As KAOS agents write it.
const SEND: &str = r#"{"jsonrpc":"2.0","method":"SendMessage","id":1,"params":{"message":{"role":"user","parts":[{"type":"text","text":"secret"}],"metadata":{"delegation":true}}}}"#;

#[test]
fn a_delegation_of_kaos_is_read() {
    let call = Script::post("/", SEND)
        .header("x-aib-session-id", "aib-1")
        .json(r#"{"jsonrpc":"2.0","id":1,"result":{"id":"task_0123456789ab","sessionId":"s-1","status":{"state":"completed"},"artifacts":[{"parts":[{"text":"secret"}]}]}}"#)
        .call();
    let agent = call.agent();
    assert_eq!(agent.method, "SendMessage");
    assert_eq!(agent.request_id.as_deref(), Some("1"));
    assert_eq!(agent.task_id.as_deref(), Some("task_0123456789ab"));
    assert_eq!(agent.task_state.as_deref(), Some("completed"));
    assert_eq!(agent.context_id.as_deref(), Some("s-1"));
    assert_eq!(call.http.session_id.as_deref(), Some("aib-1"));
    assert_eq!(call.error, None);
    assert!(!format!("{call:?}").contains("secret"));
}

#[test]
fn a_failed_task_is_an_error_of_who_sent_it() {
    let failed = r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_FAILED"}}}}"#;
    let call = Script::post("/a2a", SEND).json(failed).call();
    let error = call.error.clone().unwrap();
    assert_eq!(
        (error.kind.as_str(), error.source),
        ("failed", ErrorSource::Task)
    );
    assert_eq!(call.agent().context_id.as_deref(), Some("c"));
    let get = r#"{"jsonrpc":"2.0","method":"tasks/get","id":1,"params":{"id":"t"}}"#;
    let call = Script::post("/", get).json(failed).call();
    assert_eq!(
        (call.error.as_ref(), call.agent().task_id.as_deref()),
        (None, Some("t"))
    );
}

#[test]
fn a_stream_of_task_updates_is_one_call() {
    let request = r#"{"jsonrpc":"2.0","method":"message/stream","id":"q","params":{"message":{"messageId":"m","contextId":"c","parts":[]}}}"#;
    let stream = sse(&[
        r#"{"jsonrpc":"2.0","id":"q","result":{"kind":"task","id":"t","contextId":"c","status":{"state":"submitted"}}}"#,
        r#"{"jsonrpc":"2.0","id":"q","result":{"kind":"artifact-update","taskId":"t","contextId":"c","artifact":{}}}"#,
        r#"{"jsonrpc":"2.0","id":"q","result":{"kind":"status-update","taskId":"t","contextId":"c","status":{"state":"completed"},"final":true}}"#,
    ]);
    let call = Script::post("/", request).sse(&stream).call();
    assert_eq!(call.agent().method, "message/stream");
    assert_eq!(call.agent().task_state.as_deref(), Some("completed"));
    assert_eq!(call.timing.chunks, 3);
    assert!(call.timing.first_token.is_some());
}

#[test]
fn json_rpc_errors_are_errors() {
    let call = Script::post("/", SEND)
        .json(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"secret"}}"#)
        .call();
    assert_eq!(call.error.and_then(|error| error.rpc_code), Some(-32001));
}

#[test]
fn rest_is_read() {
    let call = Script::post(
        "/v1/message:send",
        r#"{"message":{"role":"ROLE_USER","contextId":"c","parts":[{"text":"secret"}]}}"#,
    )
    .header("content-type", "application/a2a+json")
    .json(r#"{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_COMPLETED"}}}"#)
    .call();
    assert_eq!(call.agent().method, "SendMessage");
    assert_eq!(
        call.agent().task_state.as_deref(),
        Some("TASK_STATE_COMPLETED")
    );
    let call = Script::new("GET", "/tasks/t")
        .header("A2A-Version", "1.0")
        .json(r#"{"id":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}"#)
        .call();
    assert_eq!(call.agent().method, "GetTask");
    assert_eq!(call.agent().task_id.as_deref(), Some("t"));
    assert!(Script::new("GET", "/tasks/t").json("{}").run().is_empty());
    assert!(
        Script::post("/message:send", r#"{"text":"of somebody else"}"#)
            .run()
            .is_empty()
    );
}

#[test]
fn a_card_that_is_there_is_evidence() {
    for path in [
        "/.well-known/agent-card.json",
        "/peer/.well-known/agent.json",
        "/.well-known/agent",
    ] {
        let call = Script::new("GET", path)
            .json(r#"{"skills":[{"name":"no"}],"name":"boss","url":"x"}"#)
            .call();
        assert_eq!(
            call.kind,
            CallKind::AgentCard {
                name: Some("boss".into())
            }
        );
    }
    let missing = Script::new("GET", "/.well-known/agent.json")
        .status(404)
        .json("{}")
        .call();
    assert_eq!(missing.kind, CallKind::AgentCard { name: None });
    assert_eq!(missing.http.status, Some(404), "no evidence");
}
