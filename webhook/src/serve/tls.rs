//! TLS with a certificate that can change at any moment.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certs::pair::Pair;

/// The certificate that is served. A handshake takes what is there at its first message and
/// keeps it, so a change breaks none.
#[derive(Debug, Default)]
pub struct Served(ArcSwapOption<Pair>);

impl Served {
    /// Serves `pair` from the next handshake on.
    pub fn publish(&self, pair: Arc<Pair>) {
        self.0.store(Some(pair));
    }

    /// What is served.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Pair>> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.0.load();
        pair.as_ref().map(|pair| Arc::clone(pair.certified()))
    }
}

/// TLS 1.2 and 1.3 with what is `served`.
pub fn config(
    served: Arc<Served>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
        .with_no_client_auth()
        .with_cert_resolver(served);
    // API servers ask for nothing else. Answers of HTTP/2 wait for windows that clients open when
    // they like, many on one connection: what limits those of HTTP/1.1 would not hold them.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // API servers keep connections, not sessions: remembering these would be memory for nothing.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
