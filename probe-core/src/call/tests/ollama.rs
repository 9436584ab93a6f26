//! Ollama's own API, and who else answers its paths.

use super::{Script, sse};
use crate::call::{Format, Operation};

const CHAT: &str = r#"{"model":"tiny","messages":[{"role":"user","content":"secret"}],"options":{"num_predict":9,"temperature":0,"top_k":3,"stop":["x"]},"format":{"type":"object"},"think":true}"#;

#[test]
fn a_chat_stream_is_read() {
    let call = Script::post("/api/chat", CHAT)
        .answer("application/x-ndjson", concat!(
            "{\"model\":\"tiny\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"secret\"},\"done\":false}\n",
            "{\"model\":\"tiny\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"get_weather\",\"arguments\":{\"city\":\"secret\"}}}]},\"done\":false}\n",
            "{\"model\":\"tiny\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":5,\"prompt_eval_count\":26,\"eval_count\":7}\n",
        ))
        .call();
    let inference = call.inference();
    assert_eq!(inference.format, Format::Ollama);
    assert_eq!(inference.provider, "ollama");
    assert_eq!(inference.finish_reasons, ["stop"]);
    assert_eq!(inference.tool_calls.len(), 1);
    assert_eq!(
        (inference.usage.input, inference.usage.output),
        (Some(26), Some(7))
    );
    assert_eq!(inference.params.max_tokens, Some(9));
    assert_eq!(inference.params.top_k, Some(3.0));
    assert_eq!(inference.params.output_type, Some("json"));
    assert!(inference.params.stream, "which is the default");
    assert_eq!(call.timing.chunks, 3);
    assert!(call.timing.first_token.is_some());
    assert_eq!(call.error, None);
    assert!(!format!("{call:?}").contains("secret"));
}

#[test]
fn a_plain_generate_answer_is_read() {
    let call = Script::post("/api/generate", r#"{"model":"tiny","prompt":"secret","stream":false}"#)
        .answer("application/json; charset=utf-8", r#"{"model":"tiny","response":"secret","done":true,"done_reason":"length","context":[1,2],"prompt_eval_count":2,"eval_count":3}"#)
        .call();
    let inference = call.inference();
    assert_eq!(inference.operation, Operation::TextCompletion);
    assert_eq!(inference.finish_reasons, ["length"]);
    assert!(!inference.params.stream && !call.timing.stream && !inference.no_inference);
}

#[test]
fn a_load_is_no_inference() {
    let call = Script::post("/api/generate", r#"{"model":"tiny","prompt":""}"#)
        .json(r#"{"model":"tiny","response":"","done":true,"done_reason":"load"}"#)
        .call();
    assert!(call.inference().no_inference);
    assert_eq!(call.inference().usage.input, None);
}

#[test]
fn embeddings_are_read() {
    let call = Script::post("/api/embed", r#"{"model":"tiny","input":["secret"]}"#)
        .json(r#"{"model":"tiny","embeddings":[[0.1]],"total_duration":1,"prompt_eval_count":4}"#)
        .call();
    assert_eq!(call.inference().operation, Operation::Embeddings);
    assert_eq!(call.inference().usage.input, Some(4));
    let call = Script::post("/api/embeddings", r#"{"model":"tiny","prompt":"secret"}"#)
        .json(r#"{"embedding":[0.1]}"#)
        .call();
    assert_eq!(call.inference().format, Format::Ollama);
    let call = Script::post("/api/embeddings", r#"{"model":"tiny","input":"secret"}"#)
        .json(r#"{"data":[],"usage":{"prompt_tokens":1}}"#)
        .call();
    assert_eq!(call.inference().format, Format::OpenAiEmbeddings);
}

#[test]
fn llama_cpp_answers_the_chat_path_in_openai_form() {
    let chunk = r#"{"choices":[{"finish_reason":"stop","index":0,"delta":{"content":"a"}}],"model":"tiny","id":"c","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let call = Script::post("/api/chat", CHAT)
        .sse(&sse(&[chunk, "[DONE]"]))
        .call();
    assert_eq!(call.inference().format, Format::OpenAiChat);
    assert_eq!(call.inference().finish_reasons, ["stop"]);
    assert_eq!(call.inference().usage.output, Some(2));
}

#[test]
fn an_error_line_in_a_stream_is_an_error() {
    let call = Script::post("/api/chat", CHAT)
        .answer("application/x-ndjson", "{\"model\":\"tiny\",\"message\":{\"content\":\"a\"},\"done\":false}\n{\"error\":\"secret text\"}\n")
        .call();
    assert_eq!(call.error_kind(), Some("_OTHER"));
    assert_eq!(call.inference().finish_reasons, ["error"]);
    assert!(!format!("{call:?}").contains("secret"));
}
