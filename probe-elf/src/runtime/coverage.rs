//! What is seen of a file's TLS, in words that say what to do.

use super::{Facts, Runtime, StaticTls};
use crate::tls::Cost;

const THROUGH_GATEWAY: &str = "Let the program reach its model through a gateway over plain HTTP (http:// as the base URL): that hop is seen whole.";
const NOTHING_TO_DO: &str = "Nothing to do.";

/// What is seen of one TLS library in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The library, by its usual name and version where known.
    pub library: String,
    /// Whether calls through it are seen.
    pub covered: bool,
    /// Why, a sentence.
    pub reason: String,
    /// What the user can do, a sentence.
    pub advice: String,
}

impl Coverage {
    fn seen(library: &str, reason: &str) -> Self {
        Self::new(library, true, reason, NOTHING_TO_DO)
    }

    fn unseen(library: &str, reason: &str, advice: &str) -> Self {
        Self::new(library, false, reason, advice)
    }

    fn new(library: &str, covered: bool, reason: &str, advice: &str) -> Self {
        let [library, reason, advice] = [library, reason, advice].map(str::to_owned);
        Self {
            library,
            covered,
            reason,
            advice,
        }
    }
}

/// One entry for each library, never none.
pub(super) fn of(facts: &Facts) -> Vec<Coverage> {
    let mut found = Vec::new();
    found.extend(defined_here(facts));
    found.extend(facts.dynamic.needed.iter().filter_map(|name| needed(name)));
    found.extend(facts.marks.tls.iter().map(static_one));
    found.extend(of_runtime(&facts.runtime));
    if found.is_empty() {
        found.push(Coverage::seen(
            "none",
            "This file has no TLS library of its own. Plain connections are seen, and libraries that it loads later are judged when they are mapped.",
        ));
    }
    found
}

fn defined_here(facts: &Facts) -> Option<Coverage> {
    let sites = facts.openssl.as_ref()?;
    let reason = match sites.worst_cost() {
        Cost::Emulated => {
            "OpenSSL's functions are in this file by name and are hooked there, at instructions that the kernel emulates."
        }
        Cost::SingleStep => {
            "OpenSSL's functions are in this file by name and are hooked there; some hooks are single-stepped and cost some microseconds a call."
        }
    };
    Some(Coverage::seen("OpenSSL", reason))
}

/// A library that the dynamic linker loads with the file.
fn needed(name: &str) -> Option<Coverage> {
    let is = |prefix: &str| name.starts_with(prefix);
    // NSS's library is `libssl3.so`, OpenSSL's is `libssl.so.3`; wheels carry `libssl-HASH.so.3`.
    if is("libssl.so") || is("libssl-") {
        let reason = "The shared library is hooked when it is mapped.";
        return Some(Coverage::seen(&format!("OpenSSL ({name})"), reason));
    }
    let library = if is("libgnutls") {
        "GnuTLS"
    } else if is("libssl3.so") {
        "NSS"
    } else if is("libmbedtls") {
        "Mbed TLS"
    } else if is("libwolfssl") {
        "wolfSSL"
    } else {
        return None;
    };
    let reason = format!("{library} is loaded with the program, and there are no hooks for it.");
    let advice = format!(
        "Use a build of the program with OpenSSL (libcurl4 in place of libcurl3-gnutls, for example). {THROUGH_GATEWAY}"
    );
    Some(Coverage::unseen(
        &format!("{library} ({name})"),
        &reason,
        &advice,
    ))
}

/// A library that is linked in and left a mark.
fn static_one(library: &StaticTls) -> Coverage {
    let name = match library {
        StaticTls::Rustls(version) => {
            let reason = "rustls is linked in. Rust compiles it anew into each program, so it has no functions with a stable name or form to hook.";
            let advice = format!(
                "Build the program with its native-tls (OpenSSL) feature, if it has one. {THROUGH_GATEWAY}"
            );
            return Coverage::unseen(&format!("rustls {version}"), reason, &advice);
        }
        StaticTls::BoringSsl => "BoringSSL",
        StaticTls::AwsLc => "AWS-LC",
        StaticTls::OpenSsl => "OpenSSL (static)",
    };
    let reason =
        format!("{name} is linked in without symbols, so there is no safe place to hook it.");
    let advice = format!(
        "Use a build that exports SSL_read and SSL_write, or one with a shared libssl. {THROUGH_GATEWAY}"
    );
    Coverage::unseen(name, &reason, &advice)
}

fn of_runtime(runtime: &Runtime) -> Option<Coverage> {
    match runtime {
        Runtime::Go(go) => {
            let version = go.version.as_deref().unwrap_or("an unknown Go version");
            match go.crypto_tls {
                Some(false) => Some(Coverage::seen(
                    "none (Go)",
                    "crypto/tls is not linked in. Plain connections are seen.",
                )),
                Some(true) => Some(Coverage::unseen(
                    "Go crypto/tls",
                    &format!(
                        "The program was built by {version} and has Go's own TLS linked in, which is not hooked yet. Its plain connections are seen."
                    ),
                    THROUGH_GATEWAY,
                )),
                None => Some(Coverage::unseen(
                    "Go crypto/tls",
                    &format!(
                        "The program was built by {version}; its table of functions cannot be read, so it may use Go's own TLS, which is not hooked yet. Its plain connections are seen."
                    ),
                    THROUGH_GATEWAY,
                )),
            }
        }
        Runtime::Java => Some(Coverage::unseen(
            "Java JSSE",
            "Java encrypts in compiled Java code, which has no fixed place to hook. Plain connections are seen, and OpenSSL that Netty loads is judged when it is mapped.",
            THROUGH_GATEWAY,
        )),
        Runtime::Node | Runtime::Bun | Runtime::Python(_) | Runtime::Rust | Runtime::Native => None,
    }
}
