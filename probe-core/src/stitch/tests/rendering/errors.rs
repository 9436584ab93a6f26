//! Statuses, error types and exceptions.

use super::*;

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
