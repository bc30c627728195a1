use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use super::{
    der::{GENERALIZED_TIME, UTC_TIME, time},
    *,
};
use crate::{
    credentials::{Identity, IdentityError},
    testing::{Params, TestCa, ca_params, svid_params},
};

const ORDERS: &str = "spiffe://shop.example/orders";

fn folder() -> Option<&'static str> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/go-spiffe"
    );
    if std::fs::exists(path).unwrap_or(false) {
        return Some(path);
    }
    eprintln!("skipped: {path} is not here");
    None
}

fn issue(change: impl FnOnce(&mut Params)) -> Vec<u8> {
    let mut params = svid_params(ORDERS);
    change(&mut params);
    TestCa::new("shop.example").issue(params).chain[0].to_vec()
}

fn workload(change: impl FnOnce(&mut Params)) -> Result<SpiffeId, SvidError> {
    Leaf::read(&issue(change))?.workload()
}

/// An element of DER.
fn element(tag: u8, inside: &[u8]) -> Vec<u8> {
    let length = u16::try_from(inside.len()).unwrap().to_be_bytes();
    let head = match inside.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [&head, inside].concat()
}

/// Replaces the names by an extension with this value.
fn names(value: Vec<u8>) -> impl FnOnce(&mut Params) {
    move |params| {
        params.subject_alt_names.clear();
        params.custom_extensions = vec![extension(17, value)];
    }
}

/// An extension of the arc `id-ce`.
fn extension(number: u64, value: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(&[2, 5, 29, number], value)
}

#[test]
fn what_is_no_certificate_is_malformed() {
    assert_eq!(Leaf::read(b"").unwrap_err(), SvidError::Malformed);
    assert_eq!(
        Leaf::read(&[0; MAX_CERTIFICATE + 1]).unwrap_err(),
        SvidError::TooLong
    );
}

#[test]
fn go_spiffe_loads_the_same_svids() {
    let Some(folder) = folder() else { return };
    let cases = std::fs::read(format!("{folder}/cases.json")).unwrap();
    let cases: Value = serde_json::from_slice(&cases).unwrap();
    let cases = cases["svid"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let read = |member: &str| {
            let name = case[member].as_str().unwrap();
            std::fs::read(format!("{folder}/x509svid/{name}")).unwrap()
        };
        let (certs, key) = (read("certs"), read("key"));
        let found = Identity::from_pem(&certs, &key);
        let Some(error) = case["error"].as_str() else {
            let found = found.unwrap();
            assert_eq!(
                found.spiffe_id().unwrap().as_str(),
                case["id"].as_str().unwrap()
            );
            assert_eq!(
                found.key().cert.len(),
                usize::try_from(case["certificates"].as_u64().unwrap()).unwrap()
            );
            continue;
        };
        match (error, found) {
            // Ours may show a certificate of a plain PKI: then it has no SPIFFE ID.
            ("no URI SAN", Ok(found)) => {
                assert_eq!(found.spiffe_id(), None);
                let der = CertificateDer::from_pem_slice(&certs).unwrap();
                let leaf = Leaf::read(&der).unwrap();
                assert_eq!(leaf.workload(), Err(SvidError::NoUri));
            }
            (_, Ok(_)) => panic!("{error}: taken"),
            (_, Err(found)) => {
                let fits = match error {
                    "no certificates in the certificate file" => {
                        matches!(found, IdentityError::NoCertificate)
                    }
                    "no private key in the key file" => matches!(found, IdentityError::NoKey),
                    "malformed certificate" => {
                        found == IdentityError::Certificate(SvidError::Malformed)
                    }
                    "leaf does not match the private key" => {
                        matches!(found, IdentityError::Key(_))
                    }
                    "leaf has the CA flag" => found == IdentityError::Certificate(SvidError::Ca),
                    "leaf has keyCertSign" => {
                        found == IdentityError::Certificate(SvidError::SigningAuthority)
                    }
                    "signing certificate lacks the CA flag" => {
                        found
                            == IdentityError::Certificate(SvidError::Authority("it is not a CA's"))
                    }
                    _ => false,
                };
                assert!(fits, "{error}: {found}");
            }
        }
    }
}

