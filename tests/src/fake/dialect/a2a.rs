//! Agent to agent, by JSON-RPC.

use serde_json::{Value, json};

use super::super::log::Facts;
use super::super::script::Script;
use super::{Ask, Reply, plain};

const METHODS: [&str; 6] = [
    "SendMessage",
    "GetTask",
    "CancelTask",
    "message/send",
    "tasks/get",
    "tasks/cancel",
];

pub(super) fn is_method(body: &Value) -> bool {
    body["method"]
        .as_str()
        .is_some_and(|method| METHODS.contains(&method))
}

pub(super) fn card() -> Reply {
    plain(
        200,
        &json!({
            "name": "fake-agent", "description": "An agent that is none", "version": "1",
            "protocolVersion": "0.3.0", "url": "http://127.0.0.1/", "skills": [],
            "capabilities": {}, "defaultInputModes": ["text"], "defaultOutputModes": ["text"],
            "supportedProtocols": ["jsonrpc"],
        }),
    )
}

pub(super) fn reply(ask: &Ask<'_>) -> Reply {
    let params = &ask.body["params"];
    let context = params["message"]["contextId"].as_str().unwrap_or_default();
    let script = Script::parse(context);
    let id = &ask.body["id"];
    let error = script.rpc_error.then(|| "-32001".to_owned());
    let answer = if error.is_some() {
        json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32001, "message": "no such task"}})
    } else {
        let part = json!({"kind": "text", "text": "done"});
        let task = json!({"kind": "task", "id": ask.id("task_"), "contextId": context,
            "status": {"state": "completed"}, "artifacts": [{"artifactId": "1", "parts": [part]}]});
        json!({"jsonrpc": "2.0", "id": id, "result": task})
    };
    let mut reply = plain(200, &answer);
    reply.facts = Facts {
        dialect: "a2a".to_owned(),
        asked: context.to_owned(),
        id: Some(ask.id("task_")).filter(|_| error.is_none()),
        rpc_method: ask.body["method"].as_str().map(str::to_owned),
        error,
        ..Facts::default()
    };
    reply.script = script;
    reply
}
