//! OTLP/gRPC (OTLP specification 1.x, "OTLP/gRPC").

use std::error::Error as _;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use super::http::AGENT;
use super::{Accepted, MAX_ANSWER, Reason, SendError, Transport};

pub(super) async fn traces(
    transport: &Transport,
    request: ExportTraceServiceRequest,
) -> Result<Accepted, SendError> {
    let origin = origin(&transport.endpoint);
    let mut client = TraceServiceClient::with_origin(transport.client.clone(), origin)
        .max_decoding_message_size(MAX_ANSWER);
    if transport.gzip {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    let answer = client.export(with_headers(transport, request)).await;
    let answer = answer.map_err(|status| refusal(&status))?.into_inner();
    Ok(Accepted {
        rejected: answer
            .partial_success
            .unwrap_or_default()
            .rejected_spans
            .unsigned_abs(),
    })
}

pub(super) async fn metrics(
    transport: &Transport,
    request: ExportMetricsServiceRequest,
) -> Result<Accepted, SendError> {
    let origin = origin(&transport.endpoint);
    let mut client = MetricsServiceClient::with_origin(transport.client.clone(), origin)
        .max_decoding_message_size(MAX_ANSWER);
    if transport.gzip {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    let answer = client.export(with_headers(transport, request)).await;
    let answer = answer.map_err(|status| refusal(&status))?.into_inner();
    Ok(Accepted {
        rejected: answer
            .partial_success
            .unwrap_or_default()
            .rejected_data_points
            .unsigned_abs(),
    })
}

/// The endpoint without its path: gRPC makes its own.
fn origin(endpoint: &Uri) -> Uri {
    let mut parts = endpoint.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_else(|_error| endpoint.clone())
}

fn with_headers<T>(transport: &Transport, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let mut headers = transport.headers.clone();
    headers
        .entry(http::header::USER_AGENT)
        .or_insert(HeaderValue::from_static(AGENT));
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    request
}

/// Which statuses may be tried again is the specification's table. A status that never came
/// from a server carries the error of the connection: that may be tried again too.
fn refusal(status: &Status) -> SendError {
    let retry = |reason| SendError::Retry {
        reason,
        after: None,
    };
    if status.source().is_some() {
        return retry(Reason::Unreachable);
    }
    let reason = Reason::Grpc(status.code().into());
    if is_too_large(status) {
        return SendError::TooLarge(reason);
    }
    match status.code() {
        // ResourceExhausted is to be tried again only where the server hints when (OTLP), but
        // collectors behind a memory limiter answer so without a hint, and the queue is bounded.
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        | Code::ResourceExhausted => SendError::Retry {
            reason,
            after: pushback(status),
        },
        _ => SendError::Fatal(reason),
    }
}

/// Whether the message was longer than the server takes. There is no code for that alone: Go says
/// so by `ResourceExhausted`, as memory limiters do, and tonic by `OutOfRange`.
fn is_too_large(status: &Status) -> bool {
    let text = status.message();
    matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange)
        && (text.contains("larger than max") || text.contains("too large"))
}

/// gRPC's own retry hint, in milliseconds (gRFC A6, "Pushback").
fn pushback(status: &Status) -> Option<Duration> {
    let hint = status.metadata().get("grpc-retry-pushback-ms")?;
    let millis = hint.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(millis))
}
