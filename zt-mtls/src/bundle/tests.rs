use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{IsCa, KeyUsagePurpose, SanType};
use serde_json::{Value, json};

use super::*;
use crate::testing::{TestCa, ca_params, pem, svid_params};

fn domain(name: &str) -> TrustDomain {
    TrustDomain::parse(name).unwrap()
}

fn shop() -> TrustDomain {
    domain("shop.example")
}

fn ca() -> TestCa {
    TestCa::new("shop.example")
}

fn key(der: &[u8]) -> Value {
    json!({"use": "x509-svid", "kty": "EC", "x5c": [BASE64_STANDARD.encode(der)]})
}

fn read(set: &Value) -> Result<TrustBundle, BundleError> {
    TrustBundle::from_jwks(shop(), set.to_string().as_bytes())
}

/// What a bundle is when `change` was made to its one key.
fn read_with(ca: &TestCa, change: impl FnOnce(&mut Value)) -> Result<TrustBundle, BundleError> {
    let mut key = key(ca.root());
    change(&mut key);
    read(&json!({"keys": [key]}))
}

fn authority(why: &'static str) -> BundleError {
    BundleError::Authority {
        domain: shop(),
        place: 0,
        why,
    }
}

#[test]
fn go_spiffe_reads_the_same_bundles() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/go-spiffe"
    );
    let Ok(cases) = std::fs::read(format!("{folder}/cases.json")) else {
        eprintln!("skipped: {folder} is not here");
        return;
    };
    let cases: Value = serde_json::from_slice(&cases).unwrap();
    let cases = cases["bundles"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let file = case["file"].as_str().unwrap();
        let bytes = std::fs::read(format!("{folder}/{file}")).unwrap();
        let local = || domain("local");
        match file {
            // Of version 1, which cannot say that it is a CA's: upstream asks for no such thing.
            "x509bundle/cert.pem" => assert_eq!(
                TrustBundle::from_pem(shop(), &bytes),
                Err(authority("it cannot be read"))
            ),
            // A bundle without roots is none here.
            "x509bundle/empty.pem" => assert_eq!(
                TrustBundle::from_pem(shop(), &bytes),
                Err(BundleError::Empty(shop()))
            ),
            "x509bundle/corrupted.pem" => {
                assert!(TrustBundle::from_pem(shop(), &bytes).is_err());
            }
            "spiffebundle/spiffebundle_valid_1.json" => {
                let found = TrustBundle::from_jwks(local(), &bytes).unwrap();
                assert_eq!(found.roots().len(), 1);
                assert_eq!(case["x509Authorities"], 1);
                // Its root is another trust domain's.
                let other = TrustBundle::from_jwks(shop(), &bytes);
                assert_eq!(other, Err(authority("it names another trust domain")));
            }
            "spiffebundle/spiffebundle_missing_kid.json" => {
                let found = TrustBundle::from_jwks(local(), &bytes).unwrap_err();
                assert!(found.to_string().contains("`kid`"), "{found}");
            }
            "spiffebundle/spiffebundle_no_keys.json" => {
                let found = TrustBundle::from_jwks(local(), &bytes).unwrap_err();
                assert!(
                    found.to_string().contains("missing field `keys`"),
                    "{found}"
                );
            }
            // Keys of no use are no X.509 authorities.
            "jwtbundle/jwks_valid_1.json" => assert_eq!(
                TrustBundle::from_jwks(local(), &bytes),
                Err(BundleError::Empty(local()))
            ),
            other => panic!("{other} is new"),
        }
    }
}

#[test]
fn reads_a_set() {
    let ca = ca();
    let found = read(&json!({
        "keys": [key(ca.root())],
        "spiffe_sequence": u64::MAX,
        "spiffe_refresh_hint": 300,
        "more": {"of": ["anything", null, 1.5, -1, true]},
    }))
    .unwrap();
    assert_eq!(found.trust_domain(), &shop());
    assert_eq!(found.roots(), [ca.root().clone()]);
    assert_eq!(found.sequence(), Some(u64::MAX));
    assert_eq!(found.refresh_hint(), Some(Duration::from_secs(300)));
}

#[test]
fn section_4_1_1_and_4_1_2_numbers_are_integers_and_not_required() {
    let ca = ca();
    let found = read(&json!({"keys": [key(ca.root())]})).unwrap();
    assert_eq!((found.sequence(), found.refresh_hint()), (None, None));
    for member in ["spiffe_sequence", "spiffe_refresh_hint"] {
        for wrong in [json!(-1), json!(1.5), json!("1"), json!(1e30), json!([1])] {
            let mut set = json!({"keys": [key(ca.root())]});
            set[member] = wrong;
            assert!(
                matches!(read(&set), Err(BundleError::Malformed(_))),
                "{set}"
            );
        }
    }
}