#[test]
fn section_2_a_workload_has_one_uri() {
    assert_eq!(workload(|_| ()).unwrap().as_str(), ORDERS);
    let none = workload(|params| params.subject_alt_names.clear());
    assert_eq!(none, Err(SvidError::NoUri));
    let dns = SanType::DnsName("orders.shop.example".try_into().unwrap());
    let only_dns = workload(|params| params.subject_alt_names = vec![dns.clone()]);
    assert_eq!(only_dns, Err(SvidError::NoUri));
    for other in [
        "spiffe://shop.example/refunds",
        ORDERS,
        "https://shop.example/",
    ] {
        let other = SanType::URI(other.try_into().unwrap());
        let two = workload(|params| params.subject_alt_names.push(other));
        assert_eq!(two, Err(SvidError::SeveralUris));
    }
}

#[test]
fn section_2_other_names_may_stand_beside_the_uri_and_name_nothing() {
    let der = issue(|params| {
        params.subject_alt_names.extend([
            SanType::DnsName("orders.shop.example".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 1].into()),
            SanType::Rfc822Name("orders@shop.example".try_into().unwrap()),
        ]);
    });
    let leaf = Leaf::read(&der).unwrap();
    assert_eq!(leaf.workload().unwrap().as_str(), ORDERS);
    assert_eq!(
        leaf.dns_names,
        [std::sync::Arc::<str>::from("orders.shop.example")]
    );
}

#[test]
fn section_2_the_uri_is_a_spiffe_id() {
    for (uri, error) in [
        ("https://shop.example/orders", IdError::Scheme),
        ("SPIFFE://shop.example/orders", IdError::Scheme),
        ("sparfe://shop.example/orders", IdError::Scheme),
        (
            "spiffe://shop.example:443/orders",
            IdError::TrustDomainCharacter,
        ),
        (
            "spiffe://me@shop.example/orders",
            IdError::TrustDomainCharacter,
        ),
        (
            "spiffe://Shop.example/orders",
            IdError::TrustDomainCharacter,
        ),
        (
            "spiffe://shop.example/%2e%2e/orders",
            IdError::PathCharacter,
        ),
        ("spiffe://shop.example/../orders", IdError::DotSegment),
        ("spiffe://shop.example/orders/", IdError::TrailingSlash),
        ("spiffe://shop.example/orders?a", IdError::PathCharacter),
        ("", IdError::Empty),
    ] {
        let found = workload(|params| {
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        });
        assert_eq!(found, Err(SvidError::Id(error)), "{uri}");
    }
}

#[test]
fn spiffe_id_section_2_3_an_id_of_2048_bytes_is_read_and_a_longer_one_refused() {
    let start = "spiffe://shop.example/";
    let long = |length: usize| format!("{start}{}", "a".repeat(length - start.len()));
    let found = |length| {
        workload(|params| {
            params.subject_alt_names = vec![SanType::URI(long(length).try_into().unwrap())];
        })
    };
    assert_eq!(found(2048).unwrap().as_str(), long(2048));
    assert_eq!(found(2049), Err(SvidError::Id(IdError::TooLong)));
}

#[test]
fn section_3_1_and_5_2_a_leaf_has_a_path() {
    let found = workload(|params| {
        let domain = "spiffe://shop.example".try_into().unwrap();
        params.subject_alt_names = vec![SanType::URI(domain)];
    });
    assert_eq!(found, Err(SvidError::NoPath));
}

#[test]
fn section_3_2_an_authority_names_a_trust_domain_or_nothing() {
    let read = |uris: &[&str]| {
        let mut params = ca_params("CA");
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names = uris.iter().map(uri).collect();
        let ca = TestCa::with("shop.example", params);
        Authority::read(ca.root())
    };
    assert_eq!(read(&[]).unwrap().domain, None);
    assert_eq!(read(&["https://shop.example/ca"]).unwrap().domain, None);
    let domain = read(&["spiffe://shop.example"]).unwrap().domain;
    assert_eq!(domain.unwrap().as_str(), "shop.example");
    for uris in [
        &["spiffe://shop.example/orders"][..],
        &["spiffe://shop.example", "spiffe://bank.example"],
        &["SPIFFE://shop.example"],
        &["spiffe:shop.example"],
    ] {
        assert_eq!(read(uris), Err(NoAuthority::Workload), "{uris:?}");
    }
}

#[test]
fn section_4_1_and_5_2_a_leaf_says_that_it_is_no_ca() {
    let unconstrained = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = workload(|params| params.is_ca = unconstrained);
    assert_eq!(ca, Err(SvidError::Ca));
    let silent = workload(|params| params.is_ca = IsCa::NoCa);
    assert_eq!(silent, Err(SvidError::NoBasicConstraints));
}

