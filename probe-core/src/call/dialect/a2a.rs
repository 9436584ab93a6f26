//! A2A, agent to agent: JSON-RPC with the methods of 1.0, 0.3 and before, and of KAOS; and the
//! paths of REST.

use std::sync::LazyLock;

use super::super::failure::error;
use super::super::json_text::push_string;
use super::super::reading::{Head, Reading};
use super::super::rpc::{ENVELOPE, Evidence, Field, Message, Part, Protocol, Row, RpcReading};
use super::super::{AgentCall, CallError, CallKind, Content, ErrorSource};
use crate::json::{Schema, Take};

const REQUEST: &[Row] = &[
    ("params id", Field::TaskId, Take::Value),
    ("params taskId", Field::TaskId, Take::Value),
    ("params contextId", Field::ContextId, Take::Value),
    ("params sessionId", Field::ContextId, Take::Value),
    ("params message taskId", Field::TaskId, Take::Value),
    ("params message contextId", Field::ContextId, Take::Value),
    (
        "params message parts [] text",
        Field::InputText,
        Take::Content,
    ),
];

const RESULT: &[Row] = &[
    ("result id", Field::TaskId, Take::Value),
    ("result taskId", Field::TaskId, Take::Value),
    ("result contextId", Field::ContextId, Take::Value),
    ("result sessionId", Field::ContextId, Take::Value),
    ("result status state", Field::State, Take::Value),
    ("result final", Field::Final, Take::Value),
    ("result parts [] text", Field::OutputText, Take::Content),
    (
        "result artifacts [] parts [] text",
        Field::OutputText,
        Take::Content,
    ),
    (
        "result status message parts [] text",
        Field::OutputText,
        Take::Content,
    ),
    ("result task id", Field::TaskId, Take::Value),
    ("result task contextId", Field::ContextId, Take::Value),
    ("result task status state", Field::State, Take::Value),
    (
        "result task artifacts [] parts [] text",
        Field::OutputText,
        Take::Content,
    ),
    ("result message taskId", Field::TaskId, Take::Value),
    ("result message contextId", Field::ContextId, Take::Value),
    (
        "result message parts [] text",
        Field::OutputText,
        Take::Content,
    ),
    ("result statusUpdate taskId", Field::TaskId, Take::Value),
    (
        "result statusUpdate contextId",
        Field::ContextId,
        Take::Value,
    ),
    (
        "result statusUpdate status state",
        Field::State,
        Take::Value,
    ),
    ("result statusUpdate final", Field::Final, Take::Value),
    ("result artifactUpdate taskId", Field::TaskId, Take::Value),
    (
        "result artifactUpdate contextId",
        Field::ContextId,
        Take::Value,
    ),
];

/// Bodies of REST: a request's message, and an answer without an envelope.
const REST: &[Row] = &[
    ("", Field::Message, Take::Probe),
    ("id", Field::TaskId, Take::Value),
    ("contextId", Field::ContextId, Take::Value),
    ("status state", Field::State, Take::Value),
    ("message parts", Field::Parts, Take::Probe),
    ("message content", Field::Parts, Take::Probe),
    ("message taskId", Field::TaskId, Take::Value),
    ("message contextId", Field::ContextId, Take::Value),
    ("message parts [] text", Field::InputText, Take::Content),
    ("task id", Field::TaskId, Take::Value),
    ("task contextId", Field::ContextId, Take::Value),
    ("task status state", Field::State, Take::Value),
    (
        "task artifacts [] parts [] text",
        Field::OutputText,
        Take::Content,
    ),
    ("statusUpdate taskId", Field::TaskId, Take::Value),
    ("statusUpdate contextId", Field::ContextId, Take::Value),
    ("statusUpdate status state", Field::State, Take::Value),
    ("statusUpdate final", Field::Final, Take::Value),
    ("artifactUpdate taskId", Field::TaskId, Take::Value),
    ("artifactUpdate contextId", Field::ContextId, Take::Value),
];

/// Methods of 1.0, of 0.3, of versions before, and of KAOS.
const METHODS: &[&str] = &[
    "SendMessage",
    "SendStreamingMessage",
    "GetTask",
    "ListTasks",
    "CancelTask",
    "SubscribeToTask",
    "GetExtendedAgentCard",
    "CreateTaskPushNotificationConfig",
    "SetTaskPushNotificationConfig",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
    "message/send",
    "message/stream",
    "tasks/get",
    "tasks/list",
    "tasks/cancel",
    "tasks/resubscribe",
    "tasks/send",
    "tasks/sendSubscribe",
    "tasks/pushNotification/get",
    "tasks/pushNotification/set",
    "tasks/pushNotificationConfig/delete",
    "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/set",
    "agent/authenticatedExtendedCard",
    "agent/getAuthenticatedExtendedCard",
];

