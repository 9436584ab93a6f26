//! `run` of a client that speaks TLS by a library which the probe has never seen. Needs root, as
//! the probe does, and curl with OpenSSL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

const BODY: &str = r#"{"id":"1","object":"chat.completion","model":"m","choices":[]}"#;

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// A server over TLS that gives each connection to `serve`; its port.
fn server(serve: impl Fn(Stream) + Send + 'static) -> u16 {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            serve(StreamOwned::new(connection, stream));
        }
    });
    port
}

/// Reads until `end` has come.
fn read_until(stream: &mut Stream, end: &str) -> String {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(end.as_bytes()) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => seen.extend_from_slice(&buffer[..n]),
        }
    }
    String::from_utf8(seen).unwrap()
}

/// Answers a chat.
fn model(mut stream: Stream) {
    read_until(&mut stream, "}");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    let _gone = stream.write_all(answer.as_bytes());
    stream.conn.send_close_notify();
    let _gone = stream.flush();
}

/// Passes what comes to where a CONNECT says, and back.
fn proxy(mut stream: Stream) {
    let request = read_until(&mut stream, "\r\n\r\n");
    let target = request.split(' ').nth(1).unwrap_or_default();
    let Ok(mut behind) = TcpStream::connect(target) else {
        return;
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let turn = Some(Duration::from_millis(5));
    stream.sock.set_read_timeout(turn).unwrap();
    behind.set_read_timeout(turn).unwrap();
    while pass(&mut stream, &mut behind) && pass(&mut behind, &mut stream) {}
}

/// Passes on what has come; whether there may be more.
fn pass(from: &mut impl Read, to: &mut impl Write) -> bool {
    let mut buffer = [0; 4096];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(n) => to.write_all(&buffer[..n]).is_ok() && to.flush().is_ok(),
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// A folder with files of curl's TLS library that nobody has mapped before.
fn new_library(folder: &Path) -> PathBuf {
    let libraries = folder.join("lib");
    std::fs::create_dir_all(&libraries).unwrap();
    let script = r#"ldd "$(command -v curl)" | grep -oE '/[^ ]*/lib(ssl|crypto)\.so[^ ]*'"#;
    let listed = Command::new("sh").args(["-c", script]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().count(), 2, "curl with OpenSSL: {listed}");
    for file in listed.lines().map(Path::new) {
        let copy = libraries.join(file.file_name().unwrap());
        std::fs::copy(file, copy).unwrap();
    }
    libraries
}

/// The spans of a chat by curl, each as JSON.
fn spans_of_curl(test: &str, more: &[String]) -> Vec<Value> {
    let folder = std::env::temp_dir().join(format!("{test}-{}", std::process::id()));
    let libraries = new_library(&folder);
    let json = folder.join("spans.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_kaos-probe"))
        .args(["run", "--hold", "--json"])
        .arg(&json)
        .args(["--", "curl", "-sSk", "--max-time", "20", "-d"])
        .arg(r#"{"model":"m","messages":[]}"#)
        .args(["-H", "content-type: application/json"])
        .args(more)
        .env("LD_LIBRARY_PATH", libraries)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let spans = std::fs::read_to_string(json).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), BODY, "{output:?}");
    let spans = spans.lines().map(serde_json::from_str);
    spans.collect::<Result<_, _>>().unwrap()
}

fn status(span: &Value) -> Option<u64> {
    span["attributes"]["http.response.status_code"].as_u64()
}

#[test]
fn run_misses_nothing_of_a_library_that_is_new() {
    let url = format!("https://127.0.0.1:{}/v1/chat/completions", server(model));
    let spans = spans_of_curl("hold", &[url]);
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0]["name"], "chat m");
    assert_eq!(status(&spans[0]), Some(200));
}

#[test]
fn a_call_through_a_proxy_that_speaks_tls_itself_is_seen() {
    let url = format!("https://127.0.0.1:{}/v1/chat/completions", server(model));
    let by = format!("https://127.0.0.1:{}", server(proxy));
    let more = ["--proxy-insecure", "--proxy", &by, &url].map(str::to_owned);
    let spans = spans_of_curl("nested", &more);
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(status(&spans[0]), Some(200));
}
