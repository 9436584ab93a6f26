//! Names, kinds, statuses and attributes of single spans.

use super::world::*;
use crate::call::{Call, CallKind, Content, ErrorSource, Format, Timing, ToolCall};
use crate::conventions::{Conventions, Profile, TABLE};
use crate::ids::Role;
use crate::message::End;
use crate::span::{Span, SpanKind, Value};

/// The span of a single call under the default names.
fn span(call: &Call) -> Span {
    span_by(call, Conventions::default())
}

fn span_by(call: &Call, conventions: Conventions) -> Span {
    let mut w = World::named(conventions);
    w.open(&info(
        call.key.conn.0,
        call.process.tgid,
        "10.0.0.1:41",
        "10.0.0.2:8000",
        1,
    ));
    w.run(call);
    w.drain();
    let span = w.spans.pop().expect("a span");
    assert!(w.spans.is_empty());
    span
}

fn model(change: impl Fn(&mut crate::call::Inference)) -> Call {
    let mut call = chat(0, 1, Role::Client, 10, 40);
    if let CallKind::Inference(i) = &mut call.kind {
        change(i);
    }
    call
}

fn strings(span: &Span, name: &str) -> Vec<String> {
    match attribute(span, name) {
        Some(Value::Strings(list)) => list.clone(),
        _ => Vec::new(),
    }
}

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
fn a_server_span_says_where_and_by_whom_it_was_asked() {
    let mut call = chat(0, 1, Role::Server, 10, 40);
    call.http.host = None;
    call.http.port = None;
    call.http.user_agent = Some("curl/8".to_owned());
    let span = span(&call);
    assert_eq!(span.kind, SpanKind::Server);
    for (name, expected) in [
        ("url.path", "/v1/chat/completions"),
        ("url.scheme", "http"),
        ("user_agent.original", "curl/8"),
        ("server.address", "10.0.0.1"),
        ("client.address", "10.0.0.2"),
    ] {
        assert_eq!(text(&span, name), Some(expected), "{name}");
    }
    assert_eq!(attribute(&span, "server.port"), Some(&Value::Int(41)));
    assert_eq!(attribute(&span, "url.full"), None);
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
fn errors_are_statuses_types_and_events_without_content() {
    type Case = (&'static str, fn(&mut Call), Option<&'static str>, bool);
    let cases: [Case; 9] = [
        ("good", |_| {}, None, false),
        (
            "provider code",
            |c| c.error = Some(error("rate_limit_exceeded", ErrorSource::Stream)),
            Some("rate_limit_exceeded"),
            true,
        ),
        (
            "client gone",
            |c| c.ended = End::ClientGone,
            Some("client_disconnected"),
            true,
        ),
        (
            "server gone",
            |c| c.ended = End::ServerGone,
            Some("server_disconnected"),
            true,
        ),
        (
            "process gone",
            |c| c.ended = End::ProcessGone,
            Some("process_exited"),
            true,
        ),
        (
            "nameless",
            |c| c.error = Some(error("", ErrorSource::Body)),
            Some("_OTHER"),
            true,
        ),
        ("a hole", |c| c.ended = End::Lost, None, false),
        (
            "5xx",
            |c| {
                c.http.status = Some(503);
                c.error = Some(error("503", ErrorSource::Status));
            },
            Some("503"),
            true,
        ),
        (
            "cut",
            |c| {
                if let CallKind::Inference(i) = &mut c.kind {
                    i.finish_reasons = vec!["length".to_owned()];
                }
            },
            Some("length"),
            true,
        ),
    ];
    for role in [Role::Client, Role::Server] {
        for (name, change, kind, is_error) in cases {
            let mut call = chat(0, 1, role, 10, 40);
            change(&mut call);
            let span = span(&call);
            assert_eq!(text(&span, "error.type"), kind, "{name}");
            assert_eq!(span.summary.error.as_deref(), kind, "{name}");
            assert_eq!(span.error.is_some(), is_error, "{name}");
            assert_eq!(span.events.len(), usize::from(is_error), "{name}");
            if let Some(event) = span.events.first() {
                assert_eq!(event.name, "exception");
                assert_eq!(event.attributes.len(), 1);
                assert_eq!(event.attributes[0].name, "exception.type");
            }
        }
    }
}

#[test]
fn a_refusal_is_the_clients_error_and_not_the_servers() {
    for (role, is_error) in [(Role::Client, true), (Role::Server, false)] {
        let mut call = chat(0, 1, role, 10, 40);
        call.http.status = Some(429);
        call.error = Some(error("429", ErrorSource::Status));
        let span = span(&call);
        assert_eq!(span.error.is_some(), is_error);
        assert_eq!(text(&span, "error.type"), Some("429"));
    }
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

#[test]
fn an_mcp_tool_call_and_its_error() {
    let mut call = call(
        0,
        1,
        Role::Server,
        10,
        40,
        mcp("tools/call", Some("get_weather")),
    );
    call.error = Some(crate::call::CallError {
        kind: "-32602".to_owned(),
        source: ErrorSource::JsonRpc,
        rpc_code: Some(-32602),
    });
    let span = span(&call);
    assert_eq!(span.name, "tools/call get_weather");
    assert!(span.error.is_some());
    for (name, expected) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "get_weather"),
        ("jsonrpc.request.id", "3"),
        ("error.type", "-32602"),
        ("rpc.response.status_code", "-32602"),
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
    ] {
        assert_eq!(text(&span, name), Some(expected), "{name}");
    }
    assert_eq!(attribute(&span, "client.port"), Some(&Value::Int(8000)));
    assert_eq!(attribute(&span, "gen_ai.provider.name"), None);
    assert_eq!(attribute(&span, "telemetry.kaos.hop"), None);
    assert_eq!(span.summary.operation, "execute_tool");
    assert_eq!(span.summary.target.as_deref(), Some("get_weather"));
}