/// Methods whose answer is a row of messages.
const STREAMS: &[&str] = &[
    "SendStreamingMessage",
    "SubscribeToTask",
    "message/stream",
    "tasks/resubscribe",
    "tasks/sendSubscribe",
];

static RPC: LazyLock<Protocol> = LazyLock::new(|| {
    protocol(
        Schema::batched(&[ENVELOPE, REQUEST, RESULT].concat()),
        is_method,
    )
});
static REST_PROTOCOL: LazyLock<Protocol> =
    LazyLock::new(|| protocol(Schema::new(REST), |message, _| message.has_parts));

fn protocol(schema: Schema<Field>, recognises: fn(&Message, &Evidence) -> bool) -> Protocol {
    Protocol {
        schema,
        recognises,
        streams: |method| STREAMS.contains(&method),
        reverses: false,
        kind,
        content,
        fails,
    }
}

/// JSON that is posted, or one of the paths of REST.
pub(super) fn open(head: &Head<'_>) -> Option<Box<dyn Reading>> {
    let evidence = Evidence::of(head);
    if let Some((method, by_body)) = rest_method(head) {
        let evidence = Evidence {
            method: Some(method.to_owned()),
            rest: true,
            ..evidence
        };
        return Some(Box::new(if by_body {
            RpcReading::new(&REST_PROTOCOL, evidence, head)
        } else {
            RpcReading::sure(&REST_PROTOCOL, evidence, head)
        }));
    }
    if head.method != "POST" || !head.has_json_body() || evidence.mcp {
        return None;
    }
    Some(Box::new(RpcReading::new(&RPC, evidence, head)))
}

/// The method that a path of REST stands for, and whether the body has to bear it out.
fn rest_method(head: &Head<'_>) -> Option<(&'static str, bool)> {
    let (_, last) = head.path.rsplit_once('/')?;
    let of_task = || head.path.contains("/tasks/");
    let declared = || {
        let accept = head.headers.get("accept").unwrap_or_default();
        head.has("a2a-version") || accept.contains("application/a2a+json")
    };
    let verb = last.split_once(':').map(|(_, verb)| verb);
    match (head.method, verb) {
        ("POST", Some("send")) if last == "message:send" => Some(("SendMessage", true)),
        ("POST", Some("stream")) if last == "message:stream" => {
            Some(("SendStreamingMessage", true))
        }
        ("POST", Some("cancel")) if of_task() && declared() => Some(("CancelTask", false)),
        ("GET" | "POST", Some("subscribe")) if of_task() && declared() => {
            Some(("SubscribeToTask", false))
        }
        ("GET", None) if of_task() && declared() => Some(("GetTask", false)),
        ("GET", None) if last == "tasks" && declared() => Some(("ListTasks", false)),
        _ => None,
    }
}

/// MCP has tasks too, and says by its fields that it is MCP.
fn is_method(message: &Message, evidence: &Evidence) -> bool {
    let known = |method: &str| METHODS.contains(&method);
    !evidence.mcp && message.is_rpc && message.method.as_deref().is_some_and(known)
}

fn kind(part: &mut Part, _evidence: &Evidence) -> CallKind {
    let (request, answer) = (&mut part.request, &mut part.answer);
    CallKind::Agent(Box::new(AgentCall {
        method: request.method.take().unwrap_or_default(),
        request_id: request.id.take(),
        task_id: answer.task_id.take().or(request.task_id.take()),
        task_state: answer.state.take(),
        context_id: answer.context_id.take().or(request.context_id.take()),
    }))
}

fn content(part: &mut Part) -> Content {
    let messages = |role: &str, texts: &[String]| {
        if texts.is_empty() {
            return None;
        }
        let mut json = format!("[{{\"role\":\"{role}\",\"parts\":[");
        for (index, text) in texts.iter().enumerate() {
            json.push_str(if index > 0 { "," } else { "" });
            json.push_str("{\"type\":\"text\",\"content\":");
            push_string(&mut json, text);
            json.push('}');
        }
        json.push_str("]}]");
        Some(json)
    };
    Content {
        input_messages: messages("user", &part.request.input),
        output_messages: messages("assistant", &part.answer.output),
        truncated: part.request.truncated || part.answer.truncated,
        ..Content::default()
    }
}

/// A task that failed fails the call that was to do it, not one that asks after it.
fn fails(part: &Part) -> Option<CallError> {
    let method = part.request.method.as_deref().unwrap_or_default();
    let does = [
        "SendMessage",
        "SendStreamingMessage",
        "message/send",
        "message/stream",
    ];
    let state = part.answer.state.as_deref()?.to_ascii_lowercase();
    let state = state.strip_prefix("task_state_").unwrap_or(&state);
    let failed = state == "failed" || state == "rejected";
    let does = does.contains(&method) || method.starts_with("tasks/send");
    (failed && does).then(|| error(state, ErrorSource::Task))
}
