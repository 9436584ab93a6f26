//! One connection: handshake, then HTTP/1.1 until its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::crowd::Seat;
use super::timed::{Busy, Timed};
use super::{Phase, Reviewer, reached};
use crate::metrics::Dropped;

/// What all connections have in common.
pub(super) struct Shared {
    pub(super) tls: TlsAcceptor,
    pub(super) reviewer: Arc<Reviewer>,
    pub(super) phase: watch::Receiver<Phase>,
}

/// Serves a connection until it ends. What a client does to its own connection concerns nobody
/// else, so errors beyond the handshake end here.
pub(super) async fn run(stream: TcpStream, shared: &Shared, seat: &Seat) {
    let metrics = shared.reviewer.metrics();
    let limits = shared.reviewer.limits();
    match tokio::time::timeout(limits.handshake, shared.tls.accept(stream)).await {
        Err(_elapsed) => metrics.dropped(Dropped::HandshakeTimeout),
        Ok(Err(_failed)) => metrics.dropped(Dropped::Handshake),
        Ok(Ok(stream)) => serve(stream, shared, seat).await,
    }
}

async fn serve(stream: TlsStream<TcpStream>, shared: &Shared, seat: &Seat) {
    let limits = shared.reviewer.limits();
    let busy = Busy::default();
    let stream = TokioIo::new(Timed::new(stream, &limits, busy.clone()));
    let service = service_fn(|request: Request<Incoming>| {
        let busy = busy.clone();
        busy.begin();
        async move {
            let mut response = answer(request, shared, seat).await;
            if *shared.phase.borrow() != Phase::Serving {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            busy.end();
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle)
            .serve_connection(stream, service)
    );
    let mut phase = shared.phase.clone();
    let over = async {
        reached(&mut phase, Phase::Stopped).await;
        // Hyper closes idle connections at once, a request on its way or not. Each answer has
        // said "close" for long, so what comes now is the last on its connection.
        tokio::time::sleep(limits.linger).await;
    };
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = over => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ended = connection.await;
}

async fn answer(request: Request<Incoming>, shared: &Shared, seat: &Seat) -> Response<Full<Bytes>> {
    let _busy = seat.busy();
    let response = shared.reviewer.answer(request, seat.uses()).await;
    if response.status() == StatusCode::OK {
        seat.reviewed();
    }
    response
}
