//! Names by profile, and what every span has.

use super::*;

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
