//! Certificates that name no workload, or that nobody trusted vouches for, over a real socket: each is
//! answered by an alert, and none by the application.

use std::time::Duration;

use rcgen::{BasicConstraints, CustomExtension, IsCa, KeyUsagePurpose, SanType};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use zt_core::clock::{Clock, SystemClock};
use zt_mtls::{
    bundle::TrustBundle,
    credentials::{Credentials, Material},
    serve::Config,
    testing::{Params, TestCa, TestCert, ca_params, svid_params},
    verify::Trust,
};

use super::support::*;

const ID: &str = "spiffe://shop.example/orders";

type Case = (&'static str, TestCert);

async fn each_is_refused(config: Config, cases: Vec<Case>) {
    let server = start(config).await;
    let number = cases.len() as u64;
    for (what, cert) in &cases {
        let heard = refusal(server.address, client(Some(cert), H1)).await;
        assert!(heard.contains("received fatal alert"), "{what}: {heard}");
    }
    until(|| server.handle.status().handshakes == 0).await;
    let status = server.handle.status();
    assert_eq!((status.connections, status.failed), (0, number));
}

fn changed(ca: &TestCa, change: impl FnOnce(&mut Params)) -> TestCert {
    let mut params = svid_params(ID);
    change(&mut params);
    ca.issue(params)
}

fn with(leaf: TestCert, chain: impl FnOnce(&mut Vec<CertificateDer<'static>>)) -> TestCert {
    let mut leaf = leaf;
    chain(&mut leaf.chain);
    leaf
}

#[tokio::test]
async fn uris_that_are_no_ids_of_workloads() {
    let ca = TestCa::new("shop.example");
    let long = format!("{ID}/{}", "a".repeat(2048 - ID.len()));
    assert_eq!(long.len(), 2049);
    let uris = [
        ("upper case", "SPIFFE://shop.example/orders"),
        ("upper case in the domain", "spiffe://Shop.example/orders"),
        ("a port", "spiffe://shop.example:443/orders"),
        ("a user", "spiffe://admin@shop.example/orders"),
        ("an encoded dot", "spiffe://shop.example/%2e/orders"),
        ("dots", "spiffe://shop.example/a/../orders"),
        ("2049 bytes", &long),
        ("a query", "spiffe://shop.example/orders?a"),
        ("a slash at the end", "spiffe://shop.example/orders/"),
        ("two slashes", "spiffe://shop.example//orders"),
        ("another scheme", "sparfe://shop.example/orders"),
        ("no path", "spiffe://shop.example"),
    ];
    let mut cases: Vec<Case> = uris
        .map(|(what, uri)| (what, ca.issue(svid_params(uri))))
        .into();
    let name = |name: &str| SanType::DnsName(name.try_into().unwrap());
    cases.push((
        "no name",
        changed(&ca, |params| params.subject_alt_names.clear()),
    ));
    cases.push((
        "a DNS name alone",
        changed(&ca, |params| {
            params.subject_alt_names = vec![name("orders.shop.example")]
        }),
    ));
    cases.push((
        "two URIs",
        changed(&ca, |params| {
            let more = SanType::URI("spiffe://shop.example/admin".try_into().unwrap());
            params.subject_alt_names.push(more);
        }),
    ));
    each_is_refused(Config::new(ca.credentials("/pay")), cases).await;
}

#[tokio::test]
async fn a_dns_name_beside_the_uri_changes_nothing() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let cert = changed(&ca, |params| {
        let name = SanType::DnsName("admin.shop.example".try_into().unwrap());
        params.subject_alt_names.push(name);
    });
    let mut tls = connect(server.address, client(Some(&cert), H1))
        .await
        .unwrap();
    let (status, who) = get_on(&mut tls, "/").await.unwrap();
    assert_eq!((status, &*who), (200, ID));
}

#[tokio::test]
async fn leaves_that_are_for_something_else() {
    let ca = TestCa::new("shop.example");
    let usages = |usages: &[KeyUsagePurpose]| {
        let usages = usages.to_vec();
        changed(&ca, move |params| params.key_usages = usages)
    };
    let sign = KeyUsagePurpose::DigitalSignature;
    let cases = vec![
        ("no key usage", usages(&[])),
        (
            "no basic constraints",
            changed(&ca, |params| params.is_ca = IsCa::NoCa),
        ),
        (
            "not for signatures",
            usages(&[KeyUsagePurpose::KeyAgreement]),
        ),
        (
            "for certificates",
            usages(&[sign, KeyUsagePurpose::KeyCertSign]),
        ),
        (
            "for revocation lists",
            usages(&[sign, KeyUsagePurpose::CrlSign]),
        ),
    ];
    each_is_refused(Config::new(ca.credentials("/pay")), cases).await;
}

#[tokio::test]
async fn chains_that_lead_nowhere_or_too_far() {
    let ca = TestCa::new("shop.example");
    let below = |change: fn(&mut Params)| {
        let mut params = ca_params("below");
        change(&mut params);
        ca.intermediate_with(params).workload("/orders")
    };
    let mut deep = ca.intermediate("1");
    for level in 2..=7 {
        deep = deep.intermediate(&level.to_string());
    }
    let tangled = ca.intermediate("tangled");
    let knot: Vec<_> = (0..9)
        .map(|_| tangled.intermediate("tangled").workload("/x").chain[1].clone())
        .collect();
    let cases = vec![
        (
            "an issuer without keyCertSign",
            below(|params| params.key_usages.clear()),
        ),
        (
            "an issuer that is no CA",
            below(|params| params.is_ca = IsCa::ExplicitNoCa),
        ),
        (
            "URI name constraints",
            below(|params| {
                // Permitted: `.shop.example`. webpki cannot judge it.
                let permitted = [
                    &[0x30, 0x13, 0xa0, 0x11, 0x30, 0x0f, 0x86, 0x0d][..],
                    b".shop.example",
                ];
                params.custom_extensions = vec![CustomExtension::from_oid_content(
                    &[2, 5, 29, 30],
                    permitted.concat(),
                )];
            }),
        ),
        ("one level too many", {
            let mut params = ca_params("last");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            let last = ca.intermediate_with(params);
            last.intermediate("one more").workload("/orders")
        }),
        ("seven between", deep.workload("/orders")),
        (
            "no issuer beside",
            with(ca.intermediate("left out").workload("/orders"), |chain| {
                chain.truncate(1)
            }),
        ),
        (
            "cross-signed",
            with(tangled.workload("/orders"), |chain| chain.extend(knot)),
        ),
        (
            "a root of that name",
            TestCa::new("shop.example").workload("/orders"),
        ),
        (
            "another domain's CA",
            ca.issue(svid_params("spiffe://bank.example/orders")),
        ),
    ];
    each_is_refused(Config::new(ca.credentials("/pay")), cases).await;
}

/// rustls stops to read at 64 KiB, and does not always come to say so.
#[tokio::test]
async fn a_list_of_more_than_64_kib() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let filler = ca.workload("/filler").chain[0].clone();
    let cert = with(ca.workload("/orders"), |chain| {
        let number = (64 << 10) / filler.len() + 1;
        chain.extend(std::iter::repeat_n(filler, number));
    });
    let heard = refusal(server.address, client(Some(&cert), H1)).await;
    assert!(
        heard.contains("received fatal alert") || heard.contains("closed"),
        "{heard}"
    );
    until(|| server.handle.status().handshakes == 0).await;
    let status = server.handle.status();
    assert_eq!((status.connections, status.failed), (0, 1));
}

