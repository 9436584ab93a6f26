//! Certificates that the tests hand to the webhook in files.

use std::path::Path;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use super::setup::{HOME, NAME};

/// When a serving certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Good,
    /// It ended years ago.
    Expired,
}

/// A certificate authority of the tests.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self {
            pem: params.self_signed(&key)?.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes `tls.crt`, `tls.key` and `ca.crt` for the webhook's names, as a Secret holds them.
    pub fn write(&self, folder: &Path, address: &str, validity: Validity) -> Result<()> {
        std::fs::create_dir_all(folder).context("make the folder for certificates")?;
        let key = KeyPair::generate()?;
        let service = format!("{NAME}.{HOME}.svc");
        let mut params = CertificateParams::new([service, address.to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if validity == Validity::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer)?;
        std::fs::write(folder.join("tls.key"), key.serialize_pem())?;
        std::fs::write(folder.join("ca.crt"), &self.pem)?;
        std::fs::write(folder.join("tls.crt"), certificate.pem())?;
        Ok(())
    }
}
