//! What is seen of a file's TLS, in words that say what to do.

use super::{Facts, GoFacts, Runtime, StaticTls};
use crate::go::GoSites;
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
    found.extend(of_runtime(&facts.runtime, facts.go.as_ref()));
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

fn of_runtime(runtime: &Runtime, sites: Option<&GoSites>) -> Option<Coverage> {
    match runtime {
        Runtime::Go(go) => Some(of_go(go, sites)),
        Runtime::Java => Some(Coverage::unseen(
            "Java JSSE",
            "Java encrypts in compiled Java code, which has no fixed place to hook. Plain connections are seen, and OpenSSL that Netty loads is judged when it is mapped.",
            THROUGH_GATEWAY,
        )),
        Runtime::Node | Runtime::Bun | Runtime::Python(_) | Runtime::Rust | Runtime::Native => None,
    }
}

fn of_go(go: &GoFacts, sites: Option<&GoSites>) -> Coverage {
    const LIBRARY: &str = "Go crypto/tls";
    let version = go.version.as_deref().unwrap_or("an unknown Go version");
    if go.crypto_tls == Some(false) {
        let reason = "crypto/tls is not linked in. Plain connections are seen.";
        return Coverage::seen("none (Go)", reason);
    }
    if sites.is_some_and(|sites| !sites.tls.is_empty()) {
        let reason = format!(
            "The program was built by {version}, and Go's own TLS is hooked in it. HTTP/1.1 is seen; connections that speak HTTP/2, which Go prefers over TLS, are counted (kaos_probe_http2_connections_total) and not followed."
        );
        return Coverage::seen(LIBRARY, &reason);
    }
    let reason = if go.crypto_tls.is_some() {
        format!(
            "The program was built by {version} and has Go's own TLS linked in, in a form that is not hooked (hooks are for x86-64 and Go 1.18 and later). Its plain connections are seen."
        )
    } else {
        format!(
            "The program was built by {version}; its table of functions cannot be read, so it may use Go's own TLS, which then is not hooked. Its plain connections are seen."
        )
    };
    Coverage::unseen(LIBRARY, &reason, THROUGH_GATEWAY)
}
