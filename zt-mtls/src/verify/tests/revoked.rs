//! Revocation lists.

use rcgen::SerialNumber;
use rustls_pki_types::CertificateRevocationListDer;

use super::*;
use crate::testing::pem;

type List = CertificateRevocationListDer<'static>;

/// A list of `ca`, made a day ago, good for ten.
fn list(ca: &TestCa, revoked: &[&TestCert]) -> List {
    ca.revocation_list(revoked, ago(DAY), DAY * 10)
}

fn with_lists<'a>(
    cas: impl IntoIterator<Item = &'a TestCa>,
    lists: impl IntoIterator<Item = List>,
) -> Trust {
    trust(cas).revocation_lists(lists).unwrap()
}

fn unknown() -> (Refusal, AlertDescription) {
    (chain(webpki::Error::UnknownRevocationStatus), UnknownCA)
}

fn revoked() -> (Refusal, AlertDescription) {
    (chain(webpki::Error::CertRevoked), CertificateRevoked)
}

#[test]
fn a_revoked_leaf_is_refused_and_others_are_not() {
    let ca = shop();
    let (orders, refunds) = (ca.workload("/orders"), ca.workload("/refunds"));
    let trust = with_lists([&ca], [list(&ca, &[&orders])]);
    assert_eq!(refused(judge(&trust, &orders.chain)), revoked());
    assert!(judge(&trust, &refunds.chain).is_ok());
}

#[test]
fn whoever_stands_below_a_revoked_ca_is_refused() {
    let ca = shop();
    let serial = || Some(SerialNumber::from(77_u64));
    let mut params = ca_params("below");
    params.serial_number = serial();
    let below = ca.intermediate_with(params);
    // What has its number, as a list knows nothing else.
    let number = with(&ca, |params| params.serial_number = serial());
    let orders = below.workload("/orders");
    let judged = |lists: [List; 2]| judge(&with_lists([&ca], lists), &orders.chain);
    assert!(judged([list(&ca, &[]), list(&below, &[])]).is_ok());
    assert_eq!(
        refused(judged([list(&ca, &[&number]), list(&below, &[])])),
        revoked()
    );
    // The number is revoked among its own issuer's.
    assert!(judged([list(&ca, &[]), list(&below, &[&number])]).is_ok());
}

#[test]
fn an_issuer_without_a_list_is_refused() {
    let ca = shop();
    let below = ca.intermediate("below");
    let orders = below.workload("/orders");
    for lists in [vec![list(&ca, &[])], vec![list(&below, &[])]] {
        let trust = with_lists([&ca], lists);
        assert_eq!(refused(judge(&trust, &orders.chain)), unknown());
    }
}

#[test]
fn an_expired_list_is_refused() {
    let ca = shop();
    let orders = ca.workload("/orders");
    let old = ca.revocation_list(&[], ago(DAY), DAY);
    let (refusal, alert) = refused(judge(&with_lists([&ca], [old]), &orders.chain));
    assert!(matches!(
        refusal,
        Refusal::Chain(webpki::Error::CrlExpired { .. })
    ));
    assert_eq!(alert, UnknownCA);
    let last = ca.revocation_list(&[], ago(DAY), DAY + Duration::from_secs(1));
    assert!(judge(&with_lists([&ca], [last]), &orders.chain).is_ok());
}

#[test]
fn a_list_that_another_key_signed_is_refused() {
    let (ca, impostor) = (shop(), shop());
    let orders = ca.workload("/orders");
    let trust = with_lists([&ca], [list(&impostor, &[])]);
    let found = refused(judge(&trust, &orders.chain));
    assert_eq!(
        found,
        (
            chain(webpki::Error::InvalidCrlSignatureForPublicKey),
            UnknownCA
        )
    );
}

#[test]
fn a_list_of_another_issuer_says_nothing() {
    let (ca, bank) = (shop(), bank());
    let orders = ca.workload("/orders");
    let trust = with_lists([&ca], [list(&bank, &[])]);
    assert_eq!(refused(judge(&trust, &orders.chain)), unknown());
}

