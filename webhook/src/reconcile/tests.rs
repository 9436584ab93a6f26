//! The reconciler against an API server that has many pods, and takes no Event.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Metrics, Options, run};
use crate::readiness::{Condition, Readiness};
use webhook_core::{Facts, NamespaceFacts, Settings};

const PODS: usize = 10_000;
/// In a cluster of one pod more than this, the last is never answered for.
const SILENT: usize = 4;
/// All are counted within seconds; but the machine may be busy with something else. What must not
/// happen is that the count stands still, or waits between looks: that would take 200 s.
const STANDSTILL: Duration = Duration::from_secs(30);
const IN_ALL: Duration = Duration::from_mins(3);

fn metadata(number: usize) -> Value {
    json!({
        "name": format!("pod-{number}"),
        "namespace": "agents",
        "uid": format!("uid-{number}"),
        "labels": {"telemetry.kaos.tools/component": "mcpserver"},
    })
}

/// What is at a path, in a cluster of so many pods; none where no answer ever comes.
fn answer(request: &Request<Incoming>, pods: usize) -> Option<Value> {
    let query = request.uri().query().unwrap_or_default();
    let path = request.uri().path();
    if path.contains("/events/") {
        return None;
    }
    if let Some(number) = path.strip_prefix("/api/v1/namespaces/agents/pods/pod-") {
        if pods == SILENT + 1 && number.parse() == Ok(SILENT) {
            return None;
        }
        let spec = json!({"containers": [{"name": "server", "image": "server"}]});
        let metadata = metadata(number.parse().unwrap());
        return Some(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}),
        );
    }
    let one_selector = query.contains("telemetry.kaos.tools");
    let pods = (0..pods).filter(|_| one_selector);
    let pods = pods.map(|number| {
        json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": metadata(number),
        })
    });
    let items: Vec<_> = pods.collect();
    (!query.contains("watch=true")).then(|| {
        json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadataList",
            "metadata": {"resourceVersion": "1"},
            "items": items,
        })
    })
}

fn respond(request: &Request<Incoming>, pods: usize) -> Response<BoxBody<Bytes, Infallible>> {
    let body = if let Some(object) = answer(request, pods) {
        Full::new(Bytes::from(object.to_string())).boxed()
    } else {
        let never = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        http_body_util::BodyExt::boxed(StreamBody::new(never))
    };
    Response::new(body)
}

async fn api_server(pods: usize) -> Client {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request| {
                let response = respond(&request, pods);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    let uri = format!("http://{address}").parse().unwrap();
    Client::try_from(Config::new(uri)).unwrap()
}

/// Gives facts by which all pods get something.
fn facts() -> impl Fn() -> Facts + Send + Sync {
    let settings = Settings {
        endpoint: Some("http://collector.telemetry.svc:4317".to_owned()),
        ..Settings::default()
    };
    let opted_in = NamespaceFacts::new([("telemetry.kaos.tools/inject", "enabled")], []);
    let facts = Facts::new(settings).with_namespace("agents", opted_in);
    move || facts.clone()
}

fn options(readiness: &Readiness) -> Options {
    Options {
        namespace: "kaos-telemetry".to_owned(),
        restart: None,
        readiness: readiness.clone(),
    }
}

#[tokio::test]
async fn ten_thousand_pods_are_counted_though_no_owner_can_be_told() {
    let metrics = Metrics::default();
    let client = api_server(PODS).await;
    let options = options(&Readiness::of(&[]));
    let running = tokio::spawn(run(client, facts(), metrics.clone(), options));
    let start = Instant::now();
    let all = i64::try_from(PODS).unwrap();
    let (mut counted, mut since) = (0, start);
    while counted < all {
        let now = metrics.uninjected_pods.get();
        if now > counted {
            (counted, since) = (now, Instant::now());
        }
        let waited = (since.elapsed(), start.elapsed());
        let bearable = waited.0 < STANDSTILL && waited.1 < IN_ALL;
        assert!(bearable, "{waited:?}, {counted} pods counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{PODS} pods counted after {:?}", start.elapsed());
    running.abort();
}

/// As on a connection that is dead and does not know it.
#[tokio::test]
async fn a_pod_that_cannot_be_read_keeps_no_count_back() {
    let metrics = Metrics::default();
    let client = api_server(SILENT + 1).await;
    let options = options(&Readiness::of(&[]));
    let running = tokio::spawn(run(client, facts(), metrics.clone(), options));
    counted(&metrics, i64::try_from(SILENT).unwrap()).await;
    assert!(metrics.errors.get() > 0);
    running.abort();
}

/// What a resource turns off is known only once all were listed.
#[tokio::test]
async fn nothing_is_judged_before_the_resources_are_known() {
    let metrics = Metrics::default();
    let readiness = Readiness::of(&[Condition::Components]);
    let client = api_server(3).await;
    let running = run(client, facts(), metrics.clone(), options(&readiness));
    let running = tokio::spawn(running);
    // Longer than from one look to the next.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(metrics.uninjected_pods.get(), 0);
    readiness.set(Condition::Components, Ok(()));
    counted(&metrics, 3).await;
    running.abort();
}

async fn counted(metrics: &Metrics, pods: i64) {
    let start = Instant::now();
    while metrics.uninjected_pods.get() != pods {
        assert!(start.elapsed() < STANDSTILL, "{pods} were to be counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