#[test]
fn section_4_1_3_keys_are_there() {
    for set in [
        json!({}),
        json!({"keys": null}),
        json!({"keys": {}}),
        json!([]),
        json!(1),
    ] {
        assert!(
            matches!(read(&set), Err(BundleError::Malformed(_))),
            "{set}"
        );
    }
    assert_eq!(read(&json!({"keys": []})), Err(BundleError::Empty(shop())));
}

#[test]
fn section_4_2_1_an_unknown_type_is_ignored() {
    let ca = ca();
    for kty in [json!("oct"), json!("ec"), json!("AKP"), Value::Null] {
        let found = read_with(&ca, |key| key["kty"] = kty);
        assert_eq!(found, Err(BundleError::Empty(shop())));
    }
    for kty in ["EC", "RSA", "OKP"] {
        assert!(read_with(&ca, |key| key["kty"] = kty.into()).is_ok());
    }
}

#[test]
fn section_4_2_2_an_unknown_use_is_ignored_and_the_value_is_case_sensitive() {
    let ca = ca();
    for usage in [
        json!("sig"),
        json!("X509-SVID"),
        json!("x509-svid "),
        json!(""),
        Value::Null,
    ] {
        let found = read_with(&ca, |key| key["use"] = usage);
        assert_eq!(found, Err(BundleError::Empty(shop())));
    }
}

#[test]
fn a_key_for_tokens_is_no_root_though_it_has_a_certificate() {
    let found = read_with(&ca(), |key| {
        key["use"] = "jwt-svid".into();
        key["kid"] = "one".into();
    });
    assert_eq!(found, Err(BundleError::Empty(shop())));
}

#[test]
fn x509_svid_section_6_2_an_entry_without_certificates_is_ignored() {
    for x5c in [Value::Null, json!([])] {
        let found = read_with(&ca(), |key| key["x5c"] = x5c);
        assert_eq!(found, Err(BundleError::Empty(shop())));
    }
}

#[test]
fn x509_svid_section_6_2_all_but_the_first_certificate_are_ignored() {
    let (one, other) = (ca(), ca());
    let second = BASE64_STANDARD.encode(other.root());
    let found = read_with(&one, |key| {
        key["x5c"].as_array_mut().unwrap().push(second.into());
    });
    assert_eq!(found.unwrap().roots(), [one.root().clone()]);
    let found = read_with(&one, |key| {
        key["x5c"]
            .as_array_mut()
            .unwrap()
            .push("no certificate".into());
    });
    assert_eq!(found.unwrap().roots(), [one.root().clone()]);
}

#[test]
fn x509_svid_section_6_2_a_bundle_is_the_union_of_its_entries() {
    let (one, other) = (ca(), ca());
    let keys = [key(one.root()), key(other.root()), key(one.root())];
    let found = read(&json!({"keys": keys})).unwrap();
    assert_eq!(found.roots(), [one.root().clone(), other.root().clone()]);
}

#[test]
fn a_certificate_that_cannot_be_read_refuses_the_bundle() {
    let ca = ca();
    let bytes = ca.root().to_vec();
    for x5c in ["!", "", "AAAA", &BASE64_STANDARD.encode(&bytes[1..])] {
        assert!(
            read_with(&ca, |key| key["x5c"] = json!([x5c])).is_err(),
            "{x5c}"
        );
    }
    // RFC 7517 section 4.7: not base64url
    let encoded = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode([0xff, 0xff, 0xfe]);
    let found = read_with(&ca, |key| key["x5c"] = json!([encoded]));
    assert!(matches!(found, Err(BundleError::Malformed(_))));
}

