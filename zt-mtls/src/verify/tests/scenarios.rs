//! The situations of go-spiffe's tests of chains.

use super::*;

/// What each situation ends in; `None` where the chain is good.
fn situation(name: &str) -> Option<Refusal> {
    let (shop, bank) = (shop(), bank());
    let good = shop.workload("/workload");
    let judged = |cert: &TestCert| judge(&trust([&shop]), &cert.chain).err();
    let no_trust = |error: TrustError| {
        assert_eq!(error, TrustError::NoRoots);
        Some(Refusal::UnknownTrustDomain(shop.trust_domain().clone()))
    };
    match name {
        // rustls asks for a certificate, and refuses a client without one before anything here.
        "empty chain" => {
            let nothing = CertificateDer::from(Vec::new());
            judge(&trust([&shop]), &[nothing]).err()
        }
        "bundle source without a bundle for the trust domain" => {
            judge(&trust([&bank]), &good.chain).err()
        }
        "no bundle source" => no_trust(Trust::spiffe([]).unwrap_err()),
        "bundle of the right trust domain with no roots" => {
            let error = TrustBundle::new(shop.trust_domain().clone(), []).unwrap_err();
            assert!(error.to_string().contains("no X.509 authority"));
            no_trust(TrustError::NoRoots)
        }
        "only another trust domain's bundle" => judge(&trust([&bank]), &good.chain).err(),
        "leaf URI scheme is sparfe" => judged(&with(&shop, |params| {
            params.subject_alt_names = uris(&["sparfe://shop.example/workload"]);
        })),
        "another domain's roots filed under the leaf's trust domain" => {
            let roots = [bank.root().clone()];
            let bundle = TrustBundle::new(shop.trust_domain().clone(), roots).unwrap();
            judge(&Trust::spiffe([bundle]).unwrap(), &good.chain).err()
        }
        "leaf without URI SAN" => judged(&with(&shop, |params| params.subject_alt_names.clear())),
        "leaf with two URI SANs" => judged(&with(&shop, |params| {
            params.subject_alt_names = uris(&[ORDERS, "spiffe://shop.example/refunds"]);
        })),
        "leaf is a CA" => judged(&with(&shop, |params| {
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        })),
        "leaf with keyCertSign" => judged(&with(&shop, |params| {
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        })),
        "leaf with cRLSign" => judged(&with(&shop, |params| {
            params.key_usages.push(KeyUsagePurpose::CrlSign);
        })),
        "verification time one second after notAfter" => {
            let ended = Timestamp::from_secs(now().as_secs() - 1);
            judged(&with(&shop, |params| {
                valid(params, Timestamp::EPOCH, ended)
            }))
        }
        "leaf issued by the CA of its own trust domain, path /workload" => judged(&good),
        other => panic!("`{other}` is new"),
    }
}

#[test]
fn fourteen_situations_end_as_they_do_upstream() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/go-spiffe/verify_scenarios.json"
    );
    let Ok(text) = std::fs::read(path) else {
        eprintln!("skipped: {path} is not here");
        return;
    };
    let all: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let all = all["scenarios"].as_array().unwrap();
    assert_eq!(all.len(), 14);
    for one in all {
        let name = one["name"].as_str().unwrap();
        let found = situation(name);
        let expected = match name {
            "empty chain" => Some(SvidError::Malformed.into()),
            "leaf URI scheme is sparfe" => Some(SvidError::Id(crate::id::IdError::Scheme).into()),
            "another domain's roots filed under the leaf's trust domain" => {
                Some(chain(webpki::Error::UnknownIssuer))
            }
            "leaf without URI SAN" => Some(SvidError::NoUri.into()),
            "leaf with two URI SANs" => Some(SvidError::SeveralUris.into()),
            "leaf is a CA" => Some(chain(webpki::Error::CaUsedAsEndEntity)),
            "leaf with keyCertSign" | "leaf with cRLSign" => {
                Some(SvidError::SigningAuthority.into())
            }
            "verification time one second after notAfter" => {
                assert_eq!(found.as_ref().map(alert), Some(CertificateExpired));
                found.clone()
            }
            "leaf issued by the CA of its own trust domain, path /workload" => None,
            _ => Some(Refusal::UnknownTrustDomain(shop().trust_domain().clone())),
        };
        assert_eq!(found, expected, "{name}");
        assert_eq!(found.is_none(), one["expect"] == "accept", "{name}");
    }
}
