//! A collector that is written against the wire formats, not against the crates that the
//! exporter uses: HTTP/1.1 for OTLP/HTTP, HTTP/2 with gRPC's five-byte frames for OTLP/gRPC.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Received {
    /// The path.
    pub(crate) path: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The message, decompressed and without its frame.
    pub(crate) message: Vec<u8>,
    /// The message was compressed.
    pub(crate) gzip: bool,
    /// Counts connections, from 0.
    pub(crate) connection: usize,
}

impl Received {
    /// The start times of the spans, by which tests tell them apart.
    pub(crate) fn names(&self) -> Vec<String> {
        let spans = self.traces().resource_spans.into_iter();
        let spans = spans.flat_map(|group| group.scope_spans);
        let spans = spans.flat_map(|scope| scope.spans);
        spans.map(|span| span.name).collect()
    }

    /// The message as spans.
    pub(crate) fn traces(&self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(self.message.as_slice()).unwrap()
    }

    /// The message as metrics.
    pub(crate) fn metrics(&self) -> ExportMetricsServiceRequest {
        ExportMetricsServiceRequest::decode(self.message.as_slice()).unwrap()
    }
}

/// What to answer instead of a success: an HTTP status, or a gRPC one.
pub(crate) type Refusals = Arc<Mutex<VecDeque<u16>>>;

/// A running collector.
pub(crate) struct Collector {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it received.
    pub(crate) received: mpsc::UnboundedReceiver<Received>,
    /// The next answers that are refusals.
    pub(crate) refusals: Refusals,
    /// Ends with this value.
    _task: JoinSet<()>,
}

impl Collector {
    /// Starts one on a free port.
    pub(crate) async fn start(grpc: bool) -> Self {
        Self::start_at(grpc, ([127, 0, 0, 1], 0).into()).await
    }

    /// Starts one at an address.
    pub(crate) async fn start_at(grpc: bool, address: SocketAddr) -> Self {
        Self::listen(grpc, address, None).await
    }

    /// Starts one that speaks TLS only, and wants that very certificate of its clients too.
    pub(crate) async fn start_tls(grpc: bool, own: &CertifiedKey<KeyPair>) -> Self {
        let certificate = own.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(roots);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![if grpc {
            b"h2".to_vec()
        } else {
            b"http/1.1".to_vec()
        }];
        let tls = TlsAcceptor::from(Arc::new(config));
        Self::listen(grpc, ([127, 0, 0, 1], 0).into(), Some(tls)).await
    }

    async fn listen(grpc: bool, address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = mpsc::unbounded_channel();
        let refusals = Refusals::default();
        let mut task = JoinSet::new();
        task.spawn(accept(listener, tls, grpc, sender, Arc::clone(&refusals)));
        Self {
            address,
            received,
            refusals,
            _task: task,
        }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Received {
        let patience = Duration::from_secs(30);
        let received = tokio::time::timeout(patience, self.received.recv());
        received.await.unwrap().unwrap()
    }
}

/// A plain or a TLS stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    grpc: bool,
    sender: mpsc::UnboundedSender<Received>,
    refusals: Refusals,
) {
    let mut connections = JoinSet::new();
    let mut count = 0;
    loop {
        let (stream, _peer) = listener.accept().await.unwrap();
        let (sender, refusals) = (sender.clone(), Arc::clone(&refusals));
        let connection = count;
        count += 1;
        let service = service_fn(move |request| {
            answer(
                request,
                grpc,
                connection,
                sender.clone(),
                Arc::clone(&refusals),
            )
        });
        let tls = tls.clone();
        connections.spawn(async move {
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(_refused) => return,
                },
            };
            let io = TokioIo::new(stream);
            if grpc {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ended = server.serve_connection(io, service).await;
            } else {
                let server = hyper::server::conn::http1::Builder::new();
                let _ended = server.serve_connection(io, service).await;
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    grpc: bool,
    connection: usize,
    sender: mpsc::UnboundedSender<Received>,
    refusals: Refusals,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let encoding = head.headers.get("content-encoding");
    let (gzip, payload) = if grpc {
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap());
        assert_eq!(length as usize, body.len() - 5);
        (body[0] == 1, &body[5..])
    } else {
        (encoding.is_some_and(|it| it == "gzip"), &body[..])
    };
    let mut message = Vec::new();
    if gzip {
        GzDecoder::new(payload).read_to_end(&mut message).unwrap();
    } else {
        message.extend_from_slice(payload);
    }
    let refusal = refusals.lock().unwrap().pop_front();
    let _closed = sender.send(Received {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        message,
        gzip,
        connection,
    });
    Ok(response(grpc, refusal))
}

fn response(grpc: bool, refusal: Option<u16>) -> Response<BoxBody<Bytes, Infallible>> {
    if !grpc {
        let response = Response::builder().status(refusal.unwrap_or(200));
        return response.body(Full::default().boxed()).unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(refusal.unwrap_or(0)));
    if refusal == Some(8) {
        // What a server in Go says of a message beyond its limit.
        let text = "grpc: received message larger than max (8 vs. 4)";
        trailers.insert("grpc-message", HeaderValue::from_static(text));
    }
    let frame = Full::new(Bytes::from_static(&[0; 5]));
    let body = frame.with_trailers(async { Some(Ok(trailers)) }).boxed();
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(body).unwrap()
}
