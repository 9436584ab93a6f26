//! Errors of every kind, and what is none.

use super::{Script, sse};
use crate::call::ErrorSource;
use crate::message::End;

const REQUEST: &str = r#"{"model":"m","messages":[],"stream":true}"#;

fn chat() -> Script {
    Script::post("/v1/chat/completions", REQUEST)
}

fn refused(status: u16, body: &str) -> (String, ErrorSource) {
    let call = chat().status(status).json(body).call();
    assert!(call.inference().finish_reasons.is_empty());
    assert!(!format!("{call:?}").contains("secret"));
    let error = call.error.unwrap();
    (error.kind, error.source)
}

#[test]
fn error_bodies_give_a_code_a_type_or_the_status() {
    let body = |kind: &str| (kind.to_owned(), ErrorSource::Body);
    let status = |kind: &str| (kind.to_owned(), ErrorSource::Status);
    assert_eq!(
        refused(
            401,
            r#"{"error":{"message":"secret","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#
        ),
        body("invalid_api_key")
    );
    assert_eq!(
        refused(
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"secret"}}"#
        ),
        body("rate_limit_error")
    );
    assert_eq!(
        refused(
            400,
            r#"{"error":{"message":"secret","type":"BadRequestError","param":null,"code":400}}"#
        ),
        body("BadRequestError")
    );
    // LiteLLM.
    assert_eq!(
        refused(
            400,
            r#"{"error":{"message":"secret","type":"None","param":"None","code":"400"}}"#
        ),
        status("400")
    );
    // vLLM before 0.10.
    assert_eq!(
        refused(
            404,
            r#"{"object":"error","message":"secret","type":"NotFoundError","code":404}"#
        ),
        body("NotFoundError")
    );
    assert_eq!(refused(500, r#"{"error":"secret"}"#), status("500"));
    assert_eq!(refused(503, r#"{"detail":"secret"}"#), status("503"));
    assert_eq!(refused(502, ""), status("502"));
}

#[test]
fn an_error_page_is_an_error() {
    let call = chat()
        .status(502)
        .answer("text/html", "<html>secret</html>")
        .call();
    assert_eq!(call.error_kind(), Some("502"));
}

const CHUNK: &str = r#"{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;
const LAST: &str =
    r#"{"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#;

#[test]
fn an_error_in_a_stream_that_began_well_is_an_error() {
    let error = r#"{"error":{"message":"secret","type":"server_error","code":null}}"#;
    let call = chat().sse(&sse(&[CHUNK, error, "[DONE]"])).call();
    assert_eq!(call.error_kind(), Some("server_error"));
    assert_eq!(
        call.error.as_ref().map(|e| e.source),
        Some(ErrorSource::Stream)
    );
    assert_eq!(call.inference().finish_reasons, ["error"]);
    let named = format!("data: {CHUNK}\n\nevent: error\ndata: {{\"reason\":1}}\n\n");
    assert_eq!(chat().sse(&named).call().error_kind(), Some("_OTHER"));
    let responses = Script::post(
        "/v1/responses",
        r#"{"model":"m","input":"x","stream":true}"#,
    );
    let flat = r#"{"type":"error","code":"rate_limit_exceeded","message":"secret","param":null}"#;
    assert_eq!(
        responses.clone().sse(&sse(&[flat])).call().error_kind(),
        Some("rate_limit_exceeded")
    );
    let failed = r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"secret"}}}"#;
    let call = responses.sse(&sse(&[failed])).call();
    assert_eq!(call.error_kind(), Some("server_error"));
    assert_eq!(call.inference().finish_reasons, ["error"]);
}

#[test]
fn who_goes_away_in_mid_stream_is_named() {
    let cut = |end: End| chat().sse(&sse(&[CHUNK])).ends(end).call();
    let call = cut(End::ServerGone);
    assert_eq!(call.error_kind(), Some("server_gone"));
    assert_eq!(call.ended, End::ServerGone);
    assert_eq!(call.inference().finish_reasons, ["error"]);
    assert_eq!(cut(End::ClientGone).error_kind(), Some("client_gone"));
    assert_eq!(cut(End::ProcessGone).error_kind(), Some("process_gone"));
    assert_eq!(
        cut(End::Lost).error,
        None,
        "what is lost in the capture is no error"
    );
    let nothing = chat().sse("").ends(End::ServerGone).call();
    assert_eq!(nothing.inference().finish_reasons, ["error"]);
}

#[test]
fn who_goes_away_after_the_end_mark_does_no_harm() {
    let call = chat()
        .sse(&sse(&[CHUNK, LAST, "[DONE]"]))
        .ends(End::ClientGone)
        .call();
    assert_eq!((call.error, call.ended), (None, End::Complete));
}

#[test]
fn a_stream_without_its_end_is_an_error_and_length_is_none() {
    let call = chat().sse(&sse(&[CHUNK])).call();
    assert_eq!(call.error_kind(), Some("stream_incomplete"));
    assert_eq!(call.inference().finish_reasons, ["error"]);
    let call = chat().sse(&sse(&[CHUNK, LAST])).call();
    assert_eq!(call.error, None);
    assert_eq!(call.inference().finish_reasons, ["length"]);
}

#[test]
fn an_end_mark_without_its_blank_line_is_one() {
    let stream = format!("{}data: [DONE]", sse(&[CHUNK, LAST]));
    let call = chat().sse(&stream).call();
    assert_eq!((call.error, call.timing.chunks), (None, 2));
}
