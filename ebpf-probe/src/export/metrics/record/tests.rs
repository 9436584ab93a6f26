use super::*;
use crate::export::testing::{PROCESS, agent, chat, failed_tool};
use probe_core::span::{Attribute, Summary};

fn names(span: &Span, profile: Profile) -> Vec<&'static str> {
    let found = measurements(span, profile);
    found.into_iter().map(|(it, _, _)| it.name).collect()
}

fn with_summary(span: &mut Span, change: impl FnOnce(&mut Summary)) {
    change(Arc::make_mut(&mut span.summary));
}

fn value(span: &Span, profile: Profile, name: &str) -> f64 {
    let found = measurements(span, profile);
    let mut found = found.into_iter().filter(|(it, _, _)| it.name == name);
    found.next().unwrap().2
}

#[test]
fn a_client_s_stream_measures_duration_first_chunk_and_tokens() {
    assert_eq!(
        names(&chat(), Profile::V1_41),
        [
            "gen_ai.client.operation.duration",
            "gen_ai.client.operation.time_to_first_chunk",
            "gen_ai.client.token.usage",
            "gen_ai.client.token.usage",
        ]
    );
    let found = measurements(&chat(), Profile::V1_41);
    let input = ("gen_ai.token.type", Label::Text("input".to_owned()));
    assert!(found[2].1.contains(&input));
    assert!((found[0].2 - 1.5).abs() < 1e-9);
    assert!((found[1].2 - 0.25).abs() < 1e-9);
    assert!((found[2].2 - 10.0).abs() < 1e-9);
    assert!((found[3].2 - 5.0).abs() < 1e-9);
}

#[test]
fn the_development_names_are_others() {
    assert_eq!(
        names(&chat(), Profile::GenAiDev),
        [
            "gen_ai.client.inference.duration",
            "gen_ai.client.inference.time_to_first_chunk",
            "gen_ai.client.inference.operation.input_tokens",
            "gen_ai.client.inference.operation.output_tokens",
            "gen_ai.client.inference.usage.input_tokens",
            "gen_ai.client.inference.usage.output_tokens",
            "gen_ai.client.inference.usage.cache_read.input_tokens",
        ]
    );
    let mut embeddings = chat();
    with_summary(&mut embeddings, |it| {
        "embeddings".clone_into(&mut it.operation);
    });
    assert_eq!(
        names(&embeddings, Profile::GenAiDev)[0],
        "gen_ai.client.operation.duration"
    );
}

#[test]
fn only_the_span_that_counts_has_tokens() {
    let mut proxied = chat();
    with_summary(&mut proxied, |it| it.counts = false);
    for profile in [Profile::V1_41, Profile::GenAiDev] {
        let names = names(&proxied, profile);
        assert!(
            names.iter().all(|name| !name.contains("token")),
            "{names:?}"
        );
    }
}

#[test]
fn a_server_measures_its_own_times_of_successes_only() {
    let mut server = chat();
    server.kind = SpanKind::Server;
    with_summary(&mut server, |it| it.counts = false);
    assert_eq!(
        names(&server, Profile::V1_41),
        [
            "gen_ai.server.request.duration",
            "gen_ai.server.time_per_output_token",
            "gen_ai.server.time_to_first_token",
        ]
    );
    let each = value(
        &server,
        Profile::V1_41,
        "gen_ai.server.time_per_output_token",
    );
    assert!((each - 0.3).abs() < 1e-9);
    with_summary(&mut server, |it| it.output_tokens = Some(1));
    assert_eq!(names(&server, Profile::V1_41).len(), 2);
    server.error = Some("".into());
    let failed = names(&server, Profile::V1_41);
    assert_eq!(failed, ["gen_ai.server.request.duration"]);
}

