//! What the fuzz target and the property tests call.

use crate::{go, runtime, tls};

/// Reads everything that can be read from a file, which may be anything.
///
/// # Panics
///
/// If a hook site lies outside of the file, or a file has no coverage to tell: that is what the
/// fuzzer looks for, besides panics and hangs of the readers themselves.
pub fn read_all(file: &[u8]) {
    if let Ok(Some(found)) = tls::openssl_sites(file) {
        for site in found.sites {
            assert!(
                site.file_offset < file.len() as u64,
                "a site outside of the file: {site:?}"
            );
        }
    }
    if let Ok(Some(found)) = go::go_sites(file) {
        for site in found.tls.iter().chain(&found.client) {
            assert!(
                site.file_offset < file.len() as u64,
                "a site outside of the file: {site:?}"
            );
        }
    }
    if let Ok(facts) = runtime::inspect(file) {
        assert!(!facts.tls_coverage().is_empty(), "no coverage to tell");
    }
}
