//! OTLP/HTTP with protobuf (OTLP specification 1.x, "OTLP/HTTP").

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::body::Body;

use super::{Accepted, MAX_ANSWER, Reason, SendError, Transport};

/// Our `user-agent`, in the form that the protocol exporter's specification asks for.
pub(super) const AGENT: &str = concat!("kaos-probe-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

pub(super) async fn traces(
    transport: &Transport,
    request: &ExportTraceServiceRequest,
) -> Result<Accepted, SendError> {
    let answer: ExportTraceServiceResponse = post(transport, request).await?;
    let partial = answer.partial_success.unwrap_or_default();
    Ok(Accepted {
        rejected: partial.rejected_spans.unsigned_abs(),
    })
}

pub(super) async fn metrics(
    transport: &Transport,
    request: &ExportMetricsServiceRequest,
) -> Result<Accepted, SendError> {
    let answer: ExportMetricsServiceResponse = post(transport, request).await?;
    let partial = answer.partial_success.unwrap_or_default();
    Ok(Accepted {
        rejected: partial.rejected_data_points.unsigned_abs(),
    })
}

/// Posts a message. An answer that is a success but not understood is a success: the data was
/// taken, and sending it again would double it.
async fn post<Answer: Message + Default>(
    transport: &Transport,
    message: &impl Message,
) -> Result<Answer, SendError> {
    let unreachable = SendError::Retry {
        reason: Reason::Unreachable,
        after: None,
    };
    let request = request(transport, message)?;
    let response = transport.client.request(request).await;
    let response = response.map_err(|_error| unreachable)?;
    if !response.status().is_success() {
        return Err(refusal(&response));
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER);
    let body = body.collect().await;
    let answer = body.ok().map(|it| Answer::decode(it.to_bytes()));
    Ok(answer.and_then(Result::ok).unwrap_or_default())
}

fn request(transport: &Transport, message: &impl Message) -> Result<Request<Body>, SendError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.extend(transport.headers.clone());
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    headers.insert(CONTENT_TYPE, protobuf);
    let mut body = message.encode_to_vec();
    if transport.gzip {
        body = gzip(&body).map_err(|_error| SendError::Fatal(Reason::Request))?;
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut request = Request::post(transport.endpoint.clone())
        .body(Body::new(Full::new(Bytes::from(body))))
        .map_err(|_error| SendError::Fatal(Reason::Request))?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// 429, 502, 503 and 504 may be tried again, and 413 in smaller parts; all others not (OTLP/HTTP,
/// "Failures").
fn refusal(response: &Response<Incoming>) -> SendError {
    let status = response.status().as_u16();
    let reason = Reason::Http(status);
    if matches!(status, 429 | 502..=504) {
        let after = response.headers().get(RETRY_AFTER);
        let after = after.and_then(|it| it.to_str().ok()?.trim().parse().ok());
        return SendError::Retry {
            reason,
            after: after.map(Duration::from_secs),
        };
    }
    if status == 413 {
        return SendError::TooLarge(reason);
    }
    SendError::Fatal(reason)
}
