//! `kaos-webhook serve` without an API server, as a process of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;

use crate::work::tls::certificate;
use crate::{cpu, http, rss};

/// How long it may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// The endpoint is known to drop prompts, so that agents get their variables.
const SETTINGS: &str = "endpoint: http://collector.telemetry.svc:4317\n\
                        contentStripped: [\"http://collector.telemetry.svc:4317\"]\n";

/// An ordinary pod: an agent as the KAOS operator makes it.
const REVIEW: &str = include_str!("../../../webhook-core/tests/golden/agent.json");
/// The line of its metrics that counts pods that got their environment.
const PATCHED: &str = "kaos_webhook_reviews_total{result=\"patched\"";

/// A running webhook; it ends with this value.
pub(super) struct Server {
    child: Child,
    alone: bool,
    address: SocketAddr,
    admin: SocketAddr,
    folder: PathBuf,
}

impl Server {
    /// Starts it, `alone` on the measured processor or where the kernel puts it, and waits until
    /// it is ready.
    pub(super) fn start(program: &Path, alone: bool) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("kaos-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let key = PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(
            Nid::X9_62_PRIME256V1,
        )?)?)?;
        fs::write(folder.join("tls.key"), key.private_key_to_pem_pkcs8()?)?;
        fs::write(folder.join("tls.crt"), certificate(&key)?.to_pem()?)?;
        fs::write(folder.join("settings.yaml"), SETTINGS)?;
        fs::write(folder.join("review.json"), REVIEW)?;
        let (address, admin) = (free()?, free()?);
        let child = cpu::placed(alone.then_some(cpu::MEASURED), program)
            .args(["serve", "--no-kube", "--certs=files"])
            .arg("--dns-name=localhost")
            .arg(format!("--listen={address}"))
            .arg(format!("--admin-listen={admin}"))
            .arg("--cert-dir")
            .arg(&folder)
            .arg("--config")
            .arg(folder.join("settings.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log"))?)
            .spawn()
            .context("cannot start kaos-webhook")?;
        let mut server = Self {
            child,
            alone,
            address,
            admin,
            folder,
        };
        server.ready()?;
        Ok(server)
    }

    /// Whether it has the measured processor for itself.
    pub(super) fn alone(&self) -> bool {
        self.alone
    }

    /// Where reviews go.
    pub(super) fn url(&self) -> String {
        format!("https://{}/mutate?timeout=10s", self.address)
    }

    /// The file of a review.
    pub(super) fn review(&self) -> PathBuf {
        self.folder.join("review.json")
    }

    /// Reviews that it has answered by a patch.
    pub(super) fn patched(&self) -> anyhow::Result<u64> {
        let metrics = http::get(self.admin, "/metrics")?.context("no metrics")?;
        let lines = metrics.lines().filter(|line| line.starts_with(PATCHED));
        let counts = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        Ok(counts.sum())
    }

    /// Processor time that it has had.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::spent(self.child.id())
    }

    /// Its resident memory at its highest so far.
    pub(super) fn peak_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = rss::number(&status, "VmHWM:").context("no high-water mark")?;
        Ok(kib as f64 / 1024.0)
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        while !matches!(http::get(self.admin, "/readyz"), Ok(Some(_))) {
            let ended = self.child.try_wait()?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.join("log"))?;
                bail!("kaos-webhook is not ready: {log}");
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is ours, and has nothing to tidy up.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An address that nobody listens on at this moment.
fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