#[test]
fn section_4_1_an_authority_says_that_it_is_a_ca() {
    for no in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let der = issue(|params| {
            params.is_ca = no;
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.subject_alt_names.clear();
        });
        assert_eq!(Authority::read(&der), Err(NoAuthority::NotCa));
    }
}

#[test]
fn section_4_3_a_leaf_has_a_key_usage_for_signatures() {
    let none = workload(|params| params.key_usages.clear());
    assert_eq!(none, Err(SvidError::NoDigitalSignature));
    let other = workload(|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    assert_eq!(other, Err(SvidError::NoDigitalSignature));
    let more = workload(|params| {
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyAgreement,
            KeyUsagePurpose::DecipherOnly,
        ];
    });
    assert!(more.is_ok());
}

#[test]
fn section_4_3_and_5_2_a_leaf_signs_no_certificates_and_no_lists() {
    for wrong in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
        let found = workload(|params| params.key_usages.push(wrong));
        assert_eq!(found, Err(SvidError::SigningAuthority));
    }
}

#[test]
fn section_4_3_an_authority_signs_certificates() {
    let read = |usages: Vec<KeyUsagePurpose>| {
        let mut params = ca_params("CA");
        params.key_usages = usages;
        Authority::read(TestCa::with("shop.example", params).root())
    };
    assert!(read(vec![KeyUsagePurpose::KeyCertSign]).unwrap().has_usage);
    assert!(!read(vec![]).unwrap().has_usage);
    for usages in [
        vec![KeyUsagePurpose::CrlSign],
        vec![KeyUsagePurpose::DigitalSignature],
    ] {
        assert_eq!(read(usages), Err(NoAuthority::NoCertSign));
    }
}

#[test]
fn section_4_4_extended_key_usages_are_for_both_ends() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    for usages in [
        vec![],
        vec![ServerAuth, ClientAuth],
        vec![CodeSigning, ClientAuth, ServerAuth],
    ] {
        assert!(workload(|params| params.extended_key_usages = usages).is_ok());
    }
    for usages in [
        vec![ServerAuth],
        vec![ClientAuth],
        vec![Any],
        vec![CodeSigning],
    ] {
        let found = workload(|params| params.extended_key_usages = usages);
        assert_eq!(found, Err(SvidError::Purpose));
    }
}

#[test]
fn what_means_to_be_a_spiffe_id_is_not_shown_as_a_plain_certificate() {
    let ca = TestCa::new("shop.example");
    for uris in [
        &["SPIFFE://shop.example/a"][..],
        &[ORDERS, "https://shop.example"],
    ] {
        let mut params = svid_params(ORDERS);
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names = uris.iter().map(uri).collect();
        let cert = ca.issue(params);
        assert!(matches!(
            Identity::from_der(cert.chain.clone(), cert.key.clone_key()),
            Err(IdentityError::Certificate(_))
        ));
    }
}

#[test]
fn two_extensions_of_names_are_not_read_as_one() {
    let value = element(0x30, &element(0x86, b"spiffe://shop.example/refunds"));
    let der = issue(|params| params.custom_extensions = vec![extension(17, value)]);
    assert_eq!(Leaf::read(&der).unwrap_err(), SvidError::Malformed);
}

#[test]
fn an_extension_that_stands_twice_is_refused() {
    for (number, value) in [
        (15, vec![3, 2, 7, 0x80]),
        (19, element(0x30, &[])),
        (37, element(0x30, &[6, 1, 0x2a])),
    ] {
        let der = issue(|params| params.custom_extensions = vec![extension(number, value)]);
        assert_eq!(
            Leaf::read(&der).unwrap_err(),
            SvidError::Malformed,
            "{number}"
        );
    }
}

#[test]
fn what_stands_behind_the_names_is_not_passed_over() {
    let good = element(0x30, &element(0x86, ORDERS.as_bytes()));
    assert!(workload(names(good.clone())).is_ok());
    for more in [vec![0], vec![5, 0], good.clone()] {
        let found = workload(names([good.clone(), more].concat()));
        assert_eq!(found, Err(SvidError::Malformed));
    }
}

