//! Keys and certificates of a cluster that lives for minutes.

use std::fs;
use std::path::{Path, PathBuf};

use super::network::ADDRESS;
use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The names by which the API server is called.
const SERVER_NAMES: [&str; 8] = [
    "localhost",
    "127.0.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    // The Service's address, and ours: a kubelet serves with this certificate too.
    "10.96.0.1",
    ADDRESS,
];

/// A folder with a certificate authority and what it signed.
pub(super) struct Pki {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Makes `ca.crt`, `server.crt`, `server.key`, and `accounts.key` with `accounts.pub`, which
    /// sign the tokens of service accounts.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let key = KeyPair::generate()?;
        let mut params = named("kaos-test-ca", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        fs::write(folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
        let pki = Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(params, key),
        };
        let mut server = named("kube-apiserver", None);
        server.subject_alt_names =
            CertificateParams::new(SERVER_NAMES.map(str::to_owned))?.subject_alt_names;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        pki.sign("server", server)?;
        let accounts = KeyPair::generate()?;
        fs::write(folder.join("accounts.key"), accounts.serialize_pem())?;
        fs::write(folder.join("accounts.pub"), accounts.public_key_pem())?;
        Ok(pki)
    }

    /// A file of the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes `NAME.kubeconfig` for a user of a group; its certificate lies beside it.
    pub(super) fn kubeconfig(
        &self,
        name: &str,
        user: &str,
        group: Option<&str>,
        port: u16,
    ) -> Result<PathBuf> {
        let mut params = named(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, params)?;
        let file = |name: String| self.folder.join(name).display().to_string();
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "kaos-test",
            "clusters": [{"name": "kaos-test", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority": file("ca.crt".to_owned()),
            }}],
            "users": [{"name": name, "user": {
                "client-certificate": file(format!("{name}.crt")),
                "client-key": file(format!("{name}.key")),
            }}],
            "contexts": [{"name": "kaos-test", "context": {"cluster": "kaos-test", "user": name}}],
        });
        let path = self.folder.join(format!("{name}.kubeconfig"));
        // JSON is YAML.
        fs::write(&path, serde_json::to_string_pretty(&config)?)?;
        Ok(path)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Result<()> {
        let key = KeyPair::generate()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(self.file(&format!("{name}.crt")), certificate.pem())?;
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem())?;
        Ok(())
    }
}

/// Kubernetes reads a user from the common name and a group from the organisation.
fn named(user: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    params
}
