//! Errors as they stand on the wire, reduced to what may be kept.

use super::{CallError, ErrorSource};
use crate::json::Value;
use crate::message::End;

/// The parts of an error object. Its message is never read.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure {
    seen: bool,
    code: Option<String>,
    kind: Option<String>,
}

impl Failure {
    /// There is an error.
    pub(super) const fn note(&mut self) {
        self.seen = true;
    }

    /// Whether there is one.
    pub(super) const fn is_seen(&self) -> bool {
        self.seen
    }

    /// A value where the error stands: an object or a text is one, `null` is none.
    pub(super) const fn value(&mut self, value: &Value<'_>) {
        self.seen |= match value {
            Value::Object => true,
            Value::Text(text) => !text.is_empty(),
            _ => false,
        };
    }

    /// The error's code. Numbers repeat the status and say nothing.
    pub(super) fn code(&mut self, value: &Value<'_>) {
        if let Some(code) = value.whole().and_then(identifier)
            && code.bytes().any(|byte| !byte.is_ascii_digit())
        {
            self.code = Some(code.to_owned());
        }
    }

    /// The error's type.
    pub(super) fn kind(&mut self, value: &Value<'_>) {
        if let Some(kind) = value.whole().and_then(identifier) {
            self.kind = Some(kind.to_owned());
        }
    }

    /// Takes what `other` has and this has not.
    pub(super) fn or(&mut self, other: Self) {
        self.code = self.code.take().or(other.code);
        self.kind = self.kind.take().or(other.kind);
    }

    /// `error.type`: code, else type.
    pub(super) fn name(self) -> Option<String> {
        self.code.or(self.kind)
    }
}

/// Only what looks like an identifier is kept: a code or type with spaces or other letters may
/// be a message, which is content.
fn identifier(text: &str) -> Option<&str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte);
    let fits = !text.is_empty() && text.len() <= 128 && text.bytes().all(legal);
    (fits && !["None", "null", "error"].contains(&text)).then_some(text)
}

/// The error that an exchange's end is, if it is one.
pub(super) fn of_end(end: End) -> Option<CallError> {
    let kind = match end {
        End::ClientGone => "client_gone",
        End::ServerGone => "server_gone",
        End::ProcessGone => "process_gone",
        End::Complete | End::Upgraded | End::Lost => return None,
    };
    Some(error(kind, ErrorSource::Gone))
}

/// The error that an HTTP status is, if it is one.
pub(super) fn of_status(status: Option<u16>) -> Option<CallError> {
    let status = status.filter(|status| *status >= 400)?;
    Some(error(&status.to_string(), ErrorSource::Status))
}

/// An error without a JSON-RPC code.
pub(super) fn error(kind: &str, source: ErrorSource) -> CallError {
    CallError {
        kind: kind.to_owned(),
        source,
        rpc_code: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Text;

    fn named(code: Value<'_>, kind: &str) -> Option<String> {
        let mut failure = Failure::default();
        failure.code(&code);
        failure.kind(&text(kind));
        failure.name()
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(Text { text, cut: false })
    }

    #[test]
    fn a_code_counts_before_a_type_and_a_number_not_at_all() {
        assert_eq!(
            named(text("invalid_api_key"), "t").as_deref(),
            Some("invalid_api_key")
        );
        assert_eq!(
            named(Value::Number("429"), "overloaded").as_deref(),
            Some("overloaded")
        );
        assert_eq!(
            named(text("429"), "overloaded").as_deref(),
            Some("overloaded")
        );
        assert_eq!(named(Value::Null, "None"), None);
    }

    #[test]
    fn what_may_be_a_message_is_not_kept() {
        assert_eq!(named(text("key sk-1 is wrong"), &"x".repeat(129)), None);
        assert_eq!(named(text("geheim\u{e4}"), "a\nb"), None);
    }
}
