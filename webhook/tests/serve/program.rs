//! The program in its own process, and a client that checks its certificate.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "localhost";

pub(crate) const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",
    "request":{"uid":"705ab4f5","kind":{"group":"","version":"v1","kind":"Pod"},
    "namespace":"agents","operation":"CREATE","object":{"metadata":{"name":"web",
    "labels":{"app":"mcpserver","mcpserver":"web"}},"spec":{"containers":[{"name":"web"}]}}}}"#;

/// A folder with settings, and a certificate as a kubelet mounts it; gone with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("kaos-webhook-serve-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _from_a_run_that_was_killed = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let settings = "protocol: grpc\nendpoint: http://first:4317\n";
        fs::write(path.join("settings.yaml"), settings).unwrap();
        for file in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(file), path.join(file)).unwrap();
        }
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A new certificate in place of the old, in one step.
    pub(crate) fn issue(&self, version: &str) -> CertificateDer<'static> {
        let signing_key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        let folder = self.0.join(version);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tls.crt"), cert.pem()).unwrap();
        fs::write(folder.join("tls.key"), signing_key.serialize_pem()).unwrap();
        symlink(version, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        cert.der().clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    address: SocketAddr,
    admin: SocketAddr,
    trusted: Vec<CertificateDer<'static>>,
}

impl Program {
    /// Starts it on free ports and waits until it is ready.
    pub(crate) async fn start(folder: &Folder, drain: &str) -> Self {
        let trusted = vec![folder.issue("first")];
        let log = folder.path().join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_kaos-webhook"))
            .args([
                "serve",
                "--no-kube",
                "--certs=files",
                "--dns-name=localhost",
            ])
            .args([
                "--listen=127.0.0.1:0",
                "--admin-listen=127.0.0.1:0",
                "--drain",
                drain,
            ])
            .arg("--cert-dir")
            .arg(folder.path())
            .arg("--config")
            .arg(folder.path().join("settings.yaml"))
            .stderr(File::create(&log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut program = Self {
            child,
            log,
            address: ([127, 0, 0, 1], 0).into(),
            admin: ([127, 0, 0, 1], 0).into(),
            trusted,
        };
        until("its addresses", async || program.log().contains("admin=")).await;
        program.address = program.said("listen=");
        program.admin = program.said("admin=");
        until("readiness", async || program.is_ready().await).await;
        program
    }

    /// What it says when it does not start.
    pub(crate) fn refuses(arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_kaos-webhook"))
            .arg("serve")
            .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
            .args(arguments)
            .env_remove("KUBECONFIG")
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn trust(&mut self, certificate: CertificateDer<'static>) {
        self.trusted.push(certificate);
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn said(&self, key: &str) -> SocketAddr {
        let log = self.log();
        let rest = log.split(key).nth(1).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        until("the end", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().code()
    }

    pub(crate) async fn is_ready(&self) -> bool {
        self.page("/readyz").await.starts_with("HTTP/1.1 200")
    }

    pub(crate) async fn metrics(&self) -> String {
        self.page("/metrics").await
    }

    async fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in &self.trusted {
            roots.add(certificate.clone()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.unwrap()
    }

    pub(crate) async fn certificate(&self) -> CertificateDer<'static> {
        let stream = self.connect().await;
        stream.get_ref().1.peer_certificates().unwrap()[0]
            .clone()
            .into_owned()
    }

    /// The answer to a review on a connection of its own.
    pub(crate) async fn answer(&self) -> String {
        let mut stream = self.connect().await;
        send(&mut stream, REVIEW).await;
        receive(&mut stream).await
    }

    /// The patch in it.
    pub(crate) async fn patch(&self) -> String {
        let answer = self.answer().await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let review: serde_json::Value = serde_json::from_str(body).unwrap();
        let patch = review["response"]["patch"].as_str().unwrap();
        String::from_utf8(BASE64.decode(patch).unwrap()).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(crate) async fn send(stream: &mut TlsStream<TcpStream>, body: &str) {
    let request = format!(
        "POST /mutate?timeout=2s HTTP/1.1\r\nhost: {NAME}\r\n\
        content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Head and body of one answer.
pub(crate) async fn receive(stream: &mut TlsStream<TcpStream>) -> String {
    let mut text = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert_ne!(
            read,
            0,
            "closed in the middle: {}",
            String::from_utf8_lossy(&text)
        );
        text.extend_from_slice(&piece[..read]);
        let answer = String::from_utf8_lossy(&text);
        if let Some((head, body)) = answer.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() == length {
                return answer.into_owned();
            }
        }
    }
}

/// Waits for something, with an end to patience.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done().await {
        assert!(Instant::now() < deadline, "{what} never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