#[test]
fn names_in_other_encodings_are_refused() {
    let uri = ORDERS.as_bytes();
    let long_form = [&[0x86, 0x81, u8::try_from(uri.len()).unwrap()][..], uri].concat();
    let high_tag = [&[0x9f, 0x06, u8::try_from(uri.len()).unwrap()][..], uri].concat();
    let indefinite = [&[0xa6, 0x80][..], uri, &[0, 0]].concat();
    for name in [
        element(0xa6, uri),
        element(0x46, uri),
        element(0x16, uri),
        long_form,
        high_tag,
        indefinite,
    ] {
        assert_eq!(
            workload(names(element(0x30, &name))),
            Err(SvidError::Malformed)
        );
    }
    let mut short = element(0x30, &element(0x86, uri));
    short[3] += 1;
    assert_eq!(workload(names(short)), Err(SvidError::Malformed));
}

#[test]
fn a_nul_does_not_end_a_name_and_no_other_alphabet_is_read() {
    for name in [
        &b"spiffe://shop.example/orders\0.evil.example"[..],
        b"spiffe://shop.example/orders\n",
        "spiffe://sh\u{f6}p.example/orders".as_bytes(),
        b"spiffe://shop.example/\xffrders",
        b"spiffe://shop.example/orders\x7f",
    ] {
        for tag in [0x86, 0x82] {
            let found = workload(names(element(0x30, &element(tag, name))));
            assert_eq!(found, Err(SvidError::Malformed));
        }
    }
}

#[test]
fn a_key_usage_in_unused_bits_is_refused() {
    // `keyCertSign` among bits that are said not to be there.
    for value in [
        vec![3, 2, 5, 0x84],
        vec![3, 2, 8, 0x80],
        vec![3, 1, 1],
        vec![3, 0],
    ] {
        let found = workload(|params| {
            params.key_usages.clear();
            params.custom_extensions = vec![extension(15, value)];
        });
        assert_eq!(found, Err(SvidError::Malformed));
    }
}

#[test]
fn basic_constraints_that_cannot_be_read_do_not_mean_that_it_is_no_ca() {
    for value in [
        element(0x30, &[1, 1, 1]),
        element(0x30, &[1, 1, 0xff, 5, 0]),
        element(0x30, &[4, 1, 0xff]),
        [element(0x30, &[]), vec![0]].concat(),
        element(0x31, &[]),
        vec![],
    ] {
        let found = workload(|params| {
            params.is_ca = IsCa::NoCa;
            params.custom_extensions = vec![extension(19, value)];
        });
        assert_eq!(found, Err(SvidError::Malformed));
    }
}

#[test]
fn what_stands_behind_a_certificate_is_refused() {
    let mut der = issue(|_| ());
    assert!(Leaf::read(&der).is_ok());
    der.push(0);
    assert_eq!(Leaf::read(&der).unwrap_err(), SvidError::Malformed);
    for length in 0..der.len() - 1 {
        assert_eq!(
            Leaf::read(&der[..length]).unwrap_err(),
            SvidError::Malformed
        );
    }
}

#[test]
fn more_names_than_can_be_sane_are_refused() {
    let with = |number: usize| {
        workload(|params| {
            let name = || SanType::DnsName("a.example".try_into().unwrap());
            params
                .subject_alt_names
                .extend(std::iter::repeat_with(name).take(number - 1));
        })
    };
    assert!(with(MAX_NAMES).is_ok());
    assert_eq!(with(MAX_NAMES + 1), Err(SvidError::TooManyNames));
}

#[test]
fn times_are_read_as_rfc_5280_says() {
    let utc = |text: &str| time((UTC_TIME, text.as_bytes()));
    let general = |text: &str| time((GENERALIZED_TIME, text.as_bytes()));
    assert_eq!(utc("700101000000Z"), Some(0));
    assert_eq!(utc("491231235959Z"), Some(2_524_607_999));
    assert_eq!(utc("500101000000Z"), Some(0), "1950");
    assert_eq!(general("20240229235959Z"), Some(1_709_251_199));
    assert_eq!(general("99991231235959Z"), Some(253_402_300_799));
    assert_eq!(general("00000101000000Z"), Some(0));
    for wrong in [
        "",
        "Z",
        "700101000000",
        "7001010000Z",
        "700101000000+0000",
        "701301000000Z",
        "700001000000Z",
        "700132000000Z",
        "230229000000Z",
        "700101240000Z",
        "700101006000Z",
        "700101000060Z",
        "70010100000aZ",
        "19700101000000Z",
    ] {
        assert_eq!(utc(wrong), None, "{wrong}");
    }
    for wrong in ["700101000000Z", "19700101000000.5Z", "19700101000000"] {
        assert_eq!(general(wrong), None, "{wrong}");
    }
    assert_eq!(time((0x04, b"700101000000Z")), None);
}

