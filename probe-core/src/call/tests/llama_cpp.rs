//! llama.cpp's own API.

use super::{Script, sse};
use crate::call::{Format, Operation};

#[test]
fn a_completion_stream_is_read() {
    let stream = sse(&[
        r#"{"index":0,"content":"secret","tokens":[5],"stop":false,"id_slot":0,"tokens_predicted":1,"tokens_evaluated":4}"#,
        r#"{"index":0,"content":"","tokens":[],"stop":true,"model":"tiny","tokens_predicted":8,"tokens_evaluated":4,"generation_settings":{"n_predict":8},"prompt":"secret","stop_type":"limit","stopping_word":"","tokens_cached":11,"timings":{"prompt_n":4,"cache_n":0,"predicted_n":8}}"#,
    ]);
    for path in ["/completion", "/completions"] {
        let call = Script::post(
            path,
            r#"{"prompt":"secret","n_predict":8,"stream":true,"stop":["a"]}"#,
        )
        .sse(&stream)
        .call();
        let inference = call.inference();
        assert_eq!(inference.format, Format::LlamaCpp);
        assert_eq!(inference.provider, "llama_cpp");
        assert_eq!(inference.operation, Operation::TextCompletion);
        assert_eq!(inference.finish_reasons, ["limit"]);
        assert_eq!(
            (inference.usage.input, inference.usage.output),
            (Some(4), Some(8))
        );
        assert_eq!(inference.params.max_tokens, Some(8));
        assert_eq!(call.error, None);
        assert!(!format!("{call:?}").contains("secret"));
    }
}

#[test]
fn infill_is_read() {
    let call = Script::post("/infill", r#"{"input_prefix":"secret","input_suffix":"secret","prompt":""}"#)
        .json(r#"{"content":"secret","stop":true,"stop_type":"eos","model":"tiny","tokens_predicted":2,"tokens_evaluated":3}"#)
        .call();
    assert_eq!(call.inference().finish_reasons, ["eos"]);
    assert_eq!(call.inference().response_model.as_deref(), Some("tiny"));
}

#[test]
fn its_errors_name_a_type() {
    let call = Script::post("/completion", r#"{"prompt":"secret"}"#)
        .status(400)
        .json(r#"{"error":{"code":400,"message":"secret","type":"exceed_context_size_error"}}"#)
        .call();
    assert_eq!(call.error_kind(), Some("exceed_context_size_error"));
}
