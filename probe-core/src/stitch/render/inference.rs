//! A model call's attributes: chat, text completion, embeddings.

use super::{View, conversation};
use crate::call::{Format, Inference, Operation, Params, Timing, Usage};
use crate::conventions::{Attributes, table};

/// `gen_ai.operation.name`.
pub(super) const fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::TextCompletion => "text_completion",
        Operation::Embeddings => "embeddings",
    }
}

/// Adds the attributes and gives the span's name.
pub(super) fn attributes(view: &View<'_>, i: &Inference, list: &mut Attributes<'_>) -> String {
    let operation = operation(i.operation);
    list.put(&table::OPERATION, operation);
    provider(i.provider, list);
    list.put_text(&table::REQUEST_MODEL, i.request_model.as_deref());
    list.put_text(&table::RESPONSE_MODEL, i.response_model.as_deref());
    params(&i.params, i.operation, list);
    answer(i, list);
    usage(&i.usage, list);
    streaming(view, &view.call.timing, list);
    conversation(conversation_id(view, i), list);
    if i.provider == "openai" {
        openai(i, list);
    }
    if i.no_inference {
        list.put(&table::NO_INFERENCE, true);
    }
    content(view, list);
    match &i.request_model {
        Some(model) => format!("{operation} {model}"),
        None => operation.to_owned(),
    }
}

/// The provider, and its old name where that is asked for.
pub(super) fn provider(name: &'static str, list: &mut Attributes<'_>) {
    list.put(&table::PROVIDER, name);
    let old = match name {
        "azure.ai.openai" => "az.ai.openai",
        "azure.ai.inference" => "az.ai.inference",
        "gcp.vertex_ai" => "vertex_ai",
        "gcp.gemini" => "gemini",
        other => other,
    };
    list.put(&table::LEGACY_SYSTEM, old);
}

/// The conversation that the request names, if any.
pub(super) fn conversation_id<'a>(view: &View<'a>, i: &'a Inference) -> Option<&'a str> {
    let in_body = i.params.conversation_id.as_deref();
    in_body.or(view.call.http.session_id.as_deref())
}

/// Request parameters.
pub(super) fn params(p: &Params, operation: Operation, list: &mut Attributes<'_>) {
    if p.stream {
        list.put(&table::STREAM, true);
    }
    list.put_some(&table::MAX_TOKENS, p.max_tokens);
    list.put_some(&table::TEMPERATURE, p.temperature);
    list.put_some(&table::TOP_P, p.top_p);
    list.put_some(&table::TOP_K, p.top_k);
    list.put_some(&table::TOP_K_INT, p.top_k.and_then(whole));
    list.put_some(&table::FREQUENCY_PENALTY, p.frequency_penalty);
    list.put_some(&table::PRESENCE_PENALTY, p.presence_penalty);
    list.put_some(&table::SEED, p.seed);
    list.put_some(&table::CHOICE_COUNT, p.choice_count.filter(|n| *n != 1));
    list.put_list(&table::STOP_SEQUENCES, &p.stop_sequences);
    list.put_some(&table::OUTPUT_TYPE, p.output_type);
    list.put_text(&table::REASONING_LEVEL, p.reasoning_level.as_deref());
    list.put_text(&table::PREVIOUS_RESPONSE, p.previous_response_id.as_deref());
    if operation == Operation::Embeddings {
        let format = p.encoding_format.clone();
        list.put_some(&table::ENCODING_FORMATS, format.map(|f| vec![f]));
        list.put_some(&table::DIMENSIONS, p.dimensions);
    }
    if p.tools > 0 {
        list.put(&table::REQUEST_TOOLS, i64::from(p.tools));
    }
}

fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    let whole = (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64);
    whole
}

fn answer(i: &Inference, list: &mut Attributes<'_>) {
    list.put_text(&table::RESPONSE_ID, i.response_id.as_deref());
    list.put_list(&table::FINISH_REASONS, &i.finish_reasons);
    let names: Vec<String> = i.tool_calls.iter().map(|t| t.name.clone()).collect();
    list.put_list(&table::TOOL_CALLS, &names);
    let ids: Vec<String> = i.tool_calls.iter().filter_map(|t| t.id.clone()).collect();
    list.put_list(&table::TOOL_CALL_IDS, &ids);
    list.put_list(&table::ANSWERED_TOOL_CALLS, &i.answered_tool_calls);
}

fn usage(u: &Usage, list: &mut Attributes<'_>) {
    list.put_count(&table::INPUT_TOKENS, u.input);
    list.put_count(&table::OUTPUT_TOKENS, u.output);
    list.put_count(&table::CACHE_READ_TOKENS, u.cache_read);
    list.put_count(&table::CACHE_WRITE_TOKENS, u.cache_write);
    list.put_count(&table::REASONING_TOKENS, u.reasoning);
    list.put_count(&table::LEGACY_PROMPT_TOKENS, u.input);
    list.put_count(&table::LEGACY_COMPLETION_TOKENS, u.output);
}

/// The times of a stream; a plain answer has none.
pub(super) fn streaming(view: &View<'_>, timing: &Timing, list: &mut Attributes<'_>) {
    if !timing.stream {
        return;
    }
    list.put(&table::STREAM, true);
    list.put_some(
        &table::TIME_TO_FIRST_CHUNK,
        view.seconds_to(timing.first_chunk),
    );
    list.put_some(
        &table::TIME_TO_FIRST_TOKEN,
        view.seconds_to(timing.first_token),
    );
    list.put_count(&table::CHUNKS, Some(timing.chunks));
}

/// What only the provider `openai` may carry by the conventions.
fn openai(i: &Inference, list: &mut Attributes<'_>) {
    match i.format {
        Format::OpenAiChat => list.put(&table::OPENAI_API, "chat_completions"),
        Format::OpenAiResponses => list.put(&table::OPENAI_API, "responses"),
        _ => {}
    }
    let asked = i.params.service_tier.as_deref().filter(|t| *t != "auto");
    list.put_text(&table::OPENAI_REQUEST_TIER, asked);
    list.put_text(&table::LEGACY_REQUEST_TIER, asked);
    let served = i.response_service_tier.as_deref();
    list.put_text(&table::OPENAI_RESPONSE_TIER, served);
    list.put_text(&table::LEGACY_RESPONSE_TIER, served);
    let fingerprint = i.system_fingerprint.as_deref();
    list.put_text(&table::OPENAI_FINGERPRINT, fingerprint);
    list.put_text(&table::LEGACY_FINGERPRINT, fingerprint);
    list.put_some(&table::LEGACY_SEED, i.params.seed);
}

/// Opted-in content, already capped.
pub(super) fn content(view: &View<'_>, list: &mut Attributes<'_>) {
    let Some(content) = &view.call.content else {
        return;
    };
    list.put_text(
        &table::SYSTEM_INSTRUCTIONS,
        content.system_instructions.as_deref(),
    );
    list.put_text(&table::INPUT_MESSAGES, content.input_messages.as_deref());
    list.put_text(&table::OUTPUT_MESSAGES, content.output_messages.as_deref());
    list.put_text(&table::TOOL_ARGUMENTS, content.tool_arguments.as_deref());
    list.put_text(&table::TOOL_RESULT, content.tool_result.as_deref());
    if content.truncated {
        list.put(&table::CONTENT_TRUNCATED, true);
    }
}
