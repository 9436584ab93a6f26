//! A request and what its answers say.

use super::Message;
use crate::call::failure::error;
use crate::call::{CallError, ErrorSource};
use crate::trace_context::TraceContext;

/// A request or notification, with what was seen of its answer.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Part {
    /// The request.
    pub(in crate::call) request: Message,
    /// What the answers say; the last of each counts.
    pub(in crate::call) answer: Message,
    /// It went from the HTTP server to the HTTP client.
    pub(in crate::call) reversed: bool,
    /// It was reported.
    pub(super) finished: bool,
}

impl Part {
    pub(super) fn new(request: Message) -> Self {
        Self {
            request,
            ..Self::default()
        }
    }

    /// Takes an answer, of which a stream brings several.
    pub(super) fn answered(&mut self, message: Message) {
        let last = &mut self.answer;
        last.has_result |= message.has_result;
        last.has_error |= message.has_error;
        last.is_error |= message.is_error;
        last.is_final |= message.is_final;
        last.limited |= message.limited;
        last.truncated |= message.truncated;
        last.error_code = message.error_code.or(last.error_code);
        for (slot, new) in [
            (&mut last.protocol_version, message.protocol_version),
            (&mut last.task_id, message.task_id),
            (&mut last.context_id, message.context_id),
            (&mut last.state, message.state),
            (&mut last.result, message.result),
        ] {
            if new.is_some() {
                *slot = new;
            }
        }
        if !message.output.is_empty() {
            last.output = message.output;
        }
    }

    /// The trace context inside the request.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        let parent = self.request.trace_parent.as_deref()?;
        TraceContext::parse(parent, self.request.trace_state.as_deref())
    }

    /// JSON-RPC's own error.
    pub(super) fn rpc_error(&self) -> Option<CallError> {
        if !self.answer.has_error {
            return None;
        }
        let code = self.answer.error_code;
        let kind = code.map_or_else(|| "_OTHER".to_owned(), |code| code.to_string());
        Some(CallError {
            rpc_code: code,
            ..error(&kind, ErrorSource::JsonRpc)
        })
    }
}
