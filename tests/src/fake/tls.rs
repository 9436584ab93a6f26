//! A test authority and the fake's certificate.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameRef};

/// The files that TLS needs.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority that clients have to trust.
    pub authority: PathBuf,
    /// The server's certificate, for `localhost` and the loopback addresses.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// The files in `folder`, made where they are missing.
    pub fn open_or_create(folder: &Path) -> Result<Self> {
        let files = Self::in_folder(folder);
        let complete = [&files.authority, &files.certificate, &files.key];
        if complete.iter().all(|file| file.exists()) {
            Ok(files)
        } else {
            Self::create(folder)
        }
    }

    fn in_folder(folder: &Path) -> Self {
        Self {
            authority: folder.join("authority.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        }
    }

    /// Makes a new authority and a certificate in `folder`, valid for a few days.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).context("make the folder of the certificates")?;
        let (authority_key, key) = (new_key()?, new_key()?);
        let authority = authority(&authority_key)?;
        let certificate = leaf(&key, &authority, &authority_key)?;
        let files = Self::in_folder(folder);
        fs::write(&files.authority, authority.to_pem()?).context("write the authority")?;
        fs::write(&files.certificate, certificate.to_pem()?).context("write the certificate")?;
        fs::write(&files.key, key.private_key_to_pem_pkcs8()?).context("write the key")?;
        Ok(files)
    }

    /// What accepts connections with this certificate. Only HTTP/1.1 is offered.
    pub fn acceptor(&self) -> Result<SslAcceptor> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        builder
            .set_private_key_file(&self.key, SslFiletype::PEM)
            .context("read the key")?;
        builder
            .set_certificate_chain_file(&self.certificate)
            .context("read the certificate")?;
        builder.set_alpn_select_callback(|_, offered| {
            openssl::ssl::select_next_proto(b"\x08http/1.1", offered)
                .ok_or(openssl::ssl::AlpnError::NOACK)
        });
        Ok(builder.build())
    }
}

fn new_key() -> Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn authority(key: &PKey<Private>) -> Result<X509> {
    let name = name("kaos-fake test authority")?;
    let mut builder = certificate(1, &name, &name, key)?;
    builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    builder.append_extension(
        KeyUsage::new()
            .critical()
            .key_cert_sign()
            .crl_sign()
            .build()?,
    )?;
    let id = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(id)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn leaf(key: &PKey<Private>, issuer: &X509, issuer_key: &PKey<Private>) -> Result<X509> {
    let subject = name("localhost")?;
    let mut builder = certificate(2, &subject, issuer.subject_name(), key)?;
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .ip("127.0.0.1")
        .ip("::1")
        .build(&builder.x509v3_context(Some(issuer), None))?;
    builder.append_extension(names)?;
    let context = builder.x509v3_context(Some(issuer), None);
    let authority = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
    builder.append_extension(authority)?;
    builder.append_extension(BasicConstraints::new().build()?)?;
    builder.sign(issuer_key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn certificate(
    serial: u32,
    subject: &X509NameRef,
    issuer: &X509NameRef,
    key: &PKey<Private>,
) -> Result<X509Builder> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(serial)?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    let (from, until) = (
        Asn1Time::from_unix(yesterday())?,
        Asn1Time::days_from_now(30)?,
    );
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    Ok(builder)
}

fn yesterday() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = now.map_or(0, |now| now.as_secs());
    i64::try_from(seconds).unwrap_or(0) - 86_400
}

fn name(common_name: &str) -> Result<X509Name> {
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
    Ok(builder.build())
}
