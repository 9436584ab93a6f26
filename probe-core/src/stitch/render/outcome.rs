//! Whether a call failed, and by which name.

use super::View;
use crate::call::{CallKind, ErrorSource};
use crate::ids::Role;
use crate::message::End;

/// `error.type` of a client that went away before the answer was complete.
const CLIENT_GONE: &str = "client_disconnected";
/// `error.type` of a server that went away before its answer was complete.
const SERVER_GONE: &str = "server_disconnected";
/// `error.type` of a process that ended in the middle of a call.
const PROCESS_GONE: &str = "process_exited";
/// `error.type` of an answer that was cut because the model ran into the limit of tokens.
const LENGTH: &str = "length";

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    /// Well, as far as seen.
    Good,
    /// The answer refuses the request, which is no error of the server that says so: a server's
    /// span of a 4xx status keeps its status unset (HTTP conventions), but names the type.
    Refused(&'a str),
    /// Badly.
    Failed(&'a str),
}

impl<'a> Outcome<'a> {
    /// `error.type`.
    pub(super) const fn kind(&self) -> Option<&'a str> {
        match self {
            Self::Good => None,
            Self::Refused(kind) | Self::Failed(kind) => Some(kind),
        }
    }

    /// The span's status is ERROR.
    pub(super) const fn is_error(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// The outcome of a call.
pub(super) fn of<'a>(view: &View<'a>) -> Outcome<'a> {
    let call = view.call;
    // That one side went away has one name, whoever found it.
    let found = call.error.as_ref();
    if let Some(error) =
        found.filter(|e| e.source != ErrorSource::Gone || gone(call.ended).is_none())
    {
        let kind = if error.kind.is_empty() {
            "_OTHER"
        } else {
            &error.kind
        };
        let by_status = matches!(error.source, ErrorSource::Status | ErrorSource::Body);
        let refused = call.http.status.is_some_and(|s| (400..500).contains(&s));
        let speaks_http = !matches!(call.kind, CallKind::Mcp(_));
        if call.role == Role::Server && by_status && refused && speaks_http {
            return Outcome::Refused(kind);
        }
        return Outcome::Failed(kind);
    }
    match gone(call.ended) {
        Some(kind) => Outcome::Failed(kind),
        None => truncation(view),
    }
}

/// `error.type` of an exchange that one side left. A hole in the capture is a mark on the span;
/// it says nothing of the call.
const fn gone(ended: End) -> Option<&'static str> {
    match ended {
        End::ClientGone => Some(CLIENT_GONE),
        End::ServerGone => Some(SERVER_GONE),
        End::ProcessGone => Some(PROCESS_GONE),
        End::Complete | End::Upgraded | End::Lost => None,
    }
}

fn truncation<'a>(view: &View<'a>) -> Outcome<'a> {
    let CallKind::Inference(inference) = &view.call.kind else {
        return Outcome::Good;
    };
    let cut = inference.finish_reasons.iter().any(|reason| {
        matches!(
            reason.as_str(),
            "length"
                | "max_tokens"
                | "max_output_tokens"
                | "MAX_TOKENS"
                | "limit"
                | "model_context_window_exceeded"
        )
    });
    if cut && view.truncation_is_error && !view.invokes_agent() {
        Outcome::Failed(LENGTH)
    } else {
        Outcome::Good
    }
}
