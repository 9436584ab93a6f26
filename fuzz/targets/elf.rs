//! A hostile file as the target's executable or libssl.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(facts) = probe_elf::runtime::inspect(bytes) {
        assert!(
            !facts.tls_coverage().is_empty(),
            "every file gets a verdict"
        );
    }
    if let Ok(Some(sites)) = probe_elf::tls::openssl_sites(bytes) {
        let _ = sites.worst_cost();
    }
});
