//! From what was collected to what the conventions want.

use super::Rules;
use super::request::Request;
use super::response::Response;
use crate::call::failure::{self, error};
use crate::call::{CallError, ErrorSource, Format, Inference, Usage};
use crate::message::End;

/// How the exchange around an answer went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    pub(super) ended: End,
    pub(super) stream: bool,
    /// Bytes of the answer are missing in the capture: what was not seen may have been there.
    pub(super) holes: bool,
}

/// Usage by the conventions: `input` with cached tokens, `output` with reasoning.
pub(super) fn usage(rules: &Rules, response: &Response) -> Usage {
    let mut usage = response.usage;
    if rules.cache_is_extra
        && let Some(input) = &mut usage.input
    {
        let extra = [usage.cache_read, usage.cache_write];
        *input = extra
            .iter()
            .flatten()
            .fold(*input, |sum, n| sum.saturating_add(*n));
    }
    let timed = response.timed;
    if usage.input.is_none() {
        let cached = timed.cached.unwrap_or(0);
        usage.input = timed.input.map(|input| input.saturating_add(cached));
    }
    usage.output = usage.output.or(timed.output);
    usage.cache_read = usage.cache_read.or(timed.cached);
    usage
}

/// One reason for each choice; `error` where it should have come and did not.
pub(super) fn reasons(response: &Response, outcome: Outcome) -> Vec<String> {
    if response.format == Format::OpenAiResponses {
        return reason_of_status(response, outcome).into_iter().collect();
    }
    let cut = is_cut(response, outcome);
    if cut && response.choices.is_empty() {
        return vec!["error".to_owned()];
    }
    let given = response.choices.iter().any(Option::is_some);
    // Embeddings have none, and behind a hole there may have been one.
    if !cut && (!given || outcome.holes) {
        return response.choices.iter().flatten().cloned().collect();
    }
    let missing = || "error".to_owned();
    let reason = |choice: &Option<String>| choice.clone().unwrap_or_else(missing);
    response.choices.iter().map(reason).collect()
}

/// The Responses API has a status instead.
fn reason_of_status(response: &Response, outcome: Outcome) -> Option<String> {
    let reason = match response.status.as_deref() {
        Some("completed") if response.tools.is_empty() => "stop",
        Some("completed") => "tool_calls",
        Some("incomplete") => match response.incomplete.as_deref() {
            Some("max_output_tokens") => "length",
            Some(reason) => reason,
            None => "incomplete",
        },
        Some("failed") => "error",
        _ if is_cut(response, outcome) => "error",
        _ => return None,
    };
    Some(reason.to_owned())
}

/// Whether the answer began well and broke off.
fn is_cut(response: &Response, outcome: Outcome) -> bool {
    let began = outcome.status.is_some_and(|status| status < 400);
    if !began {
        return false;
    }
    // A stream may go on to its end mark after an error.
    if outcome.stream && response.failure.is_seen() {
        return true;
    }
    let gone = failure::of_end(outcome.ended).is_some();
    !response.terminal && (gone || lacks_end(response, outcome))
}

/// Whether a stream ended by the book, but without its end mark and without a finish reason.
fn lacks_end(response: &Response, outcome: Outcome) -> bool {
    let finished = !response.choices.is_empty() && response.choices.iter().all(Option::is_some);
    outcome.stream
        && outcome.ended == End::Complete
        && !outcome.holes
        && !response.terminal
        && !finished
}

/// What went wrong.
pub(super) fn failure(response: &mut Response, outcome: Outcome) -> Option<CallError> {
    let lacks_end = outcome.status.is_some_and(|s| s < 400) && lacks_end(response, outcome);
    let seen = response.failure.is_seen();
    let name = std::mem::take(&mut response.failure).name();
    if let Some(by_status) = failure::of_status(outcome.status) {
        return Some(match name {
            Some(name) => error(&name, ErrorSource::Body),
            None => by_status,
        });
    }
    let source = if outcome.stream {
        ErrorSource::Stream
    } else {
        ErrorSource::Body
    };
    if seen || response.status.as_deref() == Some("failed") {
        return Some(error(name.as_deref().unwrap_or("_OTHER"), source));
    }
    if response.terminal {
        return None;
    }
    failure::of_end(outcome.ended)
        .or_else(|| lacks_end.then(|| error("stream_incomplete", ErrorSource::Stream)))
}

/// The whole of it.
pub(super) fn inference(
    rules: &Rules,
    provider: &'static str,
    request: &mut Request,
    response: &mut Response,
    finish_reasons: Vec<String>,
) -> Inference {
    let loads = |reason: &String| reason == "load" || reason == "unload";
    Inference {
        operation: rules.operation,
        format: response.format,
        provider,
        request_model: request.model.take(),
        response_model: response.model.take(),
        response_id: response.id.take(),
        params: std::mem::take(&mut request.params),
        usage: usage(rules, response),
        no_inference: response.format == Format::Ollama && finish_reasons.iter().any(loads),
        finish_reasons,
        tool_calls: std::mem::take(&mut response.tools).into_calls(),
        answered_tool_calls: std::mem::take(&mut request.answered),
        response_service_tier: response.tier.take(),
        system_fingerprint: response.fingerprint.take(),
    }
}
