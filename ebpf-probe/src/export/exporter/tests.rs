use super::*;
use crate::export::config::Config;
use crate::export::testing::collector::{Collector, Received};
use crate::export::testing::{PROCESS, agent, chat};

struct Running {
    exporter: Exporter,
    counters: Counters,
}

/// An exporter of spans to an address; more variables may follow.
fn start(address: std::net::SocketAddr, grpc: bool, more: &[(&str, &str)]) -> Running {
    let endpoint = format!("http://{address}");
    let protocol = if grpc { "grpc" } else { "http/protobuf" };
    let config = Config::from_env(|name| {
        if let Some((_, value)) = more.iter().find(|(key, _)| *key == name) {
            return Some((*value).to_owned());
        }
        match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
            "OTEL_BSP_SCHEDULE_DELAY" => Some("10".to_owned()),
            "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
            _ => None,
        }
    })
    .unwrap();
    assert_eq!(config.warnings, [""; 0]);
    let counters = Counters::default();
    let registry = Arc::new(Registry::default());
    registry.insert(PROCESS, Arc::new(agent()));
    let exporter = Exporter::start(Setup {
        config,
        profile: Profile::V1_41,
        registry,
        counters: counters.clone(),
    });
    Running {
        exporter: exporter.unwrap(),
        counters,
    }
}

impl Running {
    fn record(&self, name: &str) {
        let mut span = chat();
        name.clone_into(&mut span.name);
        self.exporter.record(&Arc::new(span));
    }

    fn labelled(&self, def: &'static selfmetrics::Def, label: &str) -> u64 {
        self.counters.labelled(def, label).get()
    }

    /// Waits until a condition of the counters holds.
    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let holds = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, holds).await.unwrap();
    }
}

/// Receives until so many spans came, and returns their names.
async fn spans(collector: &mut Collector, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    while names.len() < count {
        names.extend(collector.next().await.names());
    }
    names
}

