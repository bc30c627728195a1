//! How much work a stranger can make.

use super::*;

#[test]
fn six_certificates_between_are_taken_and_seven_refused() {
    let ca = shop();
    let mut below = ca.intermediate("1");
    for level in 2..=6 {
        below = below.intermediate(&level.to_string());
    }
    let six = below.workload("/orders");
    assert_eq!(six.chain.len(), 7);
    assert!(judge(&trust([&ca]), &six.chain).is_ok());
    let seven = below.intermediate("7").workload("/orders");
    let found = refused(judge(&trust([&ca]), &seven.chain));
    assert_eq!(
        found,
        (
            chain(webpki::Error::MaximumPathDepthExceeded),
            CertificateUnknown
        )
    );
}

#[test]
fn a_long_list_is_refused_before_it_is_read() {
    let ca = shop();
    let cert = ca.workload("/orders");
    let list = |length: usize, more: &[CertificateDer<'static>]| {
        let mut chain = cert.chain.clone();
        chain.extend(more.iter().cycle().take(length - 1).cloned());
        judge(&trust([&ca]), &chain)
    };
    let distinct: Vec<_> = (0..MAX_CHAIN)
        .map(|name| ca.intermediate(&name.to_string()).workload("/x").chain[1].clone())
        .collect();
    assert!(list(MAX_CHAIN, &distinct).is_ok());
    let junk = [CertificateDer::from(vec![0; 16])];
    let found = refused(list(MAX_CHAIN + 1, &junk));
    assert_eq!(found, (Refusal::TooLong, BadCertificate));
    let large = [CertificateDer::from(vec![0; MAX_CHAIN_BYTES])];
    assert_eq!(refused(list(2, &large)).0, Refusal::TooLong);
    assert_eq!(refused(list(2, &junk)), (Refusal::Beside, BadCertificate));
}

/// Certificates of one name and different keys, each of which may stand above each other one.
fn tangle(ca: &TestCa, number: usize) -> Vec<CertificateDer<'static>> {
    let top = ca.intermediate("tangled");
    (0..number)
        .map(|_| top.intermediate("tangled").workload("/x").chain[1].clone())
        .collect()
}

#[test]
fn cross_signed_certificates_without_end_are_refused() {
    let ca = shop();
    let leaf = ca.intermediate("tangled").workload("/orders").chain[0].clone();
    let found = |number| {
        let mut chain = vec![leaf.clone()];
        chain.extend(tangle(&ca, number));
        judge(&trust([&ca]), &chain)
    };
    // 4 + 4 * 3 + 4 * 3 * 2 + 4 * 3 * 2 steps, and for 5 more than 100.
    assert_eq!(refused(found(4)).0, chain(webpki::Error::UnknownIssuer));
    assert_eq!(refused(found(5)), (Refusal::Tangled, BadCertificate));
    assert_eq!(refused(found(9)).0, Refusal::Tangled);
}

/// As SPIRE does it, where one stands below another: all CAs have one name.
#[test]
fn a_chain_of_one_name_is_good() {
    let ca = TestCa::with("shop.example", ca_params("one name"));
    let mut below = ca.intermediate("one name");
    for _ in 0..3 {
        below = below.intermediate("one name");
    }
    let cert = below.workload("/orders");
    assert_eq!(cert.chain.len(), 5);
    assert!(judge(&trust([&ca]), &cert.chain).is_ok());
}

