use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::testing::{
    answer, connect, connector, fresh, h1, large_review, request, review, start, text,
};
use super::*;
use crate::certs::testing::{names, read};

const H1: &[u8] = b"http/1.1";

#[tokio::test]
async fn reviews_are_answered_on_a_kept_connection() {
    let running = start(Limits::default()).await;
    let trust = [&running.texts];
    let mut sender = h1(running.address, &connector(&trust, &[H1]))
        .await
        .unwrap();
    for _ in 0..3 {
        sender.ready().await.unwrap();
        answer(sender.send_request(review()).await.unwrap()).await;
    }
    let text = text(&running.registry);
    assert!(text.contains("review_duration_seconds_count 3\n"), "{text}");
    assert!(text.contains("connections 1\n"), "{text}");
    assert!(text.contains("in_flight 0\n"));
}

#[tokio::test]
async fn no_client_gets_http2() {
    let running = start(Limits::default()).await;
    let trust = [&running.texts];
    let both = connector(&trust, &[b"h2", H1]);
    let stream = connect(running.address, &both).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(H1));
    let alone = connector(&trust, &[b"h2"]);
    assert!(connect(running.address, &alone).await.is_err());
}

#[tokio::test]
async fn what_is_no_review_gets_an_http_error() {
    let limits = Limits {
        body: 1000,
        ..Limits::default()
    };
    let running = start(limits).await;
    let connector = connector(&[&running.texts], &[H1]);
    let json = "application/json";
    for (request, status) in [
        (request("POST", "/other", json, ""), 404),
        (request("GET", "/mutate", json, ""), 405),
        (request("POST", "/mutate", "text/plain", "{}"), 415),
        (
            request("POST", "/mutate", "application/json-patch+json", "{}"),
            415,
        ),
        (request("POST", "/mutate", json, vec![b' '; 1001]), 413),
        (request("POST", "/mutate", json, ""), 400),
        (request("POST", "/mutate", json, "{\"kind\":"), 400),
        (request("POST", "/mutate", json, "{}"), 400),
        (
            request("POST", "/mutate", "Application/JSON; charset=utf-8", "{}"),
            400,
        ),
    ] {
        let mut sender = h1(running.address, &connector).await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
    }
    let text = text(&running.registry);
    for line in [
        "bad_requests_total{reason=\"malformed\"} 4\n",
        "bad_requests_total{reason=\"content_type\"} 2\n",
        "bad_requests_total{reason=\"too_large\"} 1\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

/// Certificates change while clients shake hands as fast as they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_while_certificates_change() {
    let running = start(Limits::default()).await;
    let second = fresh();
    let connector = connector(&[&running.texts, &second], &[H1]);
    let done = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (connector, done) = (connector.clone(), Arc::clone(&done));
            let (count, address) = (Arc::clone(&count), running.address);
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let mut sender = h1(address, &connector).await.unwrap();
                    answer(sender.send_request(review()).await.unwrap()).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let pairs = [Arc::new(read(&second)), Arc::new(read(&running.texts))];
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut swaps = 0_u32;
    while count.load(Ordering::Relaxed) < 100 && Instant::now() < deadline {
        running
            .served
            .publish(Arc::clone(&pairs[swaps as usize % 2]));
        swaps += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(count.load(Ordering::Relaxed) >= 100);
    assert!(swaps > 10, "{swaps}");
    running.served.publish(Arc::clone(&pairs[0]));
    let stream = connect(running.address, &connector).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(shown, pairs[0].certified().cert[0]);
}

/// Clients that keep connections, through the whole end of a server: none sees an error before
/// the listener is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_fails_no_request_of_clients_that_keep_connections() {
    let running = start(Limits::default()).await;
    let connector = connector(&[&running.texts], &[H1]);
    let count = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (connector, address) = (connector.clone(), running.address);
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut closes = 0;
                // A new connection only fails once the listener is gone.
                while let Ok(mut sender) = h1(address, &connector).await {
                    loop {
                        sender.ready().await.unwrap();
                        let response = sender.send_request(review()).await.unwrap();
                        let close = response.headers().contains_key("connection");
                        answer(response).await;
                        count.fetch_add(1, Ordering::Relaxed);
                        if close {
                            closes += 1;
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
                closes
            })
        })
        .collect();
    let idle = h1(running.address, &connector).await.unwrap();
    until(|| count.load(Ordering::Relaxed) > 100).await;
    running.phase.send_replace(Phase::Draining);
    let drained = count.load(Ordering::Relaxed);
    until(|| count.load(Ordering::Relaxed) > drained + 50).await;
    assert!(
        !idle.is_closed(),
        "an idle connection may still bring a request"
    );
    running.phase.send_replace(Phase::Stopped);
    tokio::time::timeout(Duration::from_secs(4), running.task)
        .await
        .unwrap()
        .unwrap();
    for client in clients {
        assert!(client.await.unwrap() > 0, "nobody told it to close");
    }
    until(|| idle.is_closed()).await;
}