/// A certificate for `localhost`, in a directory of its own.
struct Certificate {
    directory: std::path::PathBuf,
    certified: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Certificate {
    fn new(test: &str) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let name = format!("kaos-probe-{test}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("cert.pem"), certified.cert.pem()).unwrap();
        let key = certified.signing_key.serialize_pem();
        std::fs::write(directory.join("key.pem"), key).unwrap();
        Self {
            directory,
            certified,
        }
    }

    fn path(&self, file: &str) -> String {
        self.directory.join(file).to_str().unwrap().to_owned()
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn certificates_are_checked_and_shown() {
    let certificate = Certificate::new("tls");
    let stranger = Certificate::new("stranger");
    for grpc in [true, false] {
        let mut collector = Collector::start_tls(grpc, &certificate.certified).await;
        let endpoint = format!("https://localhost:{}", collector.address.port());
        let (own, key) = (certificate.path("cert.pem"), certificate.path("key.pem"));
        let other = stranger.path("cert.pem");
        let secure = |root| {
            [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", root),
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", own.as_str()),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.as_str()),
            ]
        };
        let wrong = start(collector.address, grpc, &secure(&other));
        wrong.record("wrong");
        wrong
            .until(|it| it.labelled(&selfmetrics::EXPORTS_FAILED, "traces") > 0)
            .await;
        let right = start(collector.address, grpc, &secure(&own));
        right.record("right");
        assert_eq!(collector.next().await.names(), ["right"]);
    }
}

async fn one_span(grpc: bool, more: &[(&str, &str)]) -> Received {
    let mut collector = Collector::start(grpc).await;
    let running = start(collector.address, grpc, more);
    running.record("a");
    let received = collector.next().await;
    assert_eq!(received.names(), ["a"]);
    running
        .until(|it| it.counters.cell(&selfmetrics::SPANS_EXPORTED).get() == 1)
        .await;
    assert_eq!(running.exporter.shutdown(Duration::from_secs(5)).await, 0);
    received
}

const SECRET: (&str, &str) = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20key");
const GZIP: (&str, &str) = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");

#[tokio::test]
async fn spans_go_out_by_grpc() {
    let received = one_span(true, &[SECRET]).await;
    assert_eq!(
        received.path,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    assert_eq!(received.headers["content-type"], "application/grpc");
    assert_eq!(received.headers["authorization"], "Bearer key");
    assert!(!received.gzip);
    let scope = &received.traces().resource_spans[0].scope_spans[0];
    assert_eq!(scope.schema_url, "https://opentelemetry.io/schemas/1.41.0");
}

#[tokio::test]
async fn spans_go_out_by_http() {
    let received = one_span(false, &[SECRET]).await;
    assert_eq!(received.path, "/v1/traces");
    assert_eq!(received.headers["content-type"], "application/x-protobuf");
    assert_eq!(received.headers["authorization"], "Bearer key");
    let agent = received.headers["user-agent"].to_str().unwrap();
    assert!(agent.starts_with("kaos-probe-OTLP-Exporter-Rust/"));
}

#[tokio::test]
async fn both_compress_when_told_to() {
    assert!(one_span(true, &[GZIP]).await.gzip);
    assert!(one_span(false, &[GZIP]).await.gzip);
}

#[tokio::test]
async fn both_signals_share_one_connection() {
    let mut collector = Collector::start(true).await;
    let own = [
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_SERVICE_NAME", "mine"),
    ];
    let running = start(collector.address, true, &own);
    running.record("a");
    let traces = collector.next().await;
    running
        .until(|it| it.counters.cell(&selfmetrics::SPANS_EXPORTED).get() == 1)
        .await;
    running.exporter.shutdown(Duration::from_secs(5)).await;
    let metrics = collector.next().await;
    assert!(metrics.path.ends_with("MetricsService/Export"));
    assert_eq!((traces.connection, metrics.connection), (0, 0));
    let groups = metrics.metrics().resource_metrics;
    assert_eq!(groups.len(), 2);
    assert!(format!("{groups:?}").contains("\"mine\""));
    let traces = format!("{:?}", traces.traces());
    assert!(traces.contains("agent.py") && !traces.contains("\"mine\""));
}

#[tokio::test]
async fn a_collector_that_was_away_gets_everything_when_it_is_back() {
    for grpc in [true, false] {
        let away = Collector::start(grpc).await;
        let address = away.address;
        drop(away);
        let running = start(address, grpc, &[]);
        running.record("a");
        running
            .until(|it| it.labelled(&selfmetrics::EXPORTS_FAILED, "traces") > 0)
            .await;
        running.record("b");
        let mut collector = Collector::start_at(grpc, address).await;
        assert_eq!(spans(&mut collector, 2).await, ["a", "b"]);
        assert_eq!(running.exporter.shutdown(Duration::from_secs(5)).await, 0);
    }
}

#[tokio::test]
async fn during_an_outage_the_oldest_are_dropped_and_counted() {
    let away = Collector::start(false).await;
    let address = away.address;
    drop(away);
    let running = start(address, false, &[("OTEL_BSP_MAX_QUEUE_SIZE", "3")]);
    running.record("0");
    running
        .until(|it| it.labelled(&selfmetrics::EXPORTS_FAILED, "traces") > 0)
        .await;
    for n in 1..8 {
        running.record(&n.to_string());
    }
    let mut collector = Collector::start_at(false, address).await;
    assert_eq!(spans(&mut collector, 3).await, ["5", "6", "7"]);
    assert_eq!(
        running.labelled(&selfmetrics::SPANS_DROPPED, "queue_full"),
        5
    );
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_and_one_for_good_is_counted() {
    for (grpc, later, never) in [(true, 14, 3), (false, 503, 400)] {
        let mut collector = Collector::start(grpc).await;
        collector.refusals.lock().unwrap().extend([later, never]);
        let running = start(collector.address, grpc, &[]);
        running.record("a");
        assert_eq!(collector.next().await.names(), ["a"]);
        assert_eq!(collector.next().await.names(), ["a"]);
        running
            .until(|it| it.labelled(&selfmetrics::SPANS_DROPPED, "rejected") == 1)
            .await;
        assert_eq!(running.labelled(&selfmetrics::EXPORTS_FAILED, "traces"), 2);
        running.record("b");
        assert_eq!(collector.next().await.names(), ["b"]);
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_goes_in_parts_and_a_span_alone_is_dropped() {
    for (grpc, too_large) in [(true, 8), (false, 413)] {
        let mut collector = Collector::start(grpc).await;
        let refusals = [too_large; 3];
        collector.refusals.lock().unwrap().extend(refusals);
        let running = start(collector.address, grpc, &[]);
        for name in ["a", "b", "c", "d"] {
            running.record(name);
        }
        assert_eq!(collector.next().await.names(), ["a", "b", "c", "d"]);
        assert_eq!(collector.next().await.names(), ["a", "b"]);
        assert_eq!(collector.next().await.names(), ["a"]);
        assert_eq!(collector.next().await.names(), ["b"]);
        assert_eq!(collector.next().await.names(), ["c", "d"]);
        let dropped = running.labelled(&selfmetrics::SPANS_DROPPED, "too_large");
        assert_eq!(dropped, 1);
        assert_eq!(running.exporter.shutdown(Duration::from_secs(5)).await, 0);
    }
}

/// Whether this span is counted there and measured, and only the one after it is exported.
async fn is_measured_only(span: Span, counter: &str) {
    let mut collector = Collector::start(false).await;
    let running = start(collector.address, false, &[]);
    running.exporter.record(&Arc::new(span));
    running.record("exported");
    assert_eq!(collector.next().await.names(), ["exported"]);
    let text = running.exporter.scrape()();
    assert!(text.contains(&format!("{counter} 1")));
    let count = "gen_ai_client_operation_duration_seconds_count";
    let line = text.lines().find(|line| line.starts_with(count)).unwrap();
    assert!(line.ends_with(" 2"), "{line}");
}

#[tokio::test]
async fn a_span_that_is_left_to_the_sdk_is_measured_but_not_exported() {
    let mut span = chat();
    span.left = true;
    is_measured_only(span, "kaos_probe_spans_left_to_sdk_total").await;
}

#[tokio::test]
async fn an_unsampled_span_is_measured_but_not_exported() {
    let mut span = chat();
    span.flags = 0;
    is_measured_only(span, "kaos_probe_spans_unsampled_total").await;
}

#[tokio::test]
async fn shutdown_sends_what_waits() {
    let mut collector = Collector::start(false).await;
    let slow = [("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    let running = start(collector.address, false, &slow);
    running.record("a");
    running.record("b");
    assert_eq!(running.exporter.shutdown(Duration::from_secs(5)).await, 0);
    assert_eq!(collector.next().await.names(), ["a", "b"]);
}

#[tokio::test]
async fn shutdown_ends_at_its_deadline_and_counts_what_is_left() {
    let away = Collector::start(false).await;
    let address = away.address;
    drop(away);
    let running = start(address, false, &[]);
    for n in 0..4 {
        running.record(&n.to_string());
    }
    let counters = running.counters.clone();
    let left = running.exporter.shutdown(Duration::from_millis(50)).await;
    assert_eq!(left, 4);
    let dropped = counters.labelled(&selfmetrics::SPANS_DROPPED, "shutdown");
    assert_eq!(dropped.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_ended_process_is_forgotten_with_its_series() {
    let counters = Counters::default();
    let registry = Arc::new(Registry::default());
    registry.insert(PROCESS, Arc::new(agent()));
    let exporter = Exporter::start(Setup {
        config: Config::nothing(),
        profile: Profile::V1_41,
        registry: Arc::clone(&registry),
        counters,
    })
    .unwrap();
    exporter.record(&Arc::new(chat()));
    assert!(exporter.scrape()().contains("agent.py"));
    registry.ended(PROCESS, 0);
    tokio::time::sleep(SWEEP * 2).await;
    assert_eq!(registry.len(), 0);
    assert!(!exporter.scrape()().contains("agent.py"));
}