/// A list that makes many paths makes no more signatures to be verified than webpki's 100, and no more
/// certificates to be read than a few thousand. Without the bound on steps the last would take seconds here.
#[test]
#[ignore = "a measurement: cargo test -p zt-mtls --lib fan_out -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn fan_out_costs() {
    let ca = shop();
    let leaf = ca.intermediate("tangled").workload("/orders").chain[0].clone();
    let mut lists: Vec<_> = [1, 4, MAX_CHAIN - 1]
        .into_iter()
        .map(|number| (format!("{number} of one name"), tangle(&ca, number)))
        .collect();
    // Two names, each of which stands above itself and the other.
    let names = ["tangled", "knotted"];
    let tops = names.map(|name| ca.intermediate(name));
    let two = names.iter().flat_map(|name| {
        (0..4).map(|place| tops[place % 2].intermediate(name).workload("/x").chain[1].clone())
    });
    lists.push(("two names".into(), two.collect()));
    for (number, others) in lists {
        let anchor = webpki::anchor_from_trusted_cert(ca.root()).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_micros(now().as_micros()));
        let cert = webpki::EndEntityCert::try_from(&leaf).unwrap();
        let start = std::time::Instant::now();
        let usage = webpki::KeyUsage::client_auth();
        let all = algorithms().all;
        let anchors = [anchor];
        let found = cert.verify_for_usage(all, &anchors, &others, at, usage, None, None);
        println!(
            "{number} by webpki alone: {:?}, {:?}",
            start.elapsed(),
            found.err()
        );
        let mut chain = vec![leaf.clone()];
        chain.extend(others);
        let start = std::time::Instant::now();
        let found = judge(&trust([&ca]), &chain);
        println!("{number} here: {:?}, {:?}", start.elapsed(), found.err());
    }
}

/// Writes what fuzz targets begin with.
#[test]
#[ignore = "writes files: cargo test -p zt-mtls --lib seeds -- --ignored"]
fn seeds_are_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(format!("{folder}/{name}"), bytes).unwrap();
    let parts = |all: &[&[u8]]| -> Vec<u8> {
        let part = |der: &&[u8]| {
            let length = u16::try_from(der.len()).unwrap().to_be_bytes();
            [&length, *der].concat()
        };
        all.iter().flat_map(part).collect()
    };
    let ca = shop();
    write("root.der", ca.root());
    let below = ca.intermediate("below");
    let (direct, deep) = (ca.workload("/orders"), below.workload("/orders"));
    let named = with(&ca, |params| {
        let name = "orders.shop.example".try_into().unwrap();
        params.subject_alt_names.push(SanType::DnsName(name));
    });
    let forged = with(&bank(), |_| ());
    write("leaf/permit_workload", &direct.chain[0]);
    write("leaf/permit_with_a_dns_name", &named.chain[0]);
    write("leaf/deny_ca", ca.root());
    write("chain/permit_direct", &parts(&[&direct.chain[0]]));
    write(
        "chain/permit_deep",
        &parts(&[&deep.chain[0], &deep.chain[1]]),
    );
    write("chain/permit_plain", &parts(&[&named.chain[0]]));
    write("chain/deny_incomplete", &parts(&[&deep.chain[0]]));
    write("chain/deny_forged", &parts(&[&forged.chain[0], ca.root()]));
    let tangled = ca.intermediate("tangled").workload("/orders");
    let mut all = vec![tangled.chain[0].clone()];
    all.extend(tangle(&ca, MAX_CHAIN - 1));
    let all: Vec<&[u8]> = all.iter().map(AsRef::as_ref).collect();
    write("chain/deny_tangled", &parts(&all));
    let list = |ca: &TestCa| ca.revocation_list(&[&direct], now(), DAY);
    write("lists/permit_two", &parts(&[&list(&ca), &list(&below)]));
    use base64::{Engine, prelude::BASE64_STANDARD};
    let x5c = BASE64_STANDARD.encode(ca.root());
    let key = format!(r#"{{"kty":"EC","use":"x509-svid","x5c":["{x5c}"]}}"#);
    let set = format!(r#"{{"keys":[{key}],"spiffe_sequence":1,"spiffe_refresh_hint":60}}"#);
    write("bundle/permit_set", set.as_bytes());
    write(
        "bundle/deny_twice",
        set.replacen('{', r#"{"keys":[],"#, 1).as_bytes(),
    );
    write(
        "bundle/permit_pem",
        crate::testing::pem("CERTIFICATE", ca.root()).as_bytes(),
    );
    write("id/permit_workload", ORDERS.as_bytes());
    write("id/deny_dots", b"spiffe://shop.example/../orders");
}
