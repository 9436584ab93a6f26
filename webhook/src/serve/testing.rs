//! A server on loopback, and a client that checks certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Limits, Phase, Reviewer, Served, Server, config};
use crate::certs::pair::Texts;
use crate::certs::testing::{NAME, days, names, read, texts};
use crate::metrics::Metrics;
use webhook_core::{BadReview, Decision, Facts, NamespaceFacts, Settings, decide};

pub(super) const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",
    "request":{"uid":"705ab4f5","kind":{"group":"","version":"v1","kind":"Pod"},
    "namespace":"agents","operation":"CREATE","object":{"metadata":{"name":"web"},
    "spec":{"containers":[{"name":"web"}]}}}}"#;

type Decide = Box<dyn Fn(&[u8], &Facts) -> Result<Decision, BadReview> + Send + Sync>;

pub(super) fn reviewer(limits: Limits, decide: Decide) -> (Reviewer, Registry) {
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let opted_in = NamespaceFacts::new([("telemetry.kaos.tools/inject", "enabled")], []);
    let settings = Settings {
        endpoint: Some("http://collector:4317".to_owned()),
        ..Settings::default()
    };
    let facts = Facts::new(settings).with_namespace("agents", opted_in);
    let facts = Arc::new(ArcSwap::from_pointee(facts));
    (Reviewer::deciding(facts, metrics, limits, decide), registry)
}

pub(super) fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) served: Arc<Served>,
    pub(super) registry: Registry,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) task: JoinHandle<()>,
    pub(super) texts: Texts,
}

/// Serves with a fresh certificate.
pub(super) async fn start(limits: Limits) -> Running {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let texts = fresh();
    let served = Arc::new(Served::default());
    served.publish(Arc::new(read(&texts)));
    let tls = config(Arc::clone(&served), provider).unwrap();
    let (reviewer, registry) = reviewer(limits, Box::new(decide));
    let bound = Server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = bound.address().unwrap();
    let (phase, phases) = watch::channel(Phase::Serving);
    let task = tokio::spawn(bound.serve(tls.into(), Arc::new(reviewer), phases));
    Running {
        address,
        served,
        registry,
        phase,
        task,
        texts,
    }
}

/// A certificate that is good now.
pub(super) fn fresh() -> Texts {
    texts(SystemTime::now(), days(1))
}

/// Trusts the authorities of `texts`.
pub(super) fn connector(texts: &[&Texts], alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    for texts in texts {
        for der in CertificateDer::pem_slice_iter(&texts.ca) {
            roots.add(der.unwrap()).unwrap();
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
    Arc::new(config).into()
}

pub(super) async fn connect(
    address: SocketAddr,
    connector: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    assert_eq!(names()[0].to_str(), NAME);
    connector.connect(names()[0].clone(), stream).await
}

pub(super) type H1 = http1::SendRequest<Full<Bytes>>;

pub(super) async fn h1(address: SocketAddr, connector: &TlsConnector) -> std::io::Result<H1> {
    let stream = TokioIo::new(connect(address, connector).await?);
    let (sender, connection) = http1::handshake(stream)
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

pub(super) fn review() -> Request<Full<Bytes>> {
    request("POST", "/mutate?timeout=2s", "application/json", REVIEW)
}

/// A review of a component whose answer takes hundreds of kilobytes.
pub(super) fn large_review() -> Vec<u8> {
    let mut review: serde_json::Value = serde_json::from_str(REVIEW).unwrap();
    let pod = &mut review["request"]["object"];
    pod["metadata"]["labels"] = serde_json::json!({"telemetry.kaos.tools/component": "mcpserver"});
    let containers = (0..200).map(|i| serde_json::json!({"name": format!("c{i}")}));
    pod["spec"]["containers"] = containers.collect();
    review.to_string().into_bytes()
}

pub(super) fn request(
    method: &str,
    target: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("https://{NAME}{target}"))
        .header("host", NAME)
        .header("content-type", content_type)
        .body(Full::new(body.into()))
        .unwrap()
}

/// The body of a good answer.
pub(super) async fn answer(response: Response<hyper::body::Incoming>) -> serde_json::Value {
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    assert_eq!(answer["response"]["allowed"], true);
    answer
}
