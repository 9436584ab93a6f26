use super::super::testing::{NAME, day, days, names, pair, read, texts};
use super::*;

fn refusal(texts: &Texts) -> BadPair {
    Pair::read(texts, &names(), &rustls::crypto::ring::default_provider()).unwrap_err()
}

#[test]
fn what_we_issue_is_good_for_its_name_and_time() {
    let pair = pair(day(10), days(9));
    assert_eq!(pair.age(day(10)), Age::Good);
    assert_eq!(pair.age(day(9)), Age::NotYet);
    assert_eq!(
        pair.age(day(19)),
        Age::Good,
        "the last second belongs to it"
    );
    assert_eq!(pair.age(day(19) + Duration::from_secs(1)), Age::Expired);
    assert!(pair.chains_to(pair.authorities(), day(10)));
    assert!(!pair.chains_to(pair.authorities(), day(40)));
    assert!(pair.authorities().iter().all(Authority::is_ours));
}

#[test]
fn only_its_own_authority_covers_a_certificate() {
    let (one, other) = (pair(day(10), days(9)), pair(day(10), days(9)));
    assert!(!one.chains_to(other.authorities(), day(10)));
    let both = [other.authorities(), one.authorities()].concat();
    assert!(one.chains_to(&both, day(10)));
    assert!(!one.chains_to(&[], day(10)));
}

#[test]
fn a_pem_text_comes_back_as_it_went_in() {
    let texts = texts(day(1), days(1));
    let authorities = Authority::read_all(&texts.ca).unwrap();
    assert_eq!(
        Authority::read_all(authorities[0].pem().as_bytes()).unwrap(),
        authorities
    );
    let twice = format!("{0}{0}", authorities[0].pem());
    assert_eq!(Authority::read_all(twice.as_bytes()).unwrap().len(), 2);
}

#[test]
fn each_kind_of_damage_has_its_own_reason() {
    let good = texts(day(1), days(1));
    let other = texts(day(1), days(1));
    let with = |change: fn(&mut Texts, Texts)| {
        let mut texts = good.clone();
        change(&mut texts, other.clone());
        refusal(&texts)
    };
    assert_eq!(
        with(|it, _| it.cert.clear()),
        BadPair::NoCertificate("tls.crt")
    );
    assert_eq!(with(|it, _| it.key.clear()), BadPair::NoKey);
    assert_eq!(with(|it, other| it.key = other.key), BadPair::WrongKey);
    assert_eq!(with(|it, other| it.cert = other.cert), BadPair::WrongKey);
    assert_eq!(with(|it, other| it.ca = other.ca), BadPair::WrongIssuer);
    assert_eq!(
        with(|it, _| it.ca = b"nothing".to_vec()),
        BadPair::NoCertificate("ca.crt")
    );
    let name = ServerName::try_from("other.kaos.svc").unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let wrong = Pair::read(&good, &[name], &provider).unwrap_err();
    assert_eq!(wrong, BadPair::WrongName("other.kaos.svc".to_owned()));
}

#[test]
fn a_text_cut_anywhere_is_refused_and_never_a_panic() {
    let good = texts(day(1), days(1));
    for cut in 0..good.cert.trim_ascii_end().len() {
        let cert = good.cert[..cut].to_vec();
        let _refused = refusal(&Texts {
            cert,
            ..good.clone()
        });
    }
    for cut in 0..good.key.trim_ascii_end().len() {
        let key = good.key[..cut].to_vec();
        let _refused = refusal(&Texts {
            key,
            ..good.clone()
        });
    }
}

#[test]
fn a_self_signed_certificate_is_covered_by_itself() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.not_before = day(1).into();
    params.not_after = day(3).into();
    let cert = params.self_signed(&key).unwrap().pem().into_bytes();
    let pair = read(&Texts {
        ca: Vec::new(),
        key: key.serialize_pem().into_bytes(),
        cert: cert.clone(),
    });
    assert!(pair.authorities().is_empty());
    assert!(pair.chains_to(&Authority::read_all(&cert).unwrap(), day(2)));
}

#[test]
fn nothing_printed_holds_the_key() {
    let texts = texts(day(1), days(1));
    let printed = format!("{texts:?} {:?}", read(&texts));
    let secret = String::from_utf8(texts.key).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    assert!(!printed.contains(secret), "{printed}");
}