#[tokio::test]
async fn a_kept_connection_may_be_idle_but_a_head_may_not_dawdle() {
    let limits = Limits {
        head: Duration::from_millis(200),
        ..Limits::default()
    };
    let running = start(limits).await;
    let connector = connector(&[&running.texts], &[H1]);
    let mut sender = h1(running.address, &connector).await.unwrap();
    answer(sender.send_request(review()).await.unwrap()).await;
    // Three times as long as a head may take.
    tokio::time::sleep(limits.head * 3).await;
    sender.ready().await.unwrap();
    answer(sender.send_request(review()).await.unwrap()).await;

    // One that was opened for later: API servers do not try again if it turns out to be closed.
    let mut spare = h1(running.address, &connector).await.unwrap();
    tokio::time::sleep(limits.head * 3).await;
    spare.ready().await.unwrap();
    answer(spare.send_request(review()).await.unwrap()).await;

    let mut stream = connect(running.address, &connector).await.unwrap();
    let begin = Instant::now();
    stream
        .write_all(b"POST /mutate HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    let _closed = tokio::time::timeout(Duration::from_secs(4), read)
        .await
        .unwrap();
    assert!(begin.elapsed() >= limits.head / 2);
}

#[tokio::test]
async fn an_idle_connection_ends_some_time() {
    let limits = Limits {
        idle: Duration::from_millis(300),
        ..Limits::default()
    };
    let running = start(limits).await;
    let mut sender = h1(running.address, &connector(&[&running.texts], &[H1]))
        .await
        .unwrap();
    answer(sender.send_request(review()).await.unwrap()).await;
    until(|| sender.is_closed()).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let running = start(Limits::default()).await;
    let connector = connector(&[&running.texts], &[H1]);
    let mut stream = connect(running.address, &connector).await.unwrap();
    let head = "POST /mutate?timeout=1s HTTP/1.1\r\nhost: x\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 408");
    // One that ends early.
    let mut stream = connect(running.address, &connector).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    until(|| text(&running.registry).contains("{reason=\"cut_off\"} 1\n")).await;
}

#[tokio::test]
async fn a_handshake_may_not_dawdle_nor_fail_unseen() {
    let limits = Limits {
        handshake: Duration::from_millis(200),
        ..Limits::default()
    };
    let running = start(limits).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut nothing = Vec::new();
    let read = silent.read_to_end(&mut nothing);
    let _closed = tokio::time::timeout(Duration::from_secs(4), read)
        .await
        .unwrap();
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    until(|| {
        let text = text(&running.registry);
        text.contains("{reason=\"handshake_timeout\"} 1\n")
            && text.contains("{reason=\"handshake\"} 1\n")
            && text.contains("connections 0\n")
    })
    .await;
}

