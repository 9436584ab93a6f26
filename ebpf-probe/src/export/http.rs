//! `/metrics`, `/livez` and `/readyz`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::metrics::prometheus;

/// The most connections at once; more wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 32;

/// How long a client may take to send a head, and how long a request at the end may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the text of `/metrics`.
pub(crate) type Scrape = dyn Fn() -> String + Send + Sync;

/// Whether the probe is ready: set once everything is attached, unset while it drains.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether the probe is ready.
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A server that has its address, but serves nothing yet.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    /// Binds the address.
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener })
    }

    /// The address, with the port that the kernel chose where it was 0.
    #[cfg(test)]
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is true, then lets the requests in flight end.
    pub(crate) async fn serve(
        self,
        scrape: Arc<Scrape>,
        readiness: Readiness,
        mut stop: watch::Receiver<bool>,
    ) {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let next = tokio::select! {
                next = self.accept(&permits) => next,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((stream, permit)) = next else {
                // Out of descriptors, say: the pause keeps the loop from spinning.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            connection(stream, permit, &graceful, &scrape, &readiness);
        }
        let _elapsed = tokio::time::timeout(PATIENCE, graceful.shutdown()).await;
    }

    async fn accept(&self, permits: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        let (stream, _peer) = self.listener.accept().await.ok()?;
        Some((stream, permit))
    }
}

fn connection(
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
    scrape: &Arc<Scrape>,
    readiness: &Readiness,
) {
    let (scrape, readiness) = (Arc::clone(scrape), readiness.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, &*scrape, &readiness);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // What a client does to its own connection concerns nobody else.
        let _closed = connection.await;
        drop(permit);
    });
}

fn respond<B>(
    request: &Request<B>,
    scrape: &Scrape,
    readiness: &Readiness,
) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD only\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    match request.uri().path() {
        "/metrics" => page(StatusCode::OK, prometheus::CONTENT_TYPE, scrape()),
        "/livez" => page(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if readiness.get() => page(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        _ => page(StatusCode::NOT_FOUND, TEXT, "not found\n"),
    }
}

fn page(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::AsyncReadExt as _;
    use tokio::task::JoinHandle;

    struct Running {
        address: SocketAddr,
        readiness: Readiness,
        stop: watch::Sender<bool>,
        task: JoinHandle<()>,
    }

    async fn start() -> Running {
        let server = Server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = watch::channel(false);
        let readiness = Readiness::default();
        let scrape: Arc<Scrape> = Arc::new(|| "x_total 1\n# EOF\n".to_owned());
        let task = tokio::spawn(server.serve(scrape, readiness.clone(), stopped));
        Running {
            address,
            readiness,
            stop,
            task,
        }
    }

    async fn ask(running: &Running, method: Method, path: &str) -> (u16, String, String) {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", running.address))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = client.request(request).await.unwrap();
        let status = response.status().as_u16();
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap();
        let content_type = content_type.to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            content_type,
            String::from_utf8(body.into()).unwrap(),
        )
    }

    #[tokio::test]
    async fn the_pages_say_what_they_should() {
        let running = start().await;
        let (status, content_type, body) = ask(&running, Method::GET, "/metrics").await;
        assert_eq!(status, 200);
        assert!(content_type.starts_with("application/openmetrics-text"));
        assert_eq!(body, "x_total 1\n# EOF\n");
        assert_eq!(ask(&running, Method::GET, "/livez").await.0, 200);
        assert_eq!(ask(&running, Method::GET, "/readyz").await.0, 503);
        running.readiness.set(true);
        assert_eq!(ask(&running, Method::GET, "/readyz").await.0, 200);
        assert_eq!(ask(&running, Method::GET, "/").await.0, 404);
        assert_eq!(ask(&running, Method::POST, "/metrics").await.0, 405);
        assert_eq!(ask(&running, Method::HEAD, "/metrics").await.2, "");
    }

    #[tokio::test]
    async fn the_server_ends_when_it_is_told_to() {
        let running = start().await;
        assert_eq!(ask(&running, Method::GET, "/livez").await.0, 200);
        // A connection that says nothing must not hold it up; it is closed.
        let mut idle = TcpStream::connect(running.address).await.unwrap();
        running.stop.send(true).unwrap();
        let ended = tokio::time::timeout(PATIENCE * 2, running.task).await;
        ended.unwrap().unwrap();
        // End or reset, by whether it was accepted before. That nobody listens there any more
        // cannot be asked: the kernel may have given the port to another test.
        assert!(matches!(idle.read(&mut [0]).await, Ok(0) | Err(_)));
    }
}
