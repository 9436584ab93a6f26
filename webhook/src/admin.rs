//! `/metrics`, `/livez` and `/readyz`, in plain HTTP on a port of their own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::readiness::Readiness;
use crate::serve::crowd::Crowd;

/// The most connections at once. One more takes the place of another: nobody is to wait here, for
/// kubelets restart what does not answer.
const MAX_CONNECTIONS: usize = 32;

/// The same for one address.
const MAX_PER_PEER: usize = 8;

/// How long a connection may live. It is for one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is served.
#[derive(Debug)]
pub struct Pages {
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What `/readyz` shows.
    pub readiness: Readiness,
}

/// A server that has its address, but serves nothing yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Binds the address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener })
    }

    /// The address, with the port that the kernel chose where it was 0.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    pub async fn serve(self, pages: Arc<Pages>) {
        let crowd = Crowd::new(MAX_CONNECTIONS, MAX_PER_PEER);
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else {
                // Out of descriptors, say: the pause keeps the loop from spinning.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Some((seat, _crowded)) = crowd.enter(peer.ip()) else {
                continue;
            };
            let pages = Arc::clone(&pages);
            tokio::spawn(async move {
                tokio::select! {
                    _ended = timeout(PATIENCE, connection(stream, &pages)) => {}
                    () = seat.wanted() => {}
                }
            });
        }
    }
}

async fn connection(stream: TcpStream, pages: &Pages) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let response = respond(request.method(), request.uri().path(), pages);
        async move { Ok::<_, Infallible>(response) }
    });
    // What a client does to its own connection concerns nobody else.
    let _ended = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn respond(method: &Method, path: &str, pages: &Pages) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD only\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    match path {
        "/livez" => page(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => {
            let status = if pages.readiness.is_ready() {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            page(status, TEXT, pages.readiness.report())
        }
        "/metrics" => {
            let mut text = String::new();
            match encode(&mut text, &pages.registry) {
                Ok(()) => page(StatusCode::OK, METRICS, text),
                Err(std::fmt::Error) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, ""),
            }
        }
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
    use crate::metrics::Metrics;
    use crate::readiness::Condition;

    fn pages() -> Pages {
        let mut registry = Registry::with_prefix(crate::metrics::PREFIX);
        let _metrics = Metrics::new(&mut registry);
        Pages {
            registry,
            readiness: Readiness::of(&[Condition::Certificate]),
        }
    }

    async fn text(response: Response<Full<Bytes>>) -> String {
        use http_body_util::BodyExt as _;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.into()).unwrap()
    }

    #[tokio::test]
    async fn the_pages_say_what_they_should() {
        let pages = pages();
        let get = |path| respond(&Method::GET, path, &pages);
        assert_eq!(get("/livez").status(), 200);
        assert_eq!(get("/").status(), 404);
        assert_eq!(respond(&Method::POST, "/livez", &pages).status(), 405);
        assert_eq!(get("/readyz").status(), 503);
        assert_eq!(text(get("/readyz")).await, "[-] certificate: not yet\n");
        pages.readiness.set(Condition::Certificate, Ok(()));
        assert_eq!(get("/readyz").status(), 200);
        let metrics = text(get("/metrics")).await;
        assert!(metrics.ends_with("# EOF\n"));
        assert!(metrics.contains("kaos_webhook_reviews_total"));
    }

    async fn server() -> SocketAddr {
        let server = Server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = server.address().unwrap();
        tokio::spawn(server.serve(Arc::new(pages())));
        address
    }

    /// The answer, once the connection is closed: long before its time is over.
    async fn probe(address: SocketAddr) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut answer = String::new();
        let read = timeout(PATIENCE / 2, stream.read_to_string(&mut answer)).await;
        read.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn it_answers_over_a_real_connection_that_is_for_one_request() {
        let answer = probe(server().await).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn connections_that_only_sit_there_keep_no_kubelet_waiting() {
        use tokio::io::AsyncReadExt as _;
        let address = server().await;
        let mut silent = Vec::new();
        for last in 2..=6 {
            for _ in 0..MAX_PER_PEER * 2 {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, last], 0).into()).unwrap();
                silent.push(socket.connect(address).await.unwrap());
            }
        }
        let answer = probe(address).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // Those that are left end by their time.
        let last = silent.last_mut().unwrap();
        let ended = timeout(PATIENCE * 2, last.read(&mut [0])).await;
        assert!(!matches!(ended.unwrap(), Ok(1..)));
    }
}
