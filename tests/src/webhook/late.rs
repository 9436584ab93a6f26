//! Those who hear of things late: a replica whose watch lags, as behind a busy API server, and an
//! API server that goes by the `caBundle` of a while ago. Real ones are late by chance; these are
//! so always, so that a rotation in the wrong order is seen in each run.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::World;
use super::cluster::{Cluster, until};
use super::replica::Replica;
use super::setup::{HOME, NAME};

/// How late the second replica hears of anything.
const REPLICA_LATE: Duration = Duration::from_secs(1);
/// How late the late API server goes by a new bundle; replicas wait for longer than this and
/// [`GAP`] together.
const SERVER_LATE: Duration = Duration::from_millis(700);
/// How old beyond that what it goes by may be; where the machine gives nothing younger, it does
/// not look.
const GAP: Duration = Duration::from_millis(400);
/// Four look at once, on the processors that the load needs too.
const LOOK_EVERY: Duration = Duration::from_millis(120);
/// Fewer handshakes than this show nothing.
const ENOUGH: u64 = 50;
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes a kubeconfig beside the given one, whose API server answers late. The way there lasts as
/// long as the program.
pub async fn late_kubeconfig(world: &World) -> Result<PathBuf> {
    let text = std::fs::read_to_string(&world.kubeconfig)?;
    let mut config: Value = serde_norway::from_str(&text)?;
    let server = config["clusters"][0]["cluster"]["server"].clone();
    let server = server.as_str().context("a server")?;
    let address = server.strip_prefix("https://").context("https")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let (host, _) = address.rsplit_once(':').context("a port")?;
    let cluster = &mut config["clusters"][0]["cluster"];
    cluster["server"] = format!("https://{}:{port}", Ipv4Addr::LOCALHOST).into();
    cluster["tls-server-name"] = host.into();
    let address = address.to_owned();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move { carry(near, &address).await });
        }
    });
    let file = world.folder.join("late.kubeconfig");
    std::fs::write(&file, config.to_string())?;
    Ok(file)
}

/// Carries bytes both ways; those from the far end come late.
async fn carry(near: TcpStream, far: &str) -> Result<()> {
    let far = TcpStream::connect(far).await?;
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let there = async {
        tokio::io::copy(&mut near_in, &mut far_out).await?;
        far_out.shutdown().await
    };
    // Bounded: who reads slowly makes the far end wait.
    let (pieces, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let read = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let length = far_in.read(&mut buffer).await?;
            let piece = (Instant::now() + REPLICA_LATE, buffer[..length].to_vec());
            if length == 0 || pieces.send(piece).await.is_err() {
                drop(pieces);
                return std::io::Result::Ok(());
            }
        }
    };
    let write = async {
        while let Some((at, piece)) = due.recv().await {
            sleep(at.saturating_duration_since(Instant::now())).await;
            near_out.write_all(&piece).await?;
        }
        near_out.shutdown().await
    };
    tokio::try_join!(there, read, write)?;
    Ok(())
}

/// Shakes hands with each replica all the time, as an API server does that goes by the newest
/// bundle, and as one that is late.
pub struct Witness {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Seen {
    /// Bundles with the moments in which they were asked for, oldest first.
    bundles: Vec<(Instant, Arc<str>)>,
    /// What each port serves, in DER.
    leaves: HashMap<u16, Vec<u8>>,
    handshakes: u64,
    failed: u64,
    first_failure: Option<String>,
}

impl Witness {
    /// Looks at these replicas until it is told to end.
    pub fn start(world: &World, replicas: &[Replica]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let cluster = world.cluster.clone();
        let mut tasks = vec![tokio::spawn(follow(
            cluster,
            Arc::clone(&seen),
            Arc::clone(&stop),
        ))];
        for port in replicas.iter().map(Replica::port) {
            for late in [Duration::ZERO, SERVER_LATE] {
                let look = look(port, late, Arc::clone(&seen), Arc::clone(&stop));
                tasks.push(tokio::spawn(look));
            }
        }
        Self { stop, seen, tasks }
    }