#[test]
fn a_ca_without_crl_sign_signs_no_lists() {
    let ca = shop();
    let may = ca.intermediate("below");
    let lists = || [list(&ca, &[]), list(&may, &[])];
    assert!(judge(&with_lists([&ca], lists()), &may.workload("/a").chain).is_ok());
    let mut params = ca_params("below");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let may_not = may.again_with(&ca, params);
    let found = judge(&with_lists([&ca], lists()), &may_not.workload("/a").chain);
    assert_eq!(
        refused(found),
        (chain(webpki::Error::IssuerNotCrlSigner), UnknownCA)
    );
}

#[test]
fn a_revoked_workload_cannot_hide_behind_an_older_list() {
    let ca = shop();
    let orders = ca.workload("/orders");
    let at = |days: u32, revoked: &[&TestCert], number| {
        ca.revocation_list_numbered(revoked, ago(DAY * days), DAY * 20, number)
    };
    for (old, new) in [
        (at(3, &[], 1), at(2, &[&orders], 1)),
        // Made in one second: the number tells; 256 is more than 255.
        (at(2, &[], 255), at(2, &[&orders], 256)),
    ] {
        for lists in [[old.clone(), new.clone()], [new, old]] {
            let trust = with_lists([&ca], lists);
            assert_eq!(refused(judge(&trust, &orders.chain)), revoked());
        }
    }
}

/// SPIRE gives the CAs of all trust domains one name.
#[test]
fn two_domains_whose_cas_have_one_name_have_lists_of_their_own() {
    let one = TestCa::with("shop.example", ca_params("one name"));
    let other = TestCa::with("bank.example", ca_params("one name"));
    let (orders, teller) = (one.workload("/orders"), other.workload("/teller"));
    for lists in [
        [list(&one, &[&orders]), list(&other, &[])],
        [list(&other, &[]), list(&one, &[&orders])],
    ] {
        let trust = with_lists([&one, &other], lists);
        assert_eq!(refused(judge(&trust, &orders.chain)), revoked());
        assert!(judge(&trust, &teller.chain).is_ok());
    }
}

#[test]
fn a_root_before_and_after_its_change_of_keys_has_lists_of_its_own() {
    let (before, after) = (shop(), shop());
    let roots = [before.root().clone(), after.root().clone()];
    let bundle = || TrustBundle::new(before.trust_domain().clone(), roots.clone()).unwrap();
    let (orders, refunds) = (before.workload("/orders"), after.workload("/refunds"));
    let lists = [list(&before, &[&orders]), list(&after, &[])];
    for lists in [lists.clone(), [lists[1].clone(), lists[0].clone()]] {
        let trust = Trust::spiffe([bundle()]).unwrap();
        assert!(judge(&trust, &orders.chain).is_ok());
        let trust = trust.revocation_lists(lists).unwrap();
        assert_eq!(refused(judge(&trust, &orders.chain)), revoked());
        assert!(judge(&trust, &refunds.chain).is_ok());
    }
}

/// With lists for one trust domain, the others are not left unchecked.
#[test]
fn a_domain_without_lists_is_refused_when_another_has_some() {
    let (shop, bank) = (shop(), bank());
    let teller = bank.workload("/teller");
    let trust = with_lists([&shop, &bank], [list(&shop, &[])]);
    assert!(judge(&trust, &shop.workload("/orders").chain).is_ok());
    assert_eq!(refused(judge(&trust, &teller.chain)), unknown());
}

#[test]
fn a_domains_ca_cannot_revoke_or_clear_another_domains_workloads() {
    let one = TestCa::with("shop.example", ca_params("one name"));
    let other = TestCa::with("bank.example", ca_params("one name"));
    let orders = one.workload("/orders");
    let trust = with_lists([&one, &other], [list(&other, &[&orders]), list(&one, &[])]);
    assert!(judge(&trust, &orders.chain).is_ok());
    let newer = other.revocation_list(&[], now(), DAY * 10);
    let trust = with_lists([&one, &other], [newer, list(&one, &[&orders])]);
    assert_eq!(refused(judge(&trust, &orders.chain)), revoked());
}

