//! A serving certificate with its key: read, checked, ready to be served.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why a certificate is not served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadPair {
    /// There is no certificate in the text.
    #[error("{0} holds no PEM certificate")]
    NoCertificate(&'static str),
    /// There is no private key in the text.
    #[error("tls.key holds no PEM private key")]
    NoKey,
    /// A certificate that cannot be read.
    #[error("{0} cannot be read as X.509")]
    Unreadable(&'static str),
    /// The key is not of this certificate, or of a kind that cannot sign.
    #[error("tls.key does not belong to tls.crt")]
    WrongKey,
    /// The API server would not take the certificate for the name by which it calls.
    #[error("tls.crt is not for the name {0}")]
    WrongName(String),
    /// The certificate was issued by somebody else.
    #[error("tls.crt was not issued by ca.crt")]
    WrongIssuer,
    /// Nobody could be told whom to trust.
    #[error("ca.crt is empty")]
    NoAuthority,
    /// The certificate's time is over.
    #[error("tls.crt has expired")]
    Expired,
    /// The certificate's time has not come.
    #[error("tls.crt is not valid yet: is the clock right?")]
    NotYet,
}

/// PEM texts as a Secret or a folder holds them, unchecked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// The serving certificate, and intermediates behind it.
    pub cert: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// The authority that issued it; empty where nobody gave one.
    pub ca: Vec<u8>,
}

/// Without the key: whoever prints it wants to know whether something is there.
impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cert, key, ca } = self;
        let lengths = [cert.len(), key.len(), ca.len()];
        f.debug_tuple("Texts").field(&lengths).finish()
    }
}

/// Where a moment stands to a certificate's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Before it.
    NotYet,
    /// Within it.
    Good,
    /// After it.
    Expired,
}

/// A certificate that matches its key, its names and its issuer.
#[derive(Clone, Debug)]
pub struct Pair {
    certified: Arc<CertifiedKey>,
    authorities: Vec<Authority>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Pair {
    /// Reads and checks all but the time, which passes.
    pub fn read(
        texts: &Texts,
        names: &[ServerName<'static>],
        provider: &CryptoProvider,
    ) -> Result<Self, BadPair> {
        let chain = certificates(&texts.cert, "tls.crt")?;
        let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(|_ignored| BadPair::NoKey)?;
        let (mut not_before, mut not_after) = window(&chain[0], "tls.crt")?;
        let certified = CertifiedKey::from_der(chain, key, provider)
            .map_err(|_may_tell_of_the_key| BadPair::WrongKey)?;
        let authorities = match texts.ca.as_slice() {
            [] => Vec::new(),
            pem => Authority::read_all(pem)?,
        };
        for authority in &authorities {
            not_before = not_before.max(authority.not_before);
            not_after = not_after.min(authority.not_after);
        }
        let pair = Self {
            certified: Arc::new(certified),
            authorities,
            not_before,
            not_after,
        };
        pair.check_names(names)?;
        if !pair.authorities.is_empty() && !pair.chains_to(&pair.authorities, pair.not_before) {
            return Err(BadPair::WrongIssuer);
        }
        Ok(pair)
    }

    /// What the TLS library wants.
    #[must_use]
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// Those who issued it, where known.
    #[must_use]
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// From when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Until when it is valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether it is valid at `now`.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Age {
        if now < self.not_before {
            Age::NotYet
        } else if now >= self.not_after {
            Age::Expired
        } else {
            Age::Good
        }
    }

    /// Whether a client that trusts `bundle` takes this certificate at `now`.
    #[must_use]
    pub fn chains_to(&self, bundle: &[Authority], now: SystemTime) -> bool {
        let [leaf, intermediates @ ..] = self.certified.cert.as_slice() else {
            return false;
        };
        // A self-signed certificate is its own authority; Go's client takes it, webpki does not.
        if bundle.iter().any(|it| it.der == *leaf) {
            return true;
        }
        let anchors: Vec<_> = bundle
            .iter()
            .filter_map(|it| webpki::anchor_from_trusted_cert(&it.der).ok())
            .collect();
        let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) else {
            return false;
        };
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            intermediates,
            UnixTime::since_unix_epoch(since_epoch),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        )
        .is_ok()
    }

    /// Whether both are the same certificate.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.certified.cert.first() == other.certified.cert.first()
    }

    fn check_names(&self, names: &[ServerName<'static>]) -> Result<(), BadPair> {
        let leaf = self.certified.cert.first();
        let leaf = leaf.ok_or(BadPair::NoCertificate("tls.crt"))?;
        let leaf = webpki::EndEntityCert::try_from(leaf)
            .map_err(|_unreadable| BadPair::Unreadable("tls.crt"))?;
        for name in names {
            leaf.verify_is_valid_for_subject_name(name)
                .map_err(|_other_names| BadPair::WrongName(name.to_str().into_owned()))?;
        }
        Ok(())
    }
}

/// A certificate that a client trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    der: CertificateDer<'static>,
    ours: bool,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ours, .. } = self;
        f.debug_struct("Authority")
            .field("ours", ours)
            .finish_non_exhaustive()
    }
}

/// The common name of the authorities that we issue.
pub(super) const COMMON_NAME: &str = "kaos-webhook authority";

impl Authority {
    /// Reads all certificates of a PEM text.
    pub fn read_all(pem: &[u8]) -> Result<Vec<Self>, BadPair> {
        certificates(pem, "ca.crt")?
            .into_iter()
            .map(Self::new)
            .collect()
    }

    fn new(der: CertificateDer<'static>) -> Result<Self, BadPair> {
        let (not_before, not_after) = window(&der, "ca.crt")?;
        let ours = parse(&der, "ca.crt")?
            .subject()
            .iter_common_name()
            .any(|name| name.as_str().is_ok_and(|name| name == COMMON_NAME));
        Ok(Self {
            der,
            ours,
            not_before,
            not_after,
        })
    }

    /// Whether a replica of this webhook issued it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// From when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// As PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        // Line width and marks as `openssl x509` writes them.
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let text = BASE64.encode(&self.der);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}

fn certificates(pem: &[u8], file: &'static str) -> Result<Vec<CertificateDer<'static>>, BadPair> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match list {
        Ok(list) if list.is_empty() => Err(BadPair::NoCertificate(file)),
        Ok(list) => Ok(list),
        Err(_half_written) => Err(BadPair::Unreadable(file)),
    }
}

fn parse<'a>(
    der: &'a CertificateDer<'_>,
    file: &'static str,
) -> Result<X509Certificate<'a>, BadPair> {
    let (_rest, certificate) =
        X509Certificate::from_der(der).map_err(|_malformed| BadPair::Unreadable(file))?;
    Ok(certificate)
}

fn window(
    der: &CertificateDer<'_>,
    file: &'static str,
) -> Result<(SystemTime, SystemTime), BadPair> {
    let certificate = parse(der, file)?;
    let validity = certificate.validity();
    let time = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or_default();
        UNIX_EPOCH + Duration::from_secs(seconds)
    };
    // The last second belongs to the certificate: RFC 5280, section 4.1.2.5.
    let end = time(
        validity
            .not_after
            .timestamp()
            .saturating_add(1)
            .min(LAST_SECOND),
    );
    Ok((time(validity.not_before.timestamp()), end))
}

/// The end of the year 9999, the latest that a certificate can name.
const LAST_SECOND: i64 = 253_402_300_799;

#[cfg(test)]
mod tests;
