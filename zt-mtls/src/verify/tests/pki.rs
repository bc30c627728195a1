//! Certificates of a plain PKI.

use super::*;

fn named(ca: &TestCa, dns: &[&str], all: &[&str]) -> TestCert {
    with(ca, |params| {
        params.subject_alt_names = uris(all);
        let name = |name: &&str| SanType::DnsName((*name).try_into().unwrap());
        params.subject_alt_names.extend(dns.iter().map(name));
    })
}

fn judged(ca: &TestCa, names: PkiNames, cert: &TestCert) -> Result<Verified, Refusal> {
    judge(
        &Trust::pki([ca.root().clone()], names).unwrap(),
        &cert.chain,
    )
}

fn not_allowed() -> (Refusal, AlertDescription) {
    (Refusal::NameNotAllowed, AccessDenied)
}

#[test]
fn nobody_is_allowed_by_default() {
    let ca = shop();
    let cert = named(
        &ca,
        &["orders.shop.example"],
        &["https://shop.example/orders"],
    );
    assert_eq!(refused(judged(&ca, PkiNames::none(), &cert)), not_allowed());
}

#[test]
fn a_dns_name_is_compared_without_regard_to_case() {
    let ca = shop();
    let cert = named(&ca, &["Orders.Shop.example"], &[]);
    let allow = |name: &str| judged(&ca, PkiNames::none().dns(name), &cert);
    assert!(allow("orders.shop.example").is_ok());
    assert!(allow("ORDERS.SHOP.EXAMPLE").is_ok());
    for other in [
        "orders.shop.example.",
        "shop.example",
        "a.orders.shop.example",
        "",
        "*",
    ] {
        assert_eq!(refused(allow(other)), not_allowed(), "{other}");
    }
}

#[test]
fn a_wildcard_matches_no_other_name_on_either_side() {
    let ca = shop();
    let wild = named(&ca, &["*.shop.example"], &[]);
    let found = judged(&ca, PkiNames::none().dns("orders.shop.example"), &wild);
    assert_eq!(refused(found), not_allowed());
    let plain = named(&ca, &["orders.shop.example"], &[]);
    let found = judged(&ca, PkiNames::none().dns("*.shop.example"), &plain);
    assert_eq!(refused(found), not_allowed());
}

#[test]
fn a_uri_is_compared_byte_by_byte() {
    let ca = shop();
    let cert = named(&ca, &[], &["urn:x", "https://shop.example/Orders"]);
    let allow = |uri: &str| judged(&ca, PkiNames::none().uri(uri), &cert);
    assert!(allow("https://shop.example/Orders").is_ok());
    assert!(allow("urn:x").is_ok());
    for other in [
        "https://shop.example/orders",
        "https://shop.example/Orders/",
        "URN:x",
    ] {
        assert_eq!(refused(allow(other)), not_allowed(), "{other}");
    }
}

#[test]
fn a_name_of_one_kind_is_not_taken_for_one_of_another() {
    let ca = shop();
    let dns = named(&ca, &["orders.shop.example"], &[]);
    let found = judged(&ca, PkiNames::none().uri("orders.shop.example"), &dns);
    assert_eq!(refused(found), not_allowed());
    let uri = named(&ca, &[], &["orders.shop.example"]);
    let found = judged(&ca, PkiNames::none().dns("orders.shop.example"), &uri);
    assert_eq!(refused(found), not_allowed());
    // Nor is the subject asked for one.
    let subject = with(&ca, |params| {
        params.subject_alt_names.clear();
        let name = "orders.shop.example";
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
    });
    let found = judged(&ca, PkiNames::none().dns("orders.shop.example"), &subject);
    assert_eq!(refused(found), not_allowed());
}

#[test]
fn a_plain_certificate_has_no_spiffe_id_whatever_its_names_say() {
    let ca = shop();
    let cert = named(&ca, &["orders.shop.example"], &[ORDERS]);
    let found = judged(&ca, PkiNames::none().dns("orders.shop.example"), &cert).unwrap();
    assert_eq!(found.id, None);
    let peer = found.identity(zt_core::identity::PeerSource::Tls);
    assert_eq!(peer.spiffe_id(), None);
}

#[test]
fn the_rules_of_chains_hold_too() {
    let (ca, other) = (shop(), shop());
    let names = || PkiNames::none().dns("orders.shop.example");
    let name = || SanType::DnsName("orders.shop.example".try_into().unwrap());
    let direct = |issuer: &TestCa, change: fn(&mut Params)| {
        let cert = with(issuer, |params| {
            params.subject_alt_names = vec![name()];
            change(params);
        });
        judged(&ca, names(), &cert)
    };
    assert!(direct(&ca, |_| ()).is_ok());
    assert!(direct(&other, |_| ()).is_err());
    let found = direct(&ca, |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyAgreement]
    });
    assert_eq!(refused(found), (Refusal::MayNotSign, CertificateUnknown));
    assert!(direct(&ca, |params| params.key_usages.clear()).is_ok());
    let found = direct(&ca, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(refused(found).1, UnsupportedCertificate);
    let mut params = ca_params("below");
    params.key_usages.clear();
    let below = ca.intermediate_with(params);
    assert_eq!(refused(direct(&below, |_| ())).0, Refusal::NotAnIssuer);
}

#[test]
fn a_root_that_is_no_ca_is_refused() {
    let leaf = shop().workload("/orders").chain[0].clone();
    let found = Trust::pki([leaf], PkiNames::none()).unwrap_err();
    assert_eq!(found, TrustError::Authority("it is not a CA's"));
    let none = Trust::pki([], PkiNames::none()).unwrap_err();
    assert_eq!(none, TrustError::NoRoots);
    let root = shop().root().clone();
    let many = std::iter::repeat_n(root, crate::bundle::MAX_AUTHORITIES + 1);
    assert_eq!(
        Trust::pki(many, PkiNames::none()).unwrap_err(),
        TrustError::TooManyRoots
    );
}
