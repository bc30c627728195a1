//! Leaves that are none of a workload, signed by the right CA.

use super::*;
use crate::id::IdError;

#[test]
fn a_workload_of_a_trusted_domain_is_good_at_both_ends() {
    let ca = shop();
    let cert = ca.intermediate("below").workload("/orders");
    for end in [End::Client, End::Server] {
        let found = judge_at(&trust([&ca]), end, &cert.chain, now()).unwrap();
        assert_eq!(found.id.unwrap().as_str(), ORDERS);
    }
}

#[test]
fn each_way_not_to_be_a_workload_is_refused_with_its_alert() {
    type Change = fn(&mut Params);
    let id = |error: IdError| Refusal::Svid(SvidError::Id(error));
    let ca = shop();
    let cases: [(&str, Change, Refusal, AlertDescription); 21] = [
        (
            "no name",
            |params| params.subject_alt_names.clear(),
            SvidError::NoUri.into(),
            CertificateUnknown,
        ),
        (
            "a DNS name alone",
            |params| {
                let name = "orders.shop.example".try_into().unwrap();
                params.subject_alt_names = vec![SanType::DnsName(name)];
            },
            SvidError::NoUri.into(),
            CertificateUnknown,
        ),
        (
            "two URIs",
            |params| params.subject_alt_names.push(uri("https://shop.example")),
            SvidError::SeveralUris.into(),
            CertificateUnknown,
        ),
        (
            "an upper case scheme",
            |params| params.subject_alt_names = uris(&["SPIFFE://shop.example/orders"]),
            id(IdError::Scheme),
            CertificateUnknown,
        ),
        (
            "an upper case trust domain",
            |params| params.subject_alt_names = uris(&["spiffe://SHOP.example/orders"]),
            id(IdError::TrustDomainCharacter),
            CertificateUnknown,
        ),
        (
            "a port",
            |params| params.subject_alt_names = uris(&["spiffe://shop.example:443/orders"]),
            id(IdError::TrustDomainCharacter),
            CertificateUnknown,
        ),
        (
            "a user",
            |params| params.subject_alt_names = uris(&["spiffe://a@shop.example/orders"]),
            id(IdError::TrustDomainCharacter),
            CertificateUnknown,
        ),
        (
            "an encoded dot",
            |params| params.subject_alt_names = uris(&["spiffe://shop.example/%2e%2e/orders"]),
            id(IdError::PathCharacter),
            CertificateUnknown,
        ),
        (
            "dots",
            |params| params.subject_alt_names = uris(&["spiffe://shop.example/a/../orders"]),
            id(IdError::DotSegment),
            CertificateUnknown,
        ),
        (
            "2049 bytes",
            |params| {
                let long = format!("spiffe://shop.example/{}", "a".repeat(2049 - 22));
                assert_eq!(long.len(), 2049);
                params.subject_alt_names = uris(&[&long]);
            },
            id(IdError::TooLong),
            CertificateUnknown,
        ),
        (
            "no path",
            |params| params.subject_alt_names = uris(&["spiffe://shop.example"]),
            SvidError::NoPath.into(),
            CertificateUnknown,
        ),
        (
            "for servers alone",
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            SvidError::Purpose.into(),
            UnsupportedCertificate,
        ),
        (
            "for clients alone",
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            SvidError::Purpose.into(),
            UnsupportedCertificate,
        ),
        (
            "for code",
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning],
            SvidError::Purpose.into(),
            UnsupportedCertificate,
        ),
        (
            "a CA",
            |params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0)),
            chain(webpki::Error::CaUsedAsEndEntity),
            CertificateUnknown,
        ),
        (
            "no basic constraints",
            |params| params.is_ca = IsCa::NoCa,
            SvidError::NoBasicConstraints.into(),
            CertificateUnknown,
        ),
        (
            "keyCertSign",
            |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign),
            SvidError::SigningAuthority.into(),
            CertificateUnknown,
        ),
        (
            "no key usage",
            |params| params.key_usages.clear(),
            SvidError::NoDigitalSignature.into(),
            CertificateUnknown,
        ),
        (
            "key usage for other things",
            |params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement],
            SvidError::NoDigitalSignature.into(),
            CertificateUnknown,
        ),
        (
            "a critical extension that nobody knows",
            |params| {
                let mut unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
                unknown.set_criticality(true);
                params.custom_extensions = vec![unknown];
            },
            chain(webpki::Error::UnsupportedCriticalExtension),
            BadCertificate,
        ),
        (
            "names twice",
            |params| {
                let other =
                    rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0]);
                params.custom_extensions = vec![other];
            },
            SvidError::Malformed.into(),
            BadCertificate,
        ),
    ];
    for (name, change, refusal, alert) in cases {
        let cert = with(&ca, change);
        let found = refused(judge(&trust([&ca]), &cert.chain));
        // webpki finds wrong purposes first where they are for no client, in words of its own.
        let purpose = matches!(
            found.0,
            Refusal::Chain(webpki::Error::RequiredEkuNotFoundContext(_))
        );
        assert!(
            found.0 == refusal || (purpose && refusal == SvidError::Purpose.into()),
            "{name}"
        );
        assert_eq!(found.1, alert, "{name}");
    }
}

#[test]
fn names_beside_the_uri_let_nobody_in_and_keep_nobody_out() {
    let ca = shop();
    let cert = with(&ca, |params| {
        let name = "refunds.shop.example".try_into().unwrap();
        params.subject_alt_names.push(SanType::DnsName(name));
    });
    let found = judge(&trust([&ca]), &cert.chain).unwrap();
    assert_eq!(found.id.unwrap().as_str(), ORDERS);
}

#[test]
fn who_has_ended_or_is_yet_to_begin_is_refused() {
    let ca = shop();
    let (before, after) = (ago(DAY), now() + DAY);
    let span = |from, to| {
        judge(
            &trust([&ca]),
            &with(&ca, |params| valid(params, from, to)).chain,
        )
    };
    assert!(span(before, after).is_ok());
    for (from, to) in [
        (before, before),
        (before, ago(Duration::from_secs(1))),
        (after, after),
    ] {
        assert_eq!(refused(span(from, to)).1, CertificateExpired);
    }
    // From its end on to the end of that second, as webpki has it.
    assert!(span(before, now()).is_ok());
    let never = refused(span(after, before));
    assert_eq!(
        never,
        (
            chain(webpki::Error::InvalidCertValidity),
            CertificateExpired
        )
    );
}
