//! The connector: plain or TLS by the endpoint's scheme.

use std::path::{Path, PathBuf};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use crate::export::config::{Protocol, Tls};

/// Why there can be no TLS.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// A file cannot be read or is not PEM.
    #[error("cannot read certificates or a key from {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds no certificate that can be used as a root.
    #[error("no usable certificate in {0}")]
    NoRoot(PathBuf),
    /// The client's certificate and key do not fit, or TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// A connector for the endpoint. Roots are loaded only where they are needed: reading the
/// system's takes milliseconds and some hundred kilobytes.
pub(super) fn connector(
    tls: &Tls,
    secure: bool,
    protocol: Protocol,
) -> Result<HttpsConnector<HttpConnector>, TlsError> {
    let roots = if secure {
        roots(tls.certificate.as_deref())?
    } else {
        RootCertStore::empty()
    };
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(roots);
    let config = match &tls.client {
        Some((certificate, key)) if secure => config
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(TlsError::Setup)?,
        _ => config.with_no_client_auth(),
    };
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http();
    Ok(match protocol {
        Protocol::Grpc => builder.enable_http2().build(),
        Protocol::HttpProtobuf => builder.enable_http1().build(),
    })
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return Ok(roots);
    };
    let (added, _ignored) = roots.add_parsable_certificates(certificates(file)?);
    if added == 0 {
        return Err(TlsError::NoRoot(file.to_owned()));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |source| TlsError::File {
        path: file.to_owned(),
        source,
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(fail)?;
    certificates.collect::<Result<_, _>>().map_err(fail)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|source| TlsError::File {
        path: file.to_owned(),
        source,
    })
}
