//! One connection: handshake, then HTTP/1.1 or HTTP/2 until its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
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

/// Streams of one HTTP/2 connection; API servers speak HTTP/1.1 here.
const STREAMS: u32 = 64;

/// How often an HTTP/2 client is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// Serves a connection until it ends. What a client does to its own connection concerns nobody
/// else, so errors beyond the handshake end here.
pub(super) async fn run(stream: TcpStream, shared: &Arc<Shared>, seat: &Arc<Seat>) {
    let metrics = shared.reviewer.metrics();
    let limits = shared.reviewer.limits();
    match tokio::time::timeout(limits.handshake, shared.tls.accept(stream)).await {
        Err(_elapsed) => metrics.dropped(Dropped::HandshakeTimeout),
        Ok(Err(_failed)) => metrics.dropped(Dropped::Handshake),
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            h2(stream, shared, seat).await;
        }
        Ok(Ok(stream)) => h1(stream, shared, seat).await,
    }
}

async fn h1(stream: TlsStream<TcpStream>, shared: &Arc<Shared>, seat: &Seat) {
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

async fn h2(stream: TlsStream<TcpStream>, shared: &Arc<Shared>, seat: &Arc<Seat>) {
    let limits = shared.reviewer.limits();
    let activity = Arc::new(Activity::begin());
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, seat) = (Arc::clone(shared), Arc::clone(seat));
        let stream = Stream::begin(&activity);
        async move {
            let response = answer(request, &shared, &seat).await;
            drop(stream);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(PING)
            .keep_alive_timeout(limits.head)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut phase = shared.phase.clone();
    tokio::select! {
        _ended = connection.as_mut() => return,
        // GOAWAY names the last stream that is served: nothing is lost by saying it early.
        () = reached(&mut phase, Phase::Draining) => {}
        // A client that answers pings would stay for ever.
        () = activity.idle(limits.idle) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ended = tokio::time::timeout(limits.idle, connection).await;
}

async fn answer(request: Request<Incoming>, shared: &Shared, seat: &Seat) -> Response<Full<Bytes>> {
    let _busy = seat.busy();
    let response = shared.reviewer.answer(request, seat.uses()).await;
    if response.status() == StatusCode::OK {
        seat.reviewed();
    }
    response
}

/// What goes on on an HTTP/2 connection.
struct Activity(Mutex<(usize, Instant)>);

impl Activity {
    fn begin() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }

    fn change(&self, change: impl Fn(usize) -> usize) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = (change(now.0), Instant::now());
    }

    /// Waits until there was no stream for so long.
    async fn idle(&self, limit: Duration) {
        loop {
            let (streams, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let left = match streams {
                0 => limit.saturating_sub(since.elapsed()),
                _ => limit,
            };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// A stream for as long as it lives: a client that resets it ends it anywhere.
struct Stream(Arc<Activity>);

impl Stream {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.change(|streams| streams + 1);
        Self(Arc::clone(activity))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.change(|streams| streams.saturating_sub(1));
    }
}
