use super::*;

fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_env(|name| {
        let mut variables = variables.iter();
        let found = variables.find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn traces(variables: &[(&str, &str)]) -> Signal {
    config(variables).unwrap().traces.unwrap()
}

#[test]
fn the_defaults_are_the_specification_s_but_for_the_delay() {
    let config = config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).unwrap();
    let traces = config.traces.unwrap();
    assert_eq!(traces.protocol, Protocol::HttpProtobuf);
    assert_eq!(traces.endpoint, "http://localhost:4318/v1/traces");
    assert_eq!(traces.timeout, Duration::from_secs(10));
    assert!(!traces.gzip);
    assert_eq!(
        config.metrics.unwrap().endpoint,
        "http://localhost:4318/v1/metrics"
    );
    assert_eq!(config.batch.max_queue_size, 2048);
    assert_eq!(config.batch.max_batch_size, 512);
    assert_eq!(config.batch.schedule_delay, SCHEDULE_DELAY);
    assert_eq!(config.metric_interval, Duration::from_mins(1));
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn the_signal_s_own_variable_wins() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/base/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://own/x"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
    ];
    let config = config(&variables).unwrap();
    let (traces, metrics) = (config.traces.unwrap(), config.metrics.unwrap());
    assert_eq!(traces.endpoint, "https://own/x");
    assert_eq!(traces.timeout, Duration::from_secs(2));
    assert!(traces.gzip);
    assert_eq!(metrics.protocol, Protocol::Grpc);
    assert_eq!(metrics.endpoint, "http://all:4318/base/");
    assert_eq!(metrics.timeout, Duration::from_secs(1));
    assert!(!metrics.gzip);
}

#[test]
fn an_http_base_gets_the_signal_s_path() {
    let signal = traces(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/base/")]);
    assert_eq!(signal.endpoint, "http://all:4318/base/v1/traces");
}

#[test]
fn a_grpc_endpoint_without_scheme_is_secure_unless_it_is_said_not_to_be() {
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
    ];
    assert_eq!(traces(&variables).endpoint, "https://collector:4317");
    variables.push(("OTEL_EXPORTER_OTLP_INSECURE", "true"));
    assert_eq!(traces(&variables).endpoint, "http://collector:4317");
}

#[test]
fn headers_are_decoded_and_never_shown() {
    let signal = traces(&[(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "authorization=Bearer%20s3cret,x-team=a",
    )]);
    assert_eq!(signal.headers["authorization"], "Bearer s3cret");
    assert_eq!(signal.headers["x-team"], "a");
    let shown = format!("{signal:?}");
    assert!(shown.contains("authorization") && !shown.contains("s3cret"));
    let secret = traces(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:s3cret@h:1/p")]);
    assert_eq!(secret.shown_endpoint(), "http://h:1/p/v1/traces");
}

#[test]
fn what_would_send_data_elsewhere_is_an_error_without_the_value() {
    let endpoint = config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "s3cret")]).unwrap_err();
    assert_eq!(
        endpoint.to_string(),
        "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL like http://collector:4317"
    );
    let headers = config(&[("OTEL_EXPORTER_OTLP_HEADERS", "s3cret")]).unwrap_err();
    assert!(!headers.to_string().contains("s3cret"));
    assert!(config(&[("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k")]).is_err());
}

#[test]
fn what_is_not_understood_is_reported_and_left_at_its_default() {
    let config = config(&[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "pigeon"),
        ("OTEL_RESOURCE_ATTRIBUTES", "broken"),
        ("OTEL_SERVICE_NAME", "probe"),
    ])
    .unwrap();
    assert_eq!(config.warnings.len(), 4, "{:?}", config.warnings);
    assert_eq!(config.batch.max_queue_size, 2048);
    assert_eq!(config.batch.max_batch_size, 2048);
    assert_eq!(
        config.resource,
        [("service.name".to_owned(), "probe".to_owned())]
    );
}

#[test]
fn export_can_be_switched_off_in_whole_and_by_signal() {
    assert_eq!(Config::nothing().traces, None);
    let some = config(&[
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
    ])
    .unwrap();
    assert_eq!(some.traces, None);
    assert!(some.metrics.is_some());
    let prometheus = config(&[("OTEL_METRICS_EXPORTER", "prometheus")]).unwrap();
    assert_eq!(prometheus.metrics, None);
}

#[test]
fn every_variable_that_is_read_is_known() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    Config::from_env(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    })
    .unwrap();
    let asked = asked.into_inner();
    assert!(asked.iter().all(|name| is_variable(name)), "{asked:?}");
    // What is read only where something else is set: INSECURE, for a host without a scheme.
    let never = variables().filter(|name| !asked.contains(name));
    assert!(never.into_iter().all(|name| name.ends_with("_INSECURE")));
}
