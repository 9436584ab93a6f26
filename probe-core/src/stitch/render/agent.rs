//! Calls of agents: by A2A, or by a chat endpoint that an agent serves.

use super::{View, conversation, inference};
use crate::call::{AgentCall, Inference};
use crate::conventions::{Attributes, table};

const INVOKE: &str = "invoke_agent";

/// True for the A2A methods that ask an agent to work; the others look after tasks.
/// JSON-RPC methods of A2A 1.0, 0.3 and 0.2, and the REST verbs.
pub(super) fn invokes(method: &str) -> bool {
    matches!(
        method,
        "SendMessage"
            | "SendStreamingMessage"
            | "message/send"
            | "message/stream"
            | "message:send"
            | "message:stream"
            | "tasks/send"
            | "tasks/sendSubscribe"
    )
}

/// A chat endpoint that an agent serves: no model is asked, so no model and no tokens are
/// reported (agents report zeros, and what they do report their own model calls say again).
pub(super) fn chat(view: &View<'_>, i: &Inference, list: &mut Attributes<'_>) -> String {
    list.put(&table::OPERATION, INVOKE);
    inference::provider(i.provider, list);
    let name = invocation(view, list);
    inference::params(&i.params, i.operation, list);
    list.put_text(&table::RESPONSE_ID, i.response_id.as_deref());
    list.put_list(&table::FINISH_REASONS, &i.finish_reasons);
    inference::streaming(view, &view.call.timing, list);
    conversation(inference::conversation_id(view, i), list);
    inference::content(view, list);
    name
}

/// Adds the attributes of an A2A call and gives the span's name.
pub(super) fn attributes(view: &View<'_>, a: &AgentCall, list: &mut Attributes<'_>) -> String {
    let name = if invokes(&a.method) {
        list.put(&table::OPERATION, INVOKE);
        inference::provider("a2a", list);
        invocation(view, list)
    } else {
        list.put_text(&table::AGENT_NAME, view.agent);
        a.method.clone()
    };
    if a.request_id.is_some()
        || view
            .call
            .error
            .as_ref()
            .is_some_and(|e| e.rpc_code.is_some())
    {
        list.put(&table::RPC_SYSTEM, "jsonrpc");
    }
    list.put_text(&table::RPC_METHOD, Some(&a.method));
    list.put_text(&table::JSONRPC_ID, a.request_id.as_deref());
    if let Some(code) = view.call.error.as_ref().and_then(|e| e.rpc_code) {
        list.put(&table::RPC_STATUS, code.to_string());
    }
    list.put_text(&table::TASK_ID, a.task_id.as_deref());
    list.put_text(&table::KAOS_TASK, a.task_id.as_deref());
    list.put_text(&table::TASK_STATE, a.task_state.as_deref());
    list.put_text(&table::KAOS_TASK_STATE, a.task_state.as_deref());
    inference::streaming(view, &view.call.timing, list);
    let session = view.call.http.session_id.as_deref();
    conversation(a.context_id.as_deref().or(session), list);
    inference::content(view, list);
    name
}

/// The agent's name under its names, and the span's name with it.
fn invocation(view: &View<'_>, list: &mut Attributes<'_>) -> String {
    list.put_text(&table::AGENT_NAME, view.agent);
    if view.is_server() {
        list.put_text(&table::KAOS_AGENT, view.agent);
    } else {
        list.put_text(&table::KAOS_TARGET, view.agent);
    }
    match view.agent {
        Some(agent) => format!("{INVOKE} {agent}"),
        None => INVOKE.to_owned(),
    }
}
