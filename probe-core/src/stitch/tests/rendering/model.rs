//! What a model call says of itself.

use super::*;

#[test]
fn a_chat_has_the_attributes_of_the_conventions() {
    let call = model(|i| {
        i.params.max_tokens = Some(64);
        i.params.temperature = Some(0.5);
        i.params.top_k = Some(40.0);
        i.params.choice_count = Some(1);
        i.params.service_tier = Some("auto".to_owned());
        i.params.tools = 2;
        i.usage.cache_write = Some(3);
        i.tool_calls = vec![ToolCall {
            id: Some("call_1".to_owned()),
            name: "get_weather".to_owned(),
        }];
    });
    let span = span(&call);
    assert_eq!(
        (span.name.as_str(), span.kind),
        ("chat tiny", SpanKind::Client)
    );
    assert_eq!(span.error, None);
    assert!(span.events.is_empty());
    for (name, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "tiny"),
        ("gen_ai.response.model", "tiny-1"),
        ("gen_ai.response.id", "chatcmpl-1"),
        ("openai.api.type", "chat_completions"),
        ("http.request.method", "POST"),
        ("url.full", "http://localhost:1000/v1/chat/completions"),
        ("server.address", "localhost"),
        ("network.peer.address", "10.0.0.2"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(text(&span, name), Some(expected), "{name}");
    }
    for (name, expected) in [
        ("gen_ai.usage.input_tokens", Value::Int(11)),
        ("gen_ai.usage.output_tokens", Value::Int(7)),
        ("gen_ai.usage.cache_creation.input_tokens", Value::Int(3)),
        ("gen_ai.request.max_tokens", Value::Int(64)),
        ("gen_ai.request.temperature", Value::Float(0.5)),
        ("gen_ai.request.top_k", Value::Float(40.0)),
        ("http.response.status_code", Value::Int(200)),
        ("server.port", Value::Int(1000)),
        ("telemetry.kaos.request.tools", Value::Int(2)),
        ("telemetry.kaos.counts", Value::Bool(true)),
    ] {
        assert_eq!(attribute(&span, name), Some(&expected), "{name}");
    }
    assert_eq!(strings(&span, "gen_ai.response.finish_reasons"), ["stop"]);
    assert_eq!(
        strings(&span, "telemetry.kaos.response.tool_calls"),
        ["get_weather"]
    );
    assert_eq!(
        strings(&span, "telemetry.kaos.response.tool_call_ids"),
        ["call_1"]
    );
    for absent in [
        "gen_ai.request.stream",
        "gen_ai.request.choice.count",
        "openai.request.service_tier",
        "gen_ai.conversation.id",
        "gen_ai.system",
        "url.path",
        "user_agent.original",
        "client.address",
        "error.type",
        "gen_ai.response.time_to_first_chunk",
    ] {
        assert_eq!(attribute(&span, absent), None, "{absent}");
    }
}

#[test]
fn a_stream_tells_its_times() {
    let mut call = model(|i| i.params.stream = true);
    call.timing = Timing {
        stream: true,
        first_chunk: Some(15 * MS),
        first_token: Some(20 * MS),
        chunks: 9,
        ..Timing::default()
    };
    let span = span(&call);
    let seconds = |name| match attribute(&span, name) {
        Some(Value::Float(seconds)) => (*seconds * 1e6).round() / 1e6,
        other => panic!("{name}: {other:?}"),
    };
    assert!((seconds("gen_ai.response.time_to_first_chunk") - 0.005).abs() < 1e-9);
    assert!((seconds("telemetry.kaos.time_to_first_token") - 0.010).abs() < 1e-9);
    assert_eq!(
        attribute(&span, "gen_ai.request.stream"),
        Some(&Value::Bool(true))
    );
    assert_eq!(
        attribute(&span, "telemetry.kaos.stream.chunks"),
        Some(&Value::Int(9))
    );
}

#[test]
fn embeddings_have_their_own_parameters() {
    let call = model(|i| {
        i.operation = crate::call::Operation::Embeddings;
        i.format = Format::OpenAiEmbeddings;
        i.params.encoding_format = Some("base64".to_owned());
        i.params.dimensions = Some(256);
        i.request_model = None;
    });
    let span = span(&call);
    assert_eq!(span.name, "embeddings");
    assert_eq!(
        strings(&span, "gen_ai.request.encoding_formats"),
        ["base64"]
    );
    let dimensions = attribute(&span, "gen_ai.embeddings.dimension.count");
    assert_eq!(dimensions, Some(&Value::Int(256)));
}

#[test]
fn content_is_there_only_when_the_call_has_it() {
    const SECRET: &str = "the secret";
    let mut call = model(|_| {});
    assert!(!format!("{:?}", span(&call)).contains("messages"));
    call.content = Some(Box::new(Content {
        input_messages: Some(SECRET.to_owned()),
        truncated: true,
        ..Content::default()
    }));
    let span = span(&call);
    assert_eq!(text(&span, "gen_ai.input.messages"), Some(SECRET));
    let cut = attribute(&span, "telemetry.kaos.content.truncated");
    assert_eq!(cut, Some(&Value::Bool(true)));
}

#[test]
fn truncation_is_an_error_by_choice() {
    let call = model(|i| i.finish_reasons = vec!["max_tokens".to_owned()]);
    let mut w = World::with(crate::stitch::Config {
        truncation_is_error: false,
        ..crate::stitch::Config::default()
    });
    w.run(&call);
    assert_eq!(w.client(1).error, None);
    assert!(span(&call).error.is_some());
}

#[test]
fn choices_and_tiers_are_written_where_they_say_something() {
    let call = model(|i| {
        i.params.choice_count = Some(3);
        i.params.service_tier = Some("flex".to_owned());
        i.response_service_tier = Some("default".to_owned());
    });
    let span = span(&call);
    assert_eq!(
        attribute(&span, "gen_ai.request.choice.count"),
        Some(&Value::Int(3))
    );
    assert_eq!(text(&span, "openai.request.service_tier"), Some("flex"));
    assert_eq!(text(&span, "openai.response.service_tier"), Some("default"));
}

#[test]
fn what_the_capture_missed_is_marked() {
    let mut call = chat(0, 1, Role::Client, 10, 40);
    call.capture.missed_bytes = 100;
    call.capture.undecodable = true;
    call.capture.limited = true;
    call.ended = End::Lost;
    let marked = span(&call);
    let missed = attribute(&marked, "telemetry.kaos.capture.missed_bytes");
    assert_eq!(missed, Some(&Value::Int(100)));
    let clean = span(&chat(0, 1, Role::Client, 10, 40));
    for mark in ["undecodable", "limited", "lost_end"] {
        let name = format!("telemetry.kaos.capture.{mark}");
        assert_eq!(
            attribute(&marked, &name),
            Some(&Value::Bool(true)),
            "{name}"
        );
        assert_eq!(attribute(&clean, &name), None, "{name}");
    }
}