    /// Whether all replicas serve this certificate, in DER.
    #[must_use]
    pub fn all_serve(&self, leaf: &[u8]) -> bool {
        let seen = lock(&self.seen);
        !seen.leaves.is_empty() && seen.leaves.values().all(|it| it == leaf)
    }

    /// Waits until there were enough handshakes to show something.
    pub async fn enough(&self) -> Result<()> {
        until(PATIENCE * 6, "enough handshakes", async || {
            Ok(lock(&self.seen).handshakes >= ENOUGH)
        })
        .await
    }

    /// An error unless every handshake succeeded; how many there were.
    pub async fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        let seen = lock(&self.seen);
        if let Some(first) = &seen.first_failure {
            bail!("{} handshakes failed; the first: {first}", seen.failed);
        }
        ensure!(
            seen.handshakes >= ENOUGH,
            "only {} handshakes",
            seen.handshakes
        );
        Ok(seen.handshakes)
    }
}

/// Keeps what API servers are told to trust.
async fn follow(cluster: Cluster, seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) -> Result<()> {
    const KINDS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let object = cluster.get(&format!("{KINDS}/{NAME}")).await?;
        let text = object["webhooks"][0]["clientConfig"]["caBundle"].as_str();
        let pem = openssl::base64::decode_block(text.unwrap_or_default())?;
        let pem = String::from_utf8(pem)?;
        {
            let bundles = &mut lock(&seen).bundles;
            bundles.push((asked, pem.into()));
            let old = |(at, _): &&(Instant, _)| at.elapsed() > SERVER_LATE + GAP * 2;
            let old = bundles.iter().take_while(old).count();
            bundles.drain(..old);
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Shakes hands with one replica by the bundle of `late` ago.
async fn look(
    port: u16,
    late: Duration,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        sleep(LOOK_EVERY).await;
        let bundle = bundle_of(&lock(&seen).bundles, late);
        let Some(bundle) = bundle else { continue };
        let shaken = tokio::task::spawn_blocking(move || shake(port, &bundle)).await?;
        let mut seen = lock(&seen);
        seen.handshakes += 1;
        match shaken {
            Ok(leaf) => {
                seen.leaves.insert(port, leaf);
            }
            Err(error) => {
                seen.failed += 1;
                let said = format!("port {port}, {late:?} late: {error:#}");
                seen.first_failure.get_or_insert(said);
            }
        }
    }
    Ok(())
}

/// The youngest that is at least `late` old, unless it is older than that of any API server.
fn bundle_of(bundles: &[(Instant, Arc<str>)], late: Duration) -> Option<Arc<str>> {
    let age = |it: &&(Instant, Arc<str>)| it.0.elapsed() >= late;
    let (at, bundle) = bundles.iter().rev().find(age)?;
    (at.elapsed() <= SERVER_LATE + GAP).then(|| Arc::clone(bundle))
}

/// One handshake as an API server has it; gives the certificate that was served, in DER.
fn shake(port: u16, bundle: &str) -> Result<Vec<u8>> {
    let mut store = X509StoreBuilder::new()?;
    for authority in X509::stack_from_pem(bundle.as_bytes())? {
        store.add_cert(authority)?;
    }
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_cert_store(store.build());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let name = format!("{NAME}.{HOME}.svc");
    let stream = connector.build().connect(&name, stream);
    let stream = stream.map_err(|error| anyhow::anyhow!("{error}"))?;
    let leaf = stream.ssl().peer_certificate().context("a certificate")?;
    Ok(leaf.to_der()?)
}

/// The first certificate of a PEM text, in DER.
pub fn first_der(pem: &[u8]) -> Result<Vec<u8>> {
    Ok(X509::from_pem(pem)?.to_der()?)
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