#[test]
fn lists_are_read_from_pem() {
    let ca = shop();
    let orders = ca.workload("/orders");
    let text =
        |lists: &[List]| -> String { lists.iter().map(|list| pem("X509 CRL", list)).collect() };
    let lists = text(&[list(&bank(), &[]), list(&ca, &[&orders])]);
    let read_bytes = |bytes: &[u8]| trust([&ca]).revocation_lists_pem(bytes);
    let read = |text: &str| read_bytes(text.as_bytes());
    assert_eq!(
        refused(judge(&read(&lists).unwrap(), &orders.chain)),
        revoked()
    );
    for nothing in ["", "no PEM"] {
        assert_eq!(read(nothing).unwrap_err(), TrustError::NoRevocationList);
    }
    // What is no list, or would be passed over, is an error beside one too.
    for other in [pem("CERTIFICATE", ca.root()), pem("CRL", &list(&ca, &[]))] {
        for text in [other.clone(), format!("{lists}{other}")] {
            assert!(matches!(read(&text), Err(TrustError::Pem(_))), "{text}");
        }
    }
    assert!(matches!(
        read_bytes(&lists.as_bytes()[..lists.len() - 30]),
        Err(TrustError::Pem(_))
    ));
    let junk = pem("X509 CRL", b"junk");
    assert!(matches!(read(&junk), Err(TrustError::Crl(_))));
}

#[test]
fn no_list_at_all_is_not_taken_for_nobody_revoked() {
    let none = trust([&shop()]).revocation_lists([]).unwrap_err();
    assert_eq!(none, TrustError::NoRevocationList);
}

#[test]
fn more_lists_than_can_be_sane_are_refused() {
    let ca = shop();
    let one = list(&ca, &[]);
    let many = |number| trust([&ca]).revocation_lists(std::iter::repeat_n(one.clone(), number));
    assert!(many(3).is_ok());
    assert_eq!(
        many(MAX_REVOCATION_LISTS + 1).unwrap_err(),
        TrustError::TooManyRevocations
    );
    let large = CertificateRevocationListDer::from(vec![0; MAX_REVOCATION_LIST + 1]);
    let found = trust([&ca]).revocation_lists([large]).unwrap_err();
    assert_eq!(found, TrustError::TooManyRevocations);
}

#[test]
fn a_list_with_thousands_of_entries_is_read() {
    let ca = shop();
    let orders = ca.workload("/orders");
    let mut all = vec![&orders; 1];
    let others: Vec<_> = (0..40)
        .map(|name| ca.workload(&format!("/{name}")))
        .collect();
    let repeated: Vec<&TestCert> = others.iter().cycle().take(4000).collect();
    all.extend(repeated);
    let long = list(&ca, &all);
    assert!(long.len() > 1 << 16);
    let trust = with_lists([&ca], [long]);
    assert_eq!(refused(judge(&trust, &orders.chain)), revoked());
    assert!(judge(&trust, &ca.workload("/free").chain).is_ok());
}

/// The plain mode asks the same.
#[test]
fn a_plain_certificate_is_revoked_too() {
    let ca = shop();
    let cert = with(&ca, |params| {
        let name = "orders.shop.example".try_into().unwrap();
        params.subject_alt_names = vec![SanType::DnsName(name)];
    });
    let names = PkiNames::none().dns("orders.shop.example");
    let trust = Trust::pki([ca.root().clone()], names).unwrap();
    assert!(judge(&trust, &cert.chain).is_ok());
    let trust = trust.revocation_lists([list(&ca, &[&cert])]).unwrap();
    assert_eq!(refused(judge(&trust, &cert.chain)), revoked());
}

#[test]
fn it_is_known_when_each_list_that_counts_is_out_of_date() {
    let (ca, bank) = (shop(), bank());
    let below = ca.intermediate("below");
    let end = |days: u32| now() + DAY * days;
    let list = |ca: &TestCa, from: Timestamp, days: u32| ca.revocation_list(&[], from, DAY * days);
    let lists = [
        list(&ca, now(), 7),
        list(&ca, ago(DAY), 2),
        list(&below, now(), 3),
        list(&bank, now(), 9),
    ];
    let trust = with_lists([&ca, &bank], lists);
    let mut ends = trust.revocation_lists_end().to_vec();
    ends.sort();
    assert_eq!(ends, [end(3), end(7), end(9)]);
}
