//! Issues an authority and a serving certificate.
//!
//! Each renewal has an authority of its own, and its key is forgotten once it has signed: what
//! is not stored nobody can steal to sign other certificates with.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use super::pair::{COMMON_NAME, Texts};

/// How far back the validity begins, so that an API server whose clock is late takes it.
pub const BACKDATE: Duration = Duration::from_hours(1);

/// Issues a serving certificate for `names` that ends `life` after `now`.
pub fn issue(names: &[String], now: SystemTime, life: Duration) -> Result<Texts, rcgen::Error> {
    let (not_before, not_after) = (now - BACKDATE, now + life);
    let mut authority = CertificateParams::default();
    authority.distinguished_name = named(COMMON_NAME);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.not_before = not_before.into();
    authority.not_after = not_after.into();
    let authority_key = KeyPair::generate()?;
    let ca = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name = named("kaos-webhook");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    leaf.not_before = not_before.into();
    leaf.not_after = not_after.into();
    let leaf_key = KeyPair::generate()?;
    let cert = leaf.signed_by(&leaf_key, &issuer)?.pem();
    Ok(Texts {
        cert: cert.into_bytes(),
        key: leaf_key.serialize_pem().into_bytes(),
        ca: ca.into_bytes(),
    })
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
