//! Chains that lead to no root, or to the wrong one, or in a wrong way.

use rcgen::{BasicConstraints, GeneralSubtree, NameConstraints};
use rustls_pki_types::pem::PemObject;

use super::*;

/// A CA named `uri`, below `ca`.
fn below(ca: &TestCa, uri: &str) -> TestCa {
    let mut params = ca_params("below");
    params.subject_alt_names = uris(&[uri]);
    ca.intermediate_with(params)
}

#[test]
fn a_domains_ca_cannot_mint_another_domains_ids() {
    let (shop, bank) = (shop(), bank());
    let forged = with(&bank, |_| ());
    let both = trust([&shop, &bank]);
    let found = refused(judge(&both, &forged.chain));
    assert_eq!(found, (chain(webpki::Error::UnknownIssuer), UnknownCA));
    // Nor with the right root beside it, nor from below.
    let mut chain_with_root = forged.chain.clone();
    chain_with_root.push(shop.root().clone());
    assert!(judge(&both, &chain_with_root).is_err());
    let below = with(&bank.intermediate("below"), |_| ());
    assert!(judge(&both, &below.chain).is_err());
}

#[test]
fn a_ca_with_another_cas_name_cannot_mint_its_ids() {
    let impostor = shop();
    let found = refused(judge(&trust([&shop()]), &with(&impostor, |_| ()).chain));
    assert_eq!(
        found,
        (
            chain(webpki::Error::InvalidSignatureForPublicKey),
            BadCertificate
        )
    );
}

#[test]
fn a_removed_domain_is_unknown() {
    let (shop, bank) = (shop(), bank());
    let cert = bank.workload("/teller");
    assert!(judge(&trust([&shop, &bank]), &cert.chain).is_ok());
    let found = refused(judge(&trust([&shop]), &cert.chain));
    let unknown = Refusal::UnknownTrustDomain(bank.trust_domain().clone());
    assert_eq!(found, (unknown, UnknownCA));
}

/// X509-SVID section 3.2: our root may sign another domain's CA; that CA's IDs are not ours.
#[test]
fn a_foreign_ca_that_our_root_signed_cannot_mint_our_ids() {
    let ca = shop();
    let foreign = below(&ca, "spiffe://bank.example");
    let found = refused(judge(&trust([&ca]), &with(&foreign, |_| ()).chain));
    assert_eq!(found, (Refusal::ForeignIssuer, CertificateUnknown));
    let hidden = foreign.intermediate("nameless");
    let found = refused(judge(&trust([&ca]), &with(&hidden, |_| ()).chain));
    assert_eq!(found.0, Refusal::ForeignIssuer);
    let own = below(&ca, "spiffe://shop.example");
    assert!(judge(&trust([&ca]), &with(&own, |_| ()).chain).is_ok());
}

#[test]
fn a_workload_that_became_a_ca_cannot_mint_ids() {
    let ca = shop();
    let workload = below(&ca, "spiffe://shop.example/orders");
    let found = refused(judge(&trust([&ca]), &with(&workload, |_| ()).chain));
    assert_eq!(found, (Refusal::ForeignIssuer, CertificateUnknown));
}

#[test]
fn a_certificate_between_has_key_cert_sign() {
    let ca = shop();
    for usages in [
        vec![],
        vec![KeyUsagePurpose::CrlSign],
        vec![KeyUsagePurpose::DigitalSignature],
    ] {
        let mut params = ca_params("below");
        params.key_usages = usages;
        let below = ca.intermediate_with(params);
        let found = refused(judge(&trust([&ca]), &below.workload("/orders").chain));
        assert_eq!(found, (Refusal::NotAnIssuer, CertificateUnknown));
    }
}

#[test]
fn a_certificate_between_is_a_ca() {
    let ca = shop();
    for no in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let mut params = ca_params("below");
        params.is_ca = no;
        let below = ca.intermediate_with(params);
        let found = refused(judge(&trust([&ca]), &below.workload("/orders").chain));
        assert_eq!(
            found,
            (chain(webpki::Error::EndEntityUsedAsCa), CertificateUnknown)
        );
    }
}

#[test]
fn a_workload_cannot_sign_for_another() {
    let ca = shop();
    let orders = ca.intermediate_with(svid_params(ORDERS));
    let found = refused(judge(&trust([&ca]), &orders.workload("/refunds").chain));
    assert_eq!(
        found,
        (chain(webpki::Error::EndEntityUsedAsCa), CertificateUnknown)
    );
}

#[test]
fn a_ca_signs_no_more_levels_than_it_may() {
    let ca = shop();
    let mut params = ca_params("last");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let last = ca.intermediate_with(params);
    assert!(judge(&trust([&ca]), &last.workload("/orders").chain).is_ok());
    let found = refused(judge(
        &trust([&ca]),
        &last.intermediate("one more").workload("/a").chain,
    ));
    assert_eq!(
        found,
        (
            chain(webpki::Error::PathLenConstraintViolated),
            CertificateUnknown
        )
    );
}