#[tokio::test]
async fn an_id_under_the_other_domains_ca() {
    let (shop, bank) = (TestCa::new("shop.example"), TestCa::new("bank.example"));
    let trust = Trust::spiffe([shop.bundle(), bank.bundle()]).unwrap();
    let material = Material::new(shop.workload("/pay").identity(), trust);
    let cases = vec![
        ("shop's by bank", bank.issue(svid_params(ID))),
        (
            "bank's by shop",
            shop.issue(svid_params("spiffe://bank.example/a")),
        ),
        (
            "a third's by shop",
            shop.issue(svid_params("spiffe://mall.example/a")),
        ),
    ];
    each_is_refused(Config::new(Credentials::new(material)), cases).await;
}

#[tokio::test]
async fn what_is_revoked_or_not_known_not_to_be() {
    let ca = TestCa::new("shop.example");
    let (below, other) = (ca.intermediate("below"), TestCa::new("shop.example"));
    let now = SystemClock
        .now()
        .unwrap()
        .saturating_sub(Duration::from_secs(60));
    let hour = Duration::from_secs(3600);
    let serial_of_below = {
        let cert = below.workload("/x").chain[1].clone();
        let (_, read) = x509_parser::parse_x509_certificate(&cert).unwrap();
        read.raw_serial().to_vec()
    };
    let config = |lists: Vec<rustls_pki_types::CertificateRevocationListDer<'static>>| {
        let trust = Trust::spiffe([ca.bundle()]).unwrap();
        let trust = trust.revocation_lists(lists).unwrap();
        let material = Material::new(ca.workload("/pay").identity(), trust);
        Config::new(Credentials::new(material))
    };
    let leaf = || ("a leaf", ca.workload("/orders"));
    let revoked_ca = ca.list_of_serials(&[serial_of_below], now, hour);
    let of_below = below.revocation_list(&[], now, hour);
    let under = ("under a revoked CA", below.workload("/orders"));
    each_is_refused(config(vec![revoked_ca, of_below]), vec![under]).await;
    let stranger = other.revocation_list(&[], now, hour);
    each_is_refused(config(vec![stranger]), vec![leaf()]).await;
    let past = now.saturating_sub(2 * hour);
    let old = ca.revocation_list(&[], past, hour);
    each_is_refused(config(vec![old]), vec![leaf()]).await;
    let of_root = ca.revocation_list(&[], now, hour);
    let uncovered = ("an issuer without a list", below.workload("/orders"));
    each_is_refused(config(vec![of_root]), vec![uncovered]).await;
}

/// What OpenSSL made. The key that is shown is another: the chain is refused before it is asked for.
#[tokio::test]
async fn signatures_that_are_too_weak() {
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let ca = TestCa::new("shop.example");
    for (what, root, leaf) in [
        (
            "RSA-1024",
            include_str!("../../../src/verify/tests/data/rsa-1024-root.pem"),
            include_str!("../../../src/verify/tests/data/rsa-1024-leaf.pem"),
        ),
        (
            "SHA-1",
            include_str!("../../../src/verify/tests/data/sha-1-root.pem"),
            include_str!("../../../src/verify/tests/data/sha-1-leaf.pem"),
        ),
    ] {
        let bundle = TrustBundle::new(ca.trust_domain().clone(), [read(root)]).unwrap();
        let trust = Trust::spiffe([bundle]).unwrap();
        let material = Material::new(ca.workload("/pay").identity(), trust);
        // The server's own certificate is of a root that the client knows by no list.
        let cert = with(ca.workload("/orders"), |chain| *chain = vec![read(leaf)]);
        each_is_refused(Config::new(Credentials::new(material)), vec![(what, cert)]).await;
    }
}