#[tokio::test]
async fn a_connection_over_the_limit_takes_the_place_of_the_one_idle_longest() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let running = start(limits).await;
    let connector = connector(&[&running.texts], &[H1]);
    let mut first = h1(running.address, &connector).await.unwrap();
    let mut second = h1(running.address, &connector).await.unwrap();
    for sender in [&mut first, &mut second] {
        answer(sender.send_request(review()).await.unwrap()).await;
        sender.ready().await.unwrap();
    }
    let mut third = h1(running.address, &connector).await.unwrap();
    until(|| first.is_closed()).await;
    assert!(text(&running.registry).contains("{reason=\"limit\"} 1\n"));
    for sender in [&mut second, &mut third] {
        let response = sender.send_request(review()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

/// A client that asks and asks, and reads no answer.
#[tokio::test]
async fn who_reads_no_answers_is_closed() {
    let limits = Limits {
        answer: Duration::from_millis(300),
        ..Limits::default()
    };
    let running = start(limits).await;
    let connector = connector(&[&running.texts], &[H1]);
    let mut stream = slow_reader(running.address, &connector).await;
    let head = b"GET /mutate HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let asking = async { while stream.write_all(&head).await.is_ok() {} };
    let closed = tokio::time::timeout(Duration::from_secs(20), asking).await;
    closed.expect("it is closed");
    until(|| text(&running.registry).contains("connections 0\n")).await;
}

/// A connection with a small window: what the kernel holds for a client is not our affair.
async fn slow_reader(address: SocketAddr, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let name = names()[0].clone();
    connector.connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded_together() {
    let limits = Limits {
        answers: 2 << 20,
        answer: Duration::from_mins(1),
        ..Limits::default()
    };
    let running = start(limits).await;
    let connector = connector(&[&running.texts], &[H1]);
    let overloads = |count: u32| {
        let line = format!("reviews_total{{result=\"fail_open\",reason=\"overload\"}} {count}\n");
        text(&running.registry).contains(&line)
    };
    let patched = async || {
        let mut sender = h1(running.address, &connector).await.unwrap();
        let large = request("POST", "/mutate", "application/json", large_review());
        let answer = answer(sender.send_request(large).await.unwrap()).await;
        answer["response"]["patch"].is_string()
    };
    assert!(patched().await);
    let body = large_review();
    let head = format!(
        "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: {}\r\n\r\n",
        body.len()
    );
    let mut readers = Vec::new();
    for asked in 2..14 {
        let mut stream = slow_reader(running.address, &connector).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        readers.push(stream);
        let count = format!("review_duration_seconds_count {asked}\n");
        until(|| text(&running.registry).contains(&count)).await;
    }
    assert!(
        !overloads(0),
        "twelve answers of hundreds of kilobytes are held"
    );
    assert!(!patched().await, "there is no room for one more");
    drop(readers);
    until(|| text(&running.registry).contains("connections 0\n")).await;
    assert!(patched().await, "room comes back with the connections");
}

#[tokio::test]
async fn connections_that_only_sit_there_make_room() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    let running = start(limits).await;
    let h1_connector = connector(&[&running.texts], &[H1]);
    let mut useful = h1(running.address, &h1_connector).await.unwrap();
    answer(useful.send_request(review()).await.unwrap()).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        idle.push(connect(running.address, &h1_connector).await.unwrap());
    }
    for _ in 0..2 {
        let mut sender = h1(running.address, &h1_connector).await.unwrap();
        answer(sender.send_request(review()).await.unwrap()).await;
        until(|| text(&running.registry).contains("connections 3\n")).await;
        useful.ready().await.unwrap();
        answer(useful.send_request(review()).await.unwrap()).await;
        drop(sender);
        until(|| text(&running.registry).contains("connections 2\n")).await;
        idle.push(connect(running.address, &h1_connector).await.unwrap());
    }
    assert!(text(&running.registry).contains("{reason=\"limit\"} 2\n"));
}

/// Whoever only says that much will come holds no room, and not for as long as it likes.
#[tokio::test]
async fn announced_bodies_that_do_not_come_take_no_room_from_others() {
    let running = start(Limits::default()).await;
    let connector = connector(&[&running.texts], &[H1]);
    let mut silent = Vec::new();
    for _ in 0..5 {
        let mut stream = connect(running.address, &connector).await.unwrap();
        let head = "POST /mutate?timeout=30s HTTP/1.1\r\nhost: x\r\n\
            content-type: application/json\r\ncontent-length: 7340032\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    until(|| text(&running.registry).contains("in_flight 5\n")).await;
    let mut sender = h1(running.address, &connector).await.unwrap();
    answer(sender.send_request(review()).await.unwrap()).await;
    let text = text(&running.registry);
    let overload = "reviews_total{result=\"fail_open\",reason=\"overload\"} 0\n";
    assert!(text.contains(overload), "{text}");
    for mut stream in silent {
        let mut begin = [0; 12];
        let answered = stream.read_exact(&mut begin);
        let answered = tokio::time::timeout(Duration::from_secs(4), answered).await;
        answered.unwrap().unwrap();
        assert_eq!(&begin, b"HTTP/1.1 408");
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
