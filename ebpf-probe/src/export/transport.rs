//! One request to a collector, by gRPC or by HTTP, over one shared client.

mod grpc;
mod http;
mod tls;

use std::collections::HashMap;
use std::time::Duration;

use ::http::{HeaderMap, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use thiserror::Error;
use tonic::body::Body;

use super::config::{Protocol, Signal, Tls};
pub(crate) use tls::TlsError;

/// The HTTP client below both protocols: one TLS stack, one pool, reconnects by itself.
type HttpClient = Client<HttpsConnector<HttpConnector>, Body>;

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// An endpoint for one signal.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: HttpClient,
    protocol: Protocol,
    endpoint: Uri,
    headers: HeaderMap,
    timeout: Duration,
    gzip: bool,
}

/// The clients that exist already: signals with the same protocol and certificates share one,
/// and with it the connection.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: HashMap<Kind, HttpClient>,
}

/// What makes two clients different.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    protocol: Protocol,
    tls: Tls,
    /// A client for plain endpoints has no roots to check a certificate against.
    secure: bool,
}

/// Why a request failed. The messages carry nothing that the collector or an URL said.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum SendError {
    /// It may succeed later.
    #[error("{reason}")]
    Retry {
        /// What happened.
        reason: Reason,
        /// How long the collector asked to wait.
        after: Option<Duration>,
    },
    /// It was more than the collector takes at once.
    #[error("{0}: the batch is too large")]
    TooLarge(Reason),
    /// It will fail again: the batch is lost.
    #[error("{0}")]
    Fatal(Reason),
}

/// What happened to a request.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No connection, or it broke.
    #[error("the collector cannot be reached")]
    Unreachable,
    /// No answer in time.
    #[error("the collector did not answer in time")]
    Timeout,
    /// An HTTP status that is not a success.
    #[error("the collector answered with HTTP status {0}")]
    Http(u16),
    /// A gRPC status that is not OK.
    #[error("the collector answered with gRPC status {0}")]
    Grpc(i32),
    /// The request could not be made.
    #[error("the request could not be built")]
    Request,
}

/// The answer of a collector that took the request: how many items it refused all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Items that were refused for good (OTLP, "Partial Success").
    pub(crate) rejected: u64,
}

impl Clients {
    /// The transport of a signal.
    pub(crate) fn transport(&mut self, signal: &Signal) -> Result<Transport, TlsError> {
        let kind = Kind {
            protocol: signal.protocol,
            tls: signal.tls.clone(),
            secure: signal.endpoint.scheme_str() == Some("https"),
        };
        let client = if let Some(client) = self.clients.get(&kind) {
            client.clone()
        } else {
            let client = client(&kind)?;
            self.clients.insert(kind, client.clone());
            client
        };
        Ok(Transport {
            client,
            protocol: signal.protocol,
            endpoint: signal.endpoint.clone(),
            headers: signal.headers.clone(),
            timeout: signal.timeout,
            gzip: signal.gzip,
        })
    }
}

impl Transport {
    /// Sends spans.
    pub(crate) async fn traces(
        &self,
        request: ExportTraceServiceRequest,
    ) -> Result<Accepted, SendError> {
        match self.protocol {
            Protocol::Grpc => self.in_time(grpc::traces(self, request)).await,
            Protocol::HttpProtobuf => self.in_time(http::traces(self, &request)).await,
        }
    }

    /// Sends metrics.
    pub(crate) async fn metrics(
        &self,
        request: ExportMetricsServiceRequest,
    ) -> Result<Accepted, SendError> {
        match self.protocol {
            Protocol::Grpc => self.in_time(grpc::metrics(self, request)).await,
            Protocol::HttpProtobuf => self.in_time(http::metrics(self, &request)).await,
        }
    }

    async fn in_time(
        &self,
        send: impl Future<Output = Result<Accepted, SendError>>,
    ) -> Result<Accepted, SendError> {
        match tokio::time::timeout(self.timeout, send).await {
            Ok(result) => result,
            Err(_elapsed) => Err(SendError::Retry {
                reason: Reason::Timeout,
                after: None,
            }),
        }
    }
}

fn client(kind: &Kind) -> Result<HttpClient, TlsError> {
    let connector = tls::connector(&kind.tls, kind.secure, kind.protocol)?;
    let mut builder = Client::builder(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    builder.pool_timer(TokioTimer::new());
    if kind.protocol == Protocol::Grpc {
        builder.http2_only(true);
        // A connection whose peer vanished without a word is found within half a minute.
        builder.http2_keep_alive_interval(Duration::from_secs(20));
        builder.http2_keep_alive_timeout(Duration::from_secs(10));
    }
    Ok(builder.build(connector))
}
