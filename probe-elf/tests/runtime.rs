//! What small files of known content are said to be (fixtures/*.s).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use probe_elf::runtime::{self, Coverage, Facts, GoFacts, PythonFacts, Runtime, StaticTls};

macro_rules! fixture {
    ($name:literal) => {
        facts(include_bytes!(concat!("../fixtures/", $name, ".so")))
    };
}

fn facts(file: &[u8]) -> Facts {
    runtime::inspect(file).unwrap()
}

/// Libraries and whether they are covered, after checking that each entry says something.
fn coverage(facts: &Facts) -> Vec<(String, bool)> {
    let told = |entry: Coverage| {
        assert!(
            entry.reason.ends_with('.') && entry.advice.ends_with('.'),
            "{entry:?}"
        );
        let idle = entry.advice == "Nothing to do.";
        assert_eq!(idle, entry.covered, "advice where it is needed: {entry:?}");
        (entry.library, entry.covered)
    };
    facts.tls_coverage().into_iter().map(told).collect()
}

fn one(library: &str, covered: bool) -> Vec<(String, bool)> {
    vec![(library.to_owned(), covered)]
}

#[test]
fn go_with_tls_is_not_covered() {
    let facts = fixture!("go_tls");
    let go = GoFacts {
        version: Some("go1.26.8".to_owned()),
        path: Some("example.test/agent".to_owned()),
        modules: vec![
            "example.test/agent v1.2.3".to_owned(),
            "github.com/openai/openai-go v3.1.0".to_owned(),
        ],
        crypto_tls: Some(true),
    };
    assert_eq!(facts.runtime, Runtime::Go(go));
    assert_eq!(coverage(&facts), one("Go crypto/tls", false));
    assert!(facts.tls_coverage()[0].reason.contains("go1.26.8"));
}

#[test]
fn go_without_tls_is_covered() {
    let facts = fixture!("go_plain");
    assert!(matches!(&facts.runtime, Runtime::Go(go) if go.crypto_tls == Some(false)));
    assert_eq!(coverage(&facts), one("none (Go)", true));
}

#[test]
fn rustls_is_named_with_its_version() {
    let facts = fixture!("rustls");
    assert_eq!(facts.marks.tls, [StaticTls::Rustls("0.23.46".to_owned())]);
    assert!(facts.marks.rust);
    assert_eq!(coverage(&facts), one("rustls 0.23.46", false));
}

#[test]
fn boringssl_and_its_descendant_are_told_apart() {
    let facts = fixture!("boringssl");
    assert_eq!(facts.marks.tls, [StaticTls::BoringSsl]);
    assert_eq!(coverage(&facts)[0], ("BoringSSL".to_owned(), false));
    let facts = fixture!("aws_lc");
    assert_eq!(facts.marks.tls, [StaticTls::AwsLc]);
    assert_eq!(coverage(&facts), one("AWS-LC", false));
}

#[test]
fn openssl_without_symbols_is_not_covered() {
    let facts = fixture!("openssl_static");
    assert_eq!(coverage(&facts), one("OpenSSL (static)", false));
    assert_eq!(facts.runtime, Runtime::Native);
}

#[test]
fn needed_libraries_are_told_apart_by_name() {
    let facts = fixture!("libcrypto_only");
    assert!(facts.marks.tls.is_empty(), "cryptography is no TLS");
    let expected = [
        ("GnuTLS (libgnutls.so.30)", false),
        ("NSS (libssl3.so)", false),
        ("OpenSSL (libssl-8bd944e8.so.3)", true),
    ];
    assert_eq!(
        coverage(&facts),
        expected.map(|(name, seen)| (name.to_owned(), seen))
    );
}

#[test]
fn a_python_with_openssl_inside_is_covered() {
    let facts = fixture!("python");
    let python = PythonFacts {
        version: Some((3, 12)),
        is_here: true,
    };
    assert_eq!(facts.runtime, Runtime::Python(python));
    assert_eq!(coverage(&facts), one("OpenSSL", true));
}

#[test]
fn a_python_in_a_library_is_known_by_its_name() {
    let facts = fixture!("rustls");
    let python = PythonFacts {
        version: Some((3, 12)),
        is_here: false,
    };
    assert_eq!(facts.runtime, Runtime::Python(python));
}

#[test]
fn node_and_java_are_known() {
    let facts = fixture!("node");
    assert_eq!(facts.runtime, Runtime::Node);
    assert_eq!(facts.dynamic.soname.as_deref(), Some("libnode.so"));
    assert_eq!(coverage(&facts), one("OpenSSL (libssl.so.3)", true));
    let facts = fixture!("boringssl");
    assert_eq!(facts.runtime, Runtime::Java);
    assert_eq!(coverage(&facts)[1], ("Java JSSE".to_owned(), false));
}

#[test]
fn the_build_id_is_read() {
    assert_eq!(
        fixture!("libcrypto_only").dynamic.build_id.as_deref(),
        Some("c0ffee")
    );
    assert_eq!(fixture!("python").dynamic.build_id, None);
}

#[test]
fn the_dynamic_linker_is_read() {
    let musl = fixture!("python").dynamic.interpreter;
    assert_eq!(musl.as_deref(), Some("/lib/ld-musl-x86_64.so.1"));
    assert_eq!(fixture!("node").dynamic.interpreter, None);
}

#[test]
fn a_file_without_tls_says_so() {
    let facts = fixture!("tail"); // Its one function is taken away below.
    assert!(facts.openssl.is_some());
    let mut file = include_bytes!("../fixtures/tail.so").to_vec();
    while let Some(at) = file.windows(4).position(|bytes| bytes == b"SSL_") {
        file[at] = b'X';
    }
    assert_eq!(coverage(&self::facts(&file)), one("none", true));
}

#[test]
fn a_file_without_section_headers_still_shows_its_needs_and_marks() {
    let mut file = include_bytes!("../fixtures/libcrypto_only.so").to_vec();
    file[40..48].fill(0); // e_shoff
    file[60..64].fill(0); // e_shnum, e_shstrndx
    assert_eq!(coverage(&facts(&file)).len(), 3);
    let mut file = include_bytes!("../fixtures/aws_lc.so").to_vec();
    file[40..48].fill(0);
    file[60..64].fill(0);
    assert_eq!(coverage(&facts(&file)), one("AWS-LC", false));
}