/// Of URIs, since webpki cannot compare them (X509-SVID section 4.2 expects that); of DNS names, where
/// they forbid one.
#[test]
fn name_constraints_refuse_what_they_do_not_allow() {
    let ca = shop();
    let below = |permitted: Vec<GeneralSubtree>| {
        let mut params = ca_params("below");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: permitted,
            excluded_subtrees: vec![],
        });
        ca.intermediate_with(params)
    };
    let dns = below(vec![GeneralSubtree::DnsName("shop.example".into())]);
    let named = |name: &str| {
        let cert = with(&dns, |params| {
            let name = SanType::DnsName(name.try_into().unwrap());
            params.subject_alt_names.push(name);
        });
        judge(&trust([&ca]), &cert.chain)
    };
    assert!(named("orders.shop.example").is_ok());
    let found = refused(named("orders.bank.example"));
    assert_eq!(
        found,
        (
            chain(webpki::Error::NameConstraintViolation),
            CertificateUnknown
        )
    );
    // Of URIs: an extension made by hand, as `rcgen` has no such; permitted `.shop.example`.
    let mut params = ca_params("of URIs");
    let permitted = [
        &[0x30, 0x13, 0xa0, 0x11, 0x30, 0x0f, 0x86, 0x0d][..],
        b".shop.example",
    ]
    .concat();
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(
        &[2, 5, 29, 30],
        permitted,
    )];
    let of_uris = ca.intermediate_with(params);
    let found = refused(judge(&trust([&ca]), &with(&of_uris, |_| ()).chain));
    assert_eq!(
        found,
        (
            chain(webpki::Error::NameConstraintViolation),
            CertificateUnknown
        )
    );
}

#[test]
fn a_chain_without_what_stands_between_leads_nowhere() {
    let ca = shop();
    let cert = ca.intermediate("below").workload("/orders");
    let found = refused(judge(&trust([&ca]), &cert.chain[..1]));
    assert_eq!(found, (chain(webpki::Error::UnknownIssuer), UnknownCA));
}

#[test]
fn the_order_of_a_chain_does_not_matter() {
    let ca = shop();
    let mut chain = ca
        .intermediate("one")
        .intermediate("two")
        .workload("/orders")
        .chain;
    chain[1..].reverse();
    assert!(judge(&trust([&ca]), &chain).is_ok());
}

#[test]
fn it_is_good_until_the_first_of_its_path_ends() {
    let ends = |days: u64| {
        move |params: &mut Params| {
            valid(params, ago(DAY), now() + DAY * u32::try_from(days).unwrap());
        }
    };
    let at = |days: u64| now() + DAY * u32::try_from(days).unwrap();
    for (root, between, leaf, first) in [(9, 8, 7, 7), (9, 3, 7, 3), (2, 8, 7, 2)] {
        let mut params = ca_params("root");
        ends(root)(&mut params);
        let ca = TestCa::with("shop.example", params);
        let mut params = ca_params("between");
        ends(between)(&mut params);
        let below = ca.intermediate_with(params);
        let cert = with(&below, ends(leaf));
        let found = judge(&trust([&ca]), &cert.chain).unwrap();
        assert_eq!(found.not_after, at(first));
        // What stands beside the path and is not of it counts for nothing.
        let mut params = ca_params("beside");
        ends(1)(&mut params);
        let mut chain = cert.chain.clone();
        chain.push(ca.intermediate_with(params).workload("/x").chain[1].clone());
        assert_eq!(judge(&trust([&ca]), &chain).unwrap().not_after, at(first));
    }
}

#[test]
fn a_root_that_has_ended_or_is_yet_to_begin_vouches_for_nobody() {
    let (day, hour) = (DAY, Duration::from_secs(3600));
    for (from, to) in [(ago(day), ago(hour)), (now() + hour, now() + day)] {
        let mut params = ca_params("root");
        valid(&mut params, from, to);
        let ca = TestCa::with("shop.example", params);
        let found = refused(judge(&trust([&ca]), &ca.workload("/orders").chain));
        assert_eq!(found.1, CertificateExpired);
    }
}

/// RSA of 1024 bits, and SHA-1, in certificates' signatures; what OpenSSL made.
#[test]
fn weak_signatures_are_refused() {
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let found = |root: &str, leaf: &str| {
        let bundle = TrustBundle::new(shop().trust_domain().clone(), [read(root)]).unwrap();
        judge(&Trust::spiffe([bundle]).unwrap(), &[read(leaf)])
    };
    let (rsa_1024, alert) = refused(found(
        include_str!("data/rsa-1024-root.pem"),
        include_str!("data/rsa-1024-leaf.pem"),
    ));
    assert_eq!(rsa_1024, chain(webpki::Error::InvalidSignatureForPublicKey));
    assert_eq!(alert, BadCertificate);
    let (sha_1, alert) = refused(found(
        include_str!("data/sha-1-root.pem"),
        include_str!("data/sha-1-leaf.pem"),
    ));
    let Refusal::Chain(webpki::Error::UnsupportedSignatureAlgorithmContext(_)) = sha_1 else {
        panic!("{sha_1}");
    };
    // RFC 8446 section 4.4.2.4
    assert_eq!(alert, BadCertificate);
    // As strong as can be asked: the two above are refused for that alone.
    let strong = found(
        include_str!("data/rsa-2048-root.pem"),
        include_str!("data/rsa-2048-leaf.pem"),
    );
    assert!(strong.is_ok());
}

#[test]
fn a_changed_certificate_is_refused() {
    let ca = shop();
    let mut der = ca.workload("/orders").chain[0].to_vec();
    let at = der.windows(6).position(|text| text == b"orders").unwrap();
    der[at..at + 6].copy_from_slice(b"refund");
    let found = refused(judge(&trust([&ca]), &[der.into()]));
    assert_eq!(
        found,
        (
            chain(webpki::Error::InvalidSignatureForPublicKey),
            BadCertificate
        )
    );
}

#[test]
fn a_root_is_no_workload() {
    let ca = shop();
    let mut params = ca_params("root");
    params.subject_alt_names = uris(&["spiffe://shop.example"]);
    let named = TestCa::with("shop.example", params);
    assert!(judge(&trust([&ca]), &[ca.root().clone()]).is_err());
    let found = refused(judge(&trust([&named]), &[named.root().clone()]));
    assert_eq!(
        found,
        (chain(webpki::Error::CaUsedAsEndEntity), CertificateUnknown)
    );
}