#[test]
fn a_tool_error_under_a_4xx_is_an_error_on_both_sides() {
    let mut call = call(0, 1, Role::Server, 10, 40, mcp("tools/list", None));
    call.http.status = Some(400);
    call.error = Some(error("-32600", ErrorSource::Body));
    assert!(span(&call).error.is_some());
}

#[test]
fn other_mcp_methods_are_no_tools() {
    let span = span(&call(0, 1, Role::Client, 10, 40, mcp("tools/list", None)));
    assert_eq!(span.name, "tools/list");
    assert_eq!(attribute(&span, "gen_ai.operation.name"), None);
}

#[test]
fn old_and_kaos_names_stand_beside_by_choice() {
    let mut call = model(|i| i.provider = "azure.ai.openai");
    call.http.session_id = Some("s1".to_owned());
    let span = span_by(
        &call,
        Conventions {
            profile: Profile::V1_41,
            kaos_names: true,
            legacy_names: true,
        },
    );
    assert_eq!(text(&span, "gen_ai.system"), Some("az.ai.openai"));
    assert_eq!(
        attribute(&span, "gen_ai.usage.prompt_tokens"),
        Some(&Value::Int(11))
    );
    assert_eq!(
        attribute(&span, "gen_ai.usage.completion_tokens"),
        Some(&Value::Int(7))
    );
    assert_eq!(text(&span, "session.id"), Some("s1"));
    assert_eq!(text(&span, "gen_ai.conversation.id"), Some("s1"));
    // Never mixed: openai's own attributes are for the provider openai.
    assert_eq!(attribute(&span, "openai.api.type"), None);
}

#[test]
fn the_other_profile_has_its_own_names() {
    let call = model(|i| {
        i.usage.cache_write = Some(3);
        i.params.top_k = Some(40.0);
        i.params.reasoning_level = Some("low".to_owned());
    });
    let span = span_by(
        &call,
        Conventions {
            profile: Profile::GenAiDev,
            ..Conventions::default()
        },
    );
    let written = attribute(&span, "gen_ai.usage.cache_write.input_tokens");
    assert_eq!(written, Some(&Value::Int(3)));
    assert_eq!(
        attribute(&span, "gen_ai.request.top_k"),
        Some(&Value::Int(40))
    );
    assert_eq!(text(&span, "gen_ai.request.reasoning.level"), Some("low"));
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
fn an_unknown_method_is_kept_apart() {
    let mut call = model(|_| {});
    call.http.method = "BREW".to_owned();
    let span = span(&call);
    assert_eq!(text(&span, "http.request.method"), Some("_OTHER"));
    assert_eq!(text(&span, "http.request.method_original"), Some("BREW"));
}

#[test]
fn a_span_never_ends_before_it_begins() {
    let mut call = model(|_| {});
    call.end = 0;
    let span = span(&call);
    assert_eq!(span.end, span.start);
}

#[test]
fn every_name_that_is_written_is_in_the_table() {
    // The builder takes its names from the table; the span of a lost client takes them from
    // another span by their spelling.
    let names: Vec<_> = TABLE
        .iter()
        .filter_map(|k| k.name(&Conventions::default()))
        .collect();
    let mut w = World::new();
    w.connect(0, 1, 2);
    w.start(&chat(0, 1, Role::Client, 10, 40));
    w.run(&chat(1, 2, Role::Server, 11, 39));
    w.drain();
    assert_eq!(w.spans.len(), 2);
    for attribute in w.spans.iter().flat_map(|s| &s.attributes) {
        assert!(names.contains(&attribute.name), "{}", attribute.name);
    }
    assert_eq!(text(w.client(1), "gen_ai.request.model"), Some("tiny"));
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
fn an_address_in_brackets_is_one_without() {
    let mut call = model(|_| {});
    call.http.host = Some("[::1]".to_owned());
    let span = span(&call);
    assert_eq!(text(&span, "server.address"), Some("::1"));
    assert_eq!(
        text(&span, "url.full"),
        Some("http://[::1]:1000/v1/chat/completions")
    );
}

#[test]
fn a_resource_is_named_without_its_secrets() {
    let mut call = call(0, 1, Role::Client, 10, 40, mcp("resources/read", None));
    if let CallKind::Mcp(m) = &mut call.kind {
        m.resource_uri = Some("https://u:p@h/x?key=1".to_owned());
    }
    let span = span(&call);
    assert_eq!(span.name, "resources/read");
    assert_eq!(text(&span, "mcp.resource.uri"), Some("https://h/x"));
}

#[test]
fn one_side_that_goes_has_one_name() {
    for (ended, expected) in [
        (End::ClientGone, "client_disconnected"),
        (End::Complete, "gone"),
    ] {
        let mut call = model(|_| {});
        call.ended = ended;
        call.error = Some(error("gone", ErrorSource::Gone));
        assert_eq!(text(&span(&call), "error.type"), Some(expected));
        call.error = Some(error("overloaded_error", ErrorSource::Stream));
        assert_eq!(text(&span(&call), "error.type"), Some("overloaded_error"));
    }
}