/// What another reader finds in a certificate.
struct Theirs {
    uris: Vec<String>,
    dns: Vec<String>,
    end: i64,
    ca: Option<bool>,
    usage: Option<u16>,
}

fn theirs(der: &[u8]) -> Option<Theirs> {
    let (rest, cert) = X509Certificate::from_der(der).ok()?;
    let (mut uris, mut dns, mut ca, mut usage) = (vec![], vec![], None, None);
    for extension in cert.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    match name {
                        GeneralName::URI(uri) => uris.push((*uri).into()),
                        GeneralName::DNSName(name) => dns.push((*name).into()),
                        _ => {}
                    }
                }
            }
            ParsedExtension::BasicConstraints(found) => ca = Some(found.ca),
            ParsedExtension::KeyUsage(found) => usage = Some(found.flags),
            _ => {}
        }
    }
    let end = cert.validity().not_after.timestamp();
    rest.is_empty().then_some(Theirs {
        uris,
        dns,
        end,
        ca,
        usage,
    })
}

/// Where this reads a certificate, webpki and another reader find the same names in it.
fn compare(der: &[u8]) -> bool {
    let Ok(ours) = Leaf::read(der) else {
        return false;
    };
    let uris: Vec<_> = ours.uris.iter().map(|uri| uri.to_string()).collect();
    let der = CertificateDer::from(der);
    if let Ok(cert) = webpki::EndEntityCert::try_from(&der) {
        assert!(cert.valid_uri_names().eq(uris.iter()));
    }
    if let Some(theirs) = theirs(&der) {
        let Theirs {
            dns,
            end,
            ca,
            usage,
            ..
        } = theirs;
        assert_eq!(theirs.uris, uris);
        assert!(dns.iter().eq(ours.dns_names.iter().map(|name| &**name)));
        assert_eq!(u64::try_from(end).unwrap_or(0), ours.not_after.as_secs());
        assert_eq!(ca, ours.ca);
        let bit = |at: u16| usage.is_some_and(|usage| usage >> at & 1 == 1);
        let our = |is: fn(KeyUsage) -> bool| ours.usage.is_some_and(is);
        assert_eq!(bit(0), our(KeyUsage::digital_signature));
        assert_eq!(bit(5), our(KeyUsage::key_cert_sign));
        assert_eq!(bit(6), our(KeyUsage::crl_sign));
    }
    true
}

#[test]
fn three_readers_find_the_same_in_each_certificate_with_a_changed_bit() {
    let good = issue(|params| {
        let name = "orders.shop.example".try_into().unwrap();
        params.subject_alt_names.push(SanType::DnsName(name));
    });
    assert!(compare(&good));
    let mut read = 0;
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut other = good.clone();
            other[place] ^= 1 << bit;
            read += usize::from(compare(&other));
        }
    }
    assert!(
        read > 1000,
        "most of a certificate is a key and a signature"
    );
}

proptest::proptest! {
    #[test]
    fn three_readers_find_the_same_in_names(
        names in proptest::collection::vec(
            (proptest::sample::select(vec![0x82_u8, 0x86, 0x87, 0xa4, 0x81, 0xa6, 0x88]),
             "[a-z:/.]{0,12}|spiffe://a/b|\\PC{0,3}"), 0..4),
        more in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2),
    ) {
        let inside: Vec<u8> = names
            .iter()
            .flat_map(|(tag, text)| element(*tag, text.as_bytes()))
            .collect();
        let value = [element(0x30, &inside), more].concat();
        compare(&issue(self::names(value)));
    }
}

/// `cargo test -p zt-mtls --lib leaf_costs -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn leaf_costs() {
    let der = issue(|_| ());
    let rounds = 20_000;
    for (name, read) in [
        ("Leaf::read", (|der| drop(Leaf::read(der))) as fn(&[u8])),
        ("of which SHA-256", |der| {
            std::hint::black_box(Sha256::digest(der));
        }),
        ("x509-parser", |der| drop(X509Certificate::from_der(der))),
    ] {
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            read(std::hint::black_box(&der));
        }
        println!(
            "{name}: {:?} for {} bytes",
            start.elapsed() / rounds,
            der.len()
        );
    }
}