#[test]
fn mcp_agents_and_tools_have_their_own_metrics() {
    let mut tool = failed_tool();
    assert_eq!(
        names(&tool, Profile::V1_41),
        ["mcp.server.operation.duration"]
    );
    let found = measurements(&tool, Profile::V1_41);
    let error = ("error.type", Label::Text("-32602".to_owned()));
    assert!(found[0].1.contains(&error));
    tool.attributes.retain(|it| it.name != "mcp.method.name");
    assert_eq!(
        names(&tool, Profile::GenAiDev),
        ["gen_ai.execute_tool.duration"]
    );
    with_summary(&mut tool, |it| "invoke_agent".clone_into(&mut it.operation));
    assert_eq!(
        names(&tool, Profile::GenAiDev),
        ["gen_ai.invoke_agent.duration"]
    );
    assert_eq!(
        names(&tool, Profile::V1_41),
        ["gen_ai.server.request.duration"]
    );
}

#[test]
fn ids_are_never_labels() {
    let mut span = chat();
    for name in [
        "gen_ai.response.id",
        "gen_ai.conversation.id",
        "user_agent.original",
    ] {
        let value = Value::Static("x");
        span.attributes.push(Attribute { name, value });
    }
    for (_, labels, _) in measurements(&span, Profile::V1_41) {
        assert!(
            labels
                .iter()
                .all(|(_, value)| *value != Label::Text("x".to_owned()))
        );
    }
}

#[test]
fn a_forgotten_process_keeps_its_series_until_they_were_sent() {
    let metrics = Metrics::new(Profile::V1_41, &Counters::default());
    let resource = Arc::new(agent());
    metrics.record(&chat(), &resource, Clock::with_offset(0));
    metrics.forget(ProcessId { tgid: 1, start: 1 });
    assert_eq!(metrics.gone(), []);
    metrics.forget(PROCESS);
    assert_eq!(metrics.lock().instruments[0].series.len(), 1);
    let gone = metrics.gone();
    assert_eq!(gone, [PROCESS]);
    metrics.drop_gone(&gone);
    assert!(metrics.lock().resources.is_empty());
    assert_eq!(metrics.lock().instruments[0].series.len(), 0);
    assert_eq!(metrics.gone(), []);
}

#[test]
fn what_overflows_is_counted() {
    let counters = Counters::default();
    let metrics = Metrics::new(Profile::V1_41, &counters);
    let resource = Arc::new(agent());
    for n in 0..2_010 {
        let mut span = failed_tool();
        span.attributes[2].value = Value::String(format!("tool{n}"));
        metrics.record(&span, &resource, Clock::with_offset(0));
    }
    assert_eq!(counters.cell(&SERIES_OVERFLOWS).get(), 11);
    assert_eq!(metrics.lock().instruments[0].series.len(), 2_000);
}

#[test]
fn each_chunk_after_the_first_is_measured_at_a_client() {
    for (profile, name) in [
        (
            Profile::V1_41,
            "gen_ai.client.operation.time_per_output_chunk",
        ),
        (
            Profile::GenAiDev,
            "gen_ai.client.inference.time_per_output_chunk",
        ),
    ] {
        let metrics = Metrics::new(profile, &Counters::default());
        let mut span = chat();
        let mut gaps = probe_core::gaps::Gaps {
            sum: 50_000_000,
            min: 5_000_000,
            max: 40_000_000,
            ..probe_core::gaps::Gaps::default()
        };
        (gaps.buckets[0], gaps.buckets[2]) = (2, 1);
        with_summary(&mut span, |it| it.chunk_gaps = Some(gaps));
        let resource = Arc::new(agent());
        metrics.record(&span, &resource, Clock::with_offset(0));
        metrics.record(&span, &resource, Clock::with_offset(0));
        span.kind = SpanKind::Server;
        metrics.record(&span, &resource, Clock::with_offset(0));
        let state = metrics.lock();
        let found = state
            .instruments
            .iter()
            .find(|it| it.definition.name == name);
        let series: Vec<_> = found.unwrap().series.values().collect();
        assert_eq!(series.len(), 1);
        assert_eq!(
            (series[0].count, &series[0].buckets[..3]),
            (6, &[4, 0, 2][..])
        );
        assert!((series[0].sum - 0.1).abs() < 1e-9 && (series[0].max - 0.04).abs() < 1e-9);
    }
}
