//! A certificate authority of our own and a server certificate for loopback.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::command::quiet;
use super::running::Ready;
use super::{Cache, Peer, Recipe, Serving};

const RECIPE: &str = "P-256; CA and server for localhost, 127.0.0.1, ::1; 3650 days; v1";

/// `ca.pem`, `cert.pem` and `key.pem`, made by the openssl program.
pub(crate) struct Tls;

impl Tls {
    /// Lets a server serve TLS if that is wished, by its own arguments for key and certificate;
    /// gives how to see that it does.
    pub(super) fn ready(
        cache: &Cache,
        serving: &Serving,
        path: &'static str,
        [key, certificate]: [&str; 2],
        command: &mut Command,
    ) -> Result<Ready> {
        let port = serving.port;
        if !serving.tls {
            return Ok(Ready::Http { port, path });
        }
        let folder = Self.install(cache)?;
        command
            .args([key.as_ref(), folder.join("key.pem").as_os_str()])
            .args([certificate.as_ref(), folder.join("cert.pem").as_os_str()]);
        let ca = folder.join("ca.pem");
        Ok(Ready::Https { port, path, ca })
    }
}

impl Peer for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn about(&self) -> &'static str {
        "a certificate authority and a certificate for localhost, made here"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[RECIPE],
        };
        cache.entry(&recipe, |folder| {
            quiet(&mut authority(folder))?;
            quiet(&mut server(folder))
        })
    }
}

fn authority(folder: &Path) -> Command {
    let mut command = request(folder, "ca-key.pem", "ca.pem", "/CN=kaos-telemetry peers");
    command
        .args(["-addext", "basicConstraints=critical,CA:TRUE"])
        .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
    command
}

fn server(folder: &Path) -> Command {
    let mut command = request(folder, "key.pem", "cert.pem", "/CN=localhost");
    command
        .args(["-CA", "ca.pem", "-CAkey", "ca-key.pem"])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "extendedKeyUsage=serverAuth"]);
    command
}

fn request(folder: &Path, key: &str, certificate: &str, subject: &str) -> Command {
    let mut command = Command::new("openssl");
    command
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "3650"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-keyout", key, "-out", certificate, "-subj", subject]);
    command
}