#[test]
fn an_object_with_a_member_twice_is_refused_wherever_it_stands() {
    let key = key(ca().root()).to_string();
    let whole = |keys: &str| TrustBundle::from_jwks(shop(), keys.as_bytes());
    assert!(whole(&format!(r#"{{"keys":[{key}]}}"#)).is_ok());
    let twice_inside = key.replacen('{', r#"{"kid":"a","kid":"a","#, 1);
    for set in [
        format!(r#"{{"keys":[],"keys":[{key}]}}"#),
        format!(r#"{{"keys":[{key}],"keys":[]}}"#),
        format!(r#"{{"keys":[{key}],"k\u0065ys":[]}}"#),
        format!(r#"{{"keys":[{key}],"x":1,"x":1}}"#),
        format!(r#"{{"keys":[{key}],"x":[{{"y":1,"y":2}}]}}"#),
        format!(r#"{{"keys":[{twice_inside}]}}"#),
    ] {
        let found = whole(&set).unwrap_err();
        assert!(found.to_string().contains("twice"), "{set}: {found}");
    }
}

#[test]
fn what_stands_behind_the_set_is_refused() {
    let set = json!({"keys": [key(ca().root())]}).to_string();
    for more in ["{}", ",", "1", "\0"] {
        let set = format!("{set}{more}");
        let found = TrustBundle::from_jwks(shop(), set.as_bytes());
        assert!(matches!(found, Err(BundleError::Malformed(_))), "{more}");
    }
    assert!(TrustBundle::from_jwks(shop(), format!(" {set}\n").as_bytes()).is_ok());
}

#[test]
fn more_than_can_be_sane_is_refused() {
    let space = vec![b' '; MAX_BUNDLE + 1];
    assert_eq!(
        TrustBundle::from_jwks(shop(), &space),
        Err(BundleError::TooLarge)
    );
    assert_eq!(
        TrustBundle::from_pem(shop(), &space),
        Err(BundleError::TooLarge)
    );
    let root = ca().root().clone();
    let many = std::iter::repeat_n(root, MAX_AUTHORITIES + 1);
    assert_eq!(TrustBundle::new(shop(), many), Err(BundleError::TooLarge));
    let deep = format!(r#"{{"keys":{}"#, "[".repeat(100_000));
    assert!(TrustBundle::from_jwks(shop(), deep.as_bytes()).is_err());
}

#[test]
fn a_root_is_a_ca_that_may_sign_certificates() {
    let leaf = ca().workload("/orders").chain[0].clone();
    assert_eq!(
        TrustBundle::new(shop(), [leaf]),
        Err(authority("it is not a CA's"))
    );
    let root = |change: fn(&mut rcgen::CertificateParams)| {
        let mut params = ca_params("root");
        change(&mut params);
        TrustBundle::new(
            shop(),
            [TestCa::with("shop.example", params).root().clone()],
        )
    };
    assert!(root(|_| ()).is_ok());
    assert!(root(|params| params.key_usages.clear()).is_ok());
    let not_signing = root(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    assert_eq!(
        not_signing,
        Err(authority("its key usage has no `keyCertSign`"))
    );
    let no_ca = root(|params| params.is_ca = IsCa::NoCa);
    assert_eq!(no_ca, Err(authority("it is not a CA's")));
}

#[test]
fn a_root_of_another_trust_domain_is_refused() {
    let with = |uri: &str| {
        let mut params = ca_params("root");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        TrustBundle::new(
            shop(),
            [TestCa::with("shop.example", params).root().clone()],
        )
    };
    assert!(with("spiffe://shop.example").is_ok());
    assert_eq!(
        with("spiffe://bank.example"),
        Err(authority("it names another trust domain"))
    );
    assert_eq!(
        with("spiffe://shop.example/orders"),
        Err(authority("it names a workload"))
    );
}

#[test]
fn pem_without_certificates_is_no_bundle() {
    for text in ["", "no PEM at all"] {
        let found = TrustBundle::from_pem(shop(), text.as_bytes());
        assert_eq!(found, Err(BundleError::Empty(shop())), "{text}");
    }
}

#[test]
fn no_root_is_passed_over_in_silence() {
    let root = pem("CERTIFICATE", ca().root());
    let explained = format!("Subject: our root\n{root}\r\n# the last one\n");
    assert!(TrustBundle::from_pem(shop(), explained.as_bytes()).is_ok());
    for other in [
        pem("PRIVATE KEY", b"key"),
        pem("TRUSTED CERTIFICATE", ca().root()),
        pem("X509 CERTIFICATE", ca().root()),
        // As some editors begin files.
        format!("\u{feff}{root}"),
        format!("  {root}"),
        format!("-{root}"),
    ] {
        for text in [
            other.clone(),
            format!("{root}{other}"),
            format!("{other}{root}"),
        ] {
            let found = TrustBundle::from_pem(shop(), text.as_bytes());
            assert!(
                matches!(found, Err(BundleError::Malformed(_))),
                "{text}: {found:?}"
            );
        }
    }
}

#[test]
fn pem_that_is_cut_off_is_refused() {
    let whole = pem("CERTIFICATE", ca().root());
    assert!(TrustBundle::from_pem(shop(), whole.as_bytes()).is_ok());
    let two = format!("{whole}{whole}");
    let cut = &two.as_bytes()[..two.len() - 40];
    assert!(TrustBundle::from_pem(shop(), cut).is_err());
}

#[test]
fn two_bundles_of_one_trust_domain_are_refused() {
    let twice = by_domain([ca().bundle(), ca().bundle()]);
    assert_eq!(twice, Err(BundleError::Twice(shop())));
}

#[test]
fn a_workload_is_not_shown_by_mistake_as_a_root() {
    let mut params = svid_params("spiffe://shop.example/orders");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let cert = ca().issue(params).chain[0].clone();
    assert_eq!(
        TrustBundle::new(shop(), [cert]),
        Err(authority("it names a workload"))
    );
}
