use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use prost::Message;
use zt_core::clock::{ClockError, Timestamp};

use super::{
    Choice, Endpoint, EndpointError, MAX_PAUSE, MAX_RESPONSE, MAX_SVIDS, MIN_PAUSE, Spire,
    SpireError,
    call::{Partial, Status},
    follow::Pauses,
    message::{X509Svid, X509SvidResponse},
    update::{self, Unusable, Update},
};
use crate::{
    credentials::Material,
    id::SpiffeId,
    testing::{TestCa, TestCert, ca_params, svid_params, valid},
};

const NOW: Timestamp = Timestamp::from_secs(1_893_456_000);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_address_is_a_socket_file_or_an_ip_address_with_a_port() {
    let unix = |path: &str| Ok(Endpoint::Unix(PathBuf::from(path)));
    let tcp = |address: &str| Ok(Endpoint::Tcp(address.parse::<SocketAddr>().unwrap()));
    for (text, expected) in [
        ("unix:///run/a.sock", unix("/run/a.sock")),
        ("unix:/run/a.sock", unix("/run/a.sock")),
        ("UNIX:///run/a.sock", unix("/run/a.sock")),
        ("unix:///run/a%20b.sock", unix("/run/a b.sock")),
        ("tcp://127.0.0.1:8000", tcp("127.0.0.1:8000")),
        ("tcp://[::1]:8000", tcp("[::1]:8000")),
        ("", Err(EndpointError::Scheme)),
        ("/run/a.sock", Err(EndpointError::Scheme)),
        ("http://127.0.0.1:8000", Err(EndpointError::Scheme)),
        ("unix:", Err(EndpointError::Path)),
        ("unix://", Err(EndpointError::Path)),
        ("unix:///", Err(EndpointError::Path)),
        ("unix:run/a.sock", Err(EndpointError::Path)),
        ("unix://host/run/a.sock", Err(EndpointError::Path)),
        ("unix:///run/a%00b", Err(EndpointError::Path)),
        ("unix:///run/a%ffb", Err(EndpointError::Path)),
        ("unix:///a?b", Err(EndpointError::MoreThanAddress)),
        ("unix:///a#b", Err(EndpointError::MoreThanAddress)),
        ("tcp:127.0.0.1:8000", Err(EndpointError::Socket)),
        ("tcp://localhost:8000", Err(EndpointError::Socket)),
        ("tcp://127.0.0.1", Err(EndpointError::Socket)),
        ("tcp://127.0.0.1:0", Err(EndpointError::Socket)),
        ("tcp://127.0.0.1:8000/", Err(EndpointError::Socket)),
        ("tcp://127.0.0.1:8000/foo", Err(EndpointError::Socket)),
        ("tcp://me@127.0.0.1:8000", Err(EndpointError::Socket)),
    ] {
        assert_eq!(Endpoint::parse(text), expected, "{text}");
    }
}

#[test]
fn a_configuration_says_no_more_than_it_may() {
    let read = |text: &str| serde_json::from_str::<Spire>(text).map_err(|error| error.to_string());
    let spire = read(r#"{"endpoint": "unix:///run/a.sock", "hint": "in"}"#).unwrap();
    assert_eq!(spire.choice, Choice::Hint("in".into()));
    let spire = read(r#"{"endpoint": "unix:///run/a.sock", "spiffe_id": "spiffe://a/b"}"#);
    let id = SpiffeId::parse("spiffe://a/b").unwrap();
    assert_eq!(spire.unwrap().choice, Choice::Id(id));
    for (text, words) in [
        (r#"{"endpoint": "/run/a.sock"}"#, "no URI"),
        (
            r#"{"endpoint": "unix:///a", "spiffe_id": "a/b"}"#,
            "`a/b` is no SPIFFE ID",
        ),
        (
            r#"{"endpoint": "unix:///a", "hint": "a", "spiffe_id": "spiffe://a/b"}"#,
            "both",
        ),
        (
            r#"{"endpoint": "unix:///a", "insecure": true}"#,
            "unknown field",
        ),
    ] {
        let refused = read(text).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}

#[tokio::test]
async fn refuses_to_take_private_keys_from_another_host() {
    for address in ["tcp://192.0.2.1:8081", "tcp://[2001:db8::1]:8081"] {
        let refused = Spire::at(address).unwrap().connect().await.unwrap_err();
        assert_eq!(refused, SpireError::OverNetwork(address.into()));
    }
}

#[test]
fn a_message_is_the_same_however_it_is_cut() {
    let stream = [
        &[0, 0, 0, 0, 3][..],
        b"abc",
        &[0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 1],
        b"d",
    ]
    .concat();
    for size in 1..=stream.len() {
        let mut partial = Partial::default();
        let mut found = Vec::new();
        for chunk in stream.chunks(size) {
            partial.unread = chunk.to_vec().into();
            while let Some(message) = partial.take().unwrap() {
                found.push(message.to_vec());
            }
            assert!(partial.unread.is_empty());
        }
        assert_eq!(found, [&b"abc"[..], b"", b"d"], "{size}");
        assert!(!partial.begun());
    }
}

#[test]
fn refuses_a_message_that_is_compressed_or_too_long() {
    let take = |head: [u8; 5]| {
        let mut partial = Partial::default();
        partial.unread = head.to_vec().into();
        partial.take().unwrap_err().to_string()
    };
    assert!(take([1, 0, 0, 0, 1]).contains("compressed"));
    let [a, b, c, d] = u32::try_from(MAX_RESPONSE + 1).unwrap().to_be_bytes();
    assert!(take([0, a, b, c, d]).contains("longer than 4194304"));
    assert!(take([0, 255, 255, 255, 255]).contains("longer"));
}

#[test]
fn a_status_is_shown_without_what_could_deceive_a_reader() {
    let read = |code: &'static str, words: &'static str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("grpc-status", http::HeaderValue::from_static(code));
        headers.insert("grpc-message", http::HeaderValue::from_static(words));
        Status::read(&headers).unwrap()
    };
    let status = read("7", "no%20identity%0aissued%1b[0m");
    assert_eq!(status.to_string(), "PermissionDenied: no identityissued[0m");
    assert!(!status.is_final());
    assert!(read("3", "").is_final());
    assert!(read("12", "").is_final());
    assert_eq!(read("0", "").to_string(), "without an error");
    assert_eq!(read("many", "").to_string(), "gRPC status 2");
    let long: &'static str = "a".repeat(10_000).leak();
    assert!(read("14", long).to_string().len() < 300);
    assert!(Status::read(&http::HeaderMap::new()).is_none());
}

#[test]
fn pauses_grow_and_are_never_quite_the_same() {
    let (mut least, mut most) = (Pauses::default(), Pauses::default());
    let mut whole = MIN_PAUSE;
    for _ in 0..100 {
        assert_eq!(least.next(0), whole / 2);
        assert_eq!(most.next(u32::MAX), whole);
        whole = (whole * 2).min(MAX_PAUSE);
    }
    assert_eq!(whole, MAX_PAUSE);
    assert!(Pauses::default().next(1 << 31) > MIN_PAUSE / 2);
}

/// A response with one good identity, `/orders`.
struct Case {
    ca: TestCa,
    response: X509SvidResponse,
    svid: X509Svid,
    others: Vec<X509Svid>,
    choice: Choice,
}

fn svid(ca: &TestCa, id: &str, cert: &TestCert) -> X509Svid {
    X509Svid {
        spiffe_id: id.to_owned(),
        x509_svid: cert.chain.concat_der(),
        x509_svid_key: cert.key.secret_der().to_vec(),
        bundle: ca.root().to_vec(),
        hint: String::new(),
    }
}

trait Concat {
    fn concat_der(&self) -> Vec<u8>;
}

impl Concat for Vec<rustls_pki_types::CertificateDer<'static>> {
    fn concat_der(&self) -> Vec<u8> {
        self.iter().flat_map(|der| der.to_vec()).collect()
    }
}

impl Case {
    fn good() -> Self {
        let ca = TestCa::new("shop.example");
        let svid = svid(&ca, "spiffe://shop.example/orders", &ca.workload("/orders"));
        Self {
            ca,
            svid,
            response: X509SvidResponse::default(),
            others: Vec::new(),
            choice: Choice::First,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut response = self.response.clone();
        let svids = std::iter::once(&self.svid).chain(&self.others);
        response.svids.extend(svids.map(Message::encode_to_vec));
        response.encode_to_vec()
    }

    fn read(&self) -> Result<(Update, Material), Unusable> {
        read(&self.bytes(), &self.choice)
    }

    fn refused(&self) -> String {
        self.read().err().expect("a refusal").to_string()
    }

    fn id(&self) -> String {
        let (_, material) = self.read().unwrap();
        material.identity().spiffe_id().unwrap().to_string()
    }
}

fn read(response: &[u8], choice: &Choice) -> Result<(Update, Material), Unusable> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    update::read(response, choice, &provider, Ok(NOW))
}

fn refused_when(change: impl FnOnce(&mut Case)) -> String {
    let mut case = Case::good();
    assert!(case.read().is_ok());
    change(&mut case);
    case.refused()
}

#[test]
fn a_response_is_who_we_are_and_whom_we_trust() {
    let mut case = Case::good();
    let partner = TestCa::new("partner.example");
    let roots = [partner.root().as_ref(), TestCa::new("x.example").root()].concat();
    case.response.federated_bundles = BTreeMap::from([
        ("spiffe://partner.example".to_owned(), roots),
        ("spiffe://empty.example".to_owned(), Vec::new()),
    ]);
    let (_, material) = case.read().unwrap();
    let trust = material.trust();
    let domains: Vec<_> = trust.trust_domains().map(ToString::to_string).collect();
    assert_eq!(domains, ["partner.example", "shop.example"]);
    assert_eq!(case.id(), "spiffe://shop.example/orders");
}

#[test]
fn what_stands_between_the_leaf_and_the_root_is_shown_too() {
    let mut case = Case::good();
    let id = "spiffe://shop.example/orders";
    let between = case.ca.intermediate("between");
    let cert = between.workload("/orders");
    case.svid = svid(&case.ca, id, &cert);
    assert_eq!(case.id(), id);
    case.svid.x509_svid = cert.chain[0].to_vec();
    assert!(case.refused().contains("does not vouch"));
}

#[test]
fn the_first_identity_is_ours_unless_another_is_asked_for() {
    let mut case = Case::good();
    for (path, hint) in [("/public", "out"), ("/private", "in"), ("/second", "in")] {
        let mut other = svid(
            &case.ca,
            &format!("spiffe://shop.example{path}"),
            &case.ca.workload(path),
        );
        other.hint = hint.to_owned();
        case.others.push(other);
    }
    let id = |choice: Choice, case: &mut Case| {
        case.choice = choice;
        case.id()
    };
    assert!(id(Choice::First, &mut case).ends_with("/orders"));
    assert!(id(Choice::Hint("out".into()), &mut case).ends_with("/public"));
    // SPIFFE_Workload_API section 5.2.1: the first of two with the same hint.
    assert!(id(Choice::Hint("in".into()), &mut case).ends_with("/private"));
    let second = SpiffeId::parse("spiffe://shop.example/second").unwrap();
    assert!(id(Choice::Id(second), &mut case).ends_with("/second"));

    case.choice = Choice::Hint("elsewhere".into());
    assert!(
        case.refused()
            .contains("no identity with the hint `elsewhere`")
    );
    case.choice = Choice::Id(SpiffeId::parse("spiffe://shop.example/third").unwrap());
    assert!(
        case.refused()
            .contains("no identity `spiffe://shop.example/third`")
    );
}

#[test]
fn refuses_a_response_that_cannot_be_read() {
    assert!(read(b"\xff\xff\xff\xffgarbage", &Choice::First).is_err());
    let cut = Case::good().bytes();
    let cut = cut.get(..cut.len() / 2).unwrap();
    assert!(read(cut, &Choice::First).is_err());
    let mut inner = X509SvidResponse::default();
    inner.svids.push(b"\x0a\xffgarbage".to_vec());
    let refused = read(&inner.encode_to_vec(), &Choice::First).err().unwrap();
    assert!(matches!(refused, Unusable::Malformed(_)), "{refused}");
}

#[test]
fn refuses_a_response_without_an_identity_or_with_too_many() {
    let empty = read(&[], &Choice::First).err().unwrap();
    assert!(matches!(empty, Unusable::NoSvid));
    let mut many = X509SvidResponse::default();
    many.svids = vec![Vec::new(); MAX_SVIDS + 1];
    let many = read(&many.encode_to_vec(), &Choice::First).err().unwrap();
    assert!(matches!(many, Unusable::TooManySvids));
}

#[test]
fn refuses_an_identity_with_an_empty_field() {
    // SPIFFE_Workload_API section 4.5.
    let refused = |name: &str, change: fn(&mut X509Svid)| {
        let words = format!("`{name}` of an identity is empty");
        assert_eq!(refused_when(|case| change(&mut case.svid)), words);
        // In one that is not ours too.
        let refused = refused_when(|case| {
            let id = "spiffe://shop.example/other";
            let mut other = svid(&case.ca, id, &case.ca.workload("/other"));
            change(&mut other);
            case.others.push(other);
        });
        assert_eq!(refused, words);
    };
    refused("spiffe_id", |svid| svid.spiffe_id.clear());
    refused("x509_svid", |svid| svid.x509_svid.clear());
    refused("x509_svid_key", |svid| svid.x509_svid_key.clear());
    refused("bundle", |svid| svid.bundle.clear());
}

#[test]
fn refuses_a_certificate_of_another_than_it_is_said_to_be() {
    let refused = refused_when(|case| case.svid.spiffe_id = "spiffe://shop.example/pay".into());
    assert!(refused.contains("is another's"), "{refused}");
    let refused = refused_when(|case| case.svid.spiffe_id = "shop.example/orders".into());
    assert!(refused.contains("is no SPIFFE ID"), "{refused}");
}

#[test]
fn refuses_a_key_that_is_not_the_certificates() {
    let other = TestCa::new("shop.example").workload("/orders");
    let refused = refused_when(|case| {
        case.svid.x509_svid_key = other.key.secret_der().to_vec();
    });
    assert!(refused.contains("key"), "{refused}");
    let refused = refused_when(|case| case.svid.x509_svid_key = b"no key".to_vec());
    assert!(refused.contains("key"), "{refused}");
}

#[test]
fn refuses_certificates_with_something_behind_them() {
    for change in [
        (|svid| svid.x509_svid.push(0)) as fn(&mut X509Svid),
        |svid| svid.bundle.push(0),
        |svid| svid.x509_svid = svid.x509_svid.repeat(11),
    ] {
        let refused = refused_when(|case| change(&mut case.svid));
        assert!(refused.contains("cannot be read"), "{refused}");
    }
}

#[test]
fn refuses_a_certificate_that_is_no_svid() {
    let refused = refused_when(|case| {
        let mut params = svid_params("spiffe://shop.example/orders");
        params.key_usages.clear();
        let id = "spiffe://shop.example/orders";
        case.svid = svid(&case.ca, id, &case.ca.issue(params));
    });
    assert!(refused.contains("not for signatures"), "{refused}");
}

#[test]
fn refuses_an_identity_that_its_own_bundle_does_not_vouch_for() {
    // Of another trust domain, beside the bundle of the first.
    let other = TestCa::new("other.example");
    let id = "spiffe://other.example/orders";
    let refused = refused_when(|case| {
        case.svid = svid(&case.ca, id, &other.workload("/orders"));
    });
    assert!(refused.contains("does not vouch for"), "{refused}");

    for (from, to) in [(NOW + HOUR, NOW + HOUR * 2), (Timestamp::EPOCH, NOW)] {
        let refused = refused_when(|case| {
            let id = "spiffe://shop.example/orders";
            let mut params = svid_params(id);
            let to = to.saturating_sub(Duration::from_secs(1));
            valid(&mut params, from, to);
            case.svid = svid(&case.ca, id, &case.ca.issue(params));
        });
        assert!(refused.contains("does not vouch for"), "{refused}");
    }
}

#[test]
fn refuses_two_bundles_of_one_trust_domain_that_differ() {
    let evil = TestCa::new("shop.example");
    let refused = refused_when(|case| {
        let id = "spiffe://shop.example/other";
        case.others.push(svid(&evil, id, &evil.workload("/other")));
    });
    assert!(refused.contains("two bundles"), "{refused}");
    let refused = refused_when(|case| {
        let own = ("spiffe://shop.example".to_owned(), evil.root().to_vec());
        case.response.federated_bundles.extend([own]);
    });
    assert!(refused.contains("two bundles"), "{refused}");
    // The same twice is none the worse.
    let mut case = Case::good();
    let own = ("spiffe://shop.example".to_owned(), case.ca.root().to_vec());
    case.response.federated_bundles.extend([own]);
    assert!(case.read().is_ok());
}

#[test]
fn refuses_a_federated_bundle_that_is_not_one() {
    let root = TestCa::new("partner.example").root().to_vec();
    for (key, value, words) in [
        (
            "spiffe://partner.example/a",
            root.clone(),
            "of a trust domain",
        ),
        ("partner.example", root.clone(), "no SPIFFE ID"),
    ] {
        let refused = refused_when(|case| {
            let bundles = &mut case.response.federated_bundles;
            bundles.insert(key.to_owned(), value);
        });
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn another_trust_domain_cannot_keep_our_identity_from_us_by_a_bad_bundle() {
    let leaf = TestCa::new("partner.example").workload("/a").chain[0].to_vec();
    let mut ours = ca_params("foreign");
    let name = rcgen::SanType::URI("spiffe://shop.example".try_into().unwrap());
    ours.subject_alt_names.push(name);
    let foreign = TestCa::with("partner.example", ours).root().to_vec();
    let many = TestCa::new("partner.example").root().repeat(1000);
    for bad in [b"garbage".to_vec(), leaf, foreign, many] {
        let mut case = Case::good();
        let other = TestCa::new("other.example").root().to_vec();
        case.response.federated_bundles = BTreeMap::from([
            ("spiffe://other.example".to_owned(), other),
            ("spiffe://partner.example".to_owned(), bad),
        ]);
        let (_, material) = case.read().unwrap();
        let domains = material.trust().trust_domains().map(ToString::to_string);
        let domains: Vec<_> = domains.collect();
        assert_eq!(domains, ["other.example", "shop.example"]);
    }
    // One that names ours takes nothing away.
    let mut case = Case::good();
    let own = ("spiffe://shop.example".to_owned(), b"garbage".to_vec());
    case.response.federated_bundles.extend([own]);
    let (_, material) = case.read().unwrap();
    assert_eq!(material.trust().trust_domains().count(), 1);
}

#[test]
fn refuses_a_revocation_list_that_cannot_be_read() {
    let refused = refused_when(|case| case.response.crl.push(b"garbage".to_vec()));
    assert!(refused.contains("revocation list"), "{refused}");
    let mut case = Case::good();
    let list = case.ca.revocation_list(&[], NOW, HOUR);
    case.response.crl.push(list.to_vec());
    assert!(case.read().is_ok());
}

#[test]
fn refuses_to_judge_without_the_time() {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let bytes = Case::good().bytes();
    let refused = update::read(&bytes, &Choice::First, &provider, Err(ClockError::Unset));
    assert!(matches!(refused, Err(Unusable::Clock(_))));
}

#[test]
fn the_same_response_twice_makes_the_same_of_us() {
    let mut case = Case::good();
    let (first, _) = case.read().unwrap();
    assert!(case.read().unwrap().0 == first);
    case.response
        .crl
        .push(case.ca.revocation_list(&[], NOW, HOUR).to_vec());
    assert!(case.read().unwrap().0 != first);
}

#[test]
fn no_byte_that_is_changed_makes_us_another() {
    let case = Case::good();
    let good = case.bytes();
    let (_, ours) = case.read().unwrap();
    let mut refused = 0;
    for place in 0..good.len() {
        let mut changed = good.clone();
        changed[place] ^= 1 << (place % 8);
        for bytes in [&changed, good.get(..place).unwrap()] {
            match read(bytes, &Choice::First) {
                // In what nobody signs: the root has its signature from itself.
                Ok((_, found)) => assert_eq!(
                    (found.identity().spiffe_id(), &found.identity().key().cert),
                    (ours.identity().spiffe_id(), &ours.identity().key().cert),
                    "{place}"
                ),
                Err(_) => refused += 1,
            }
        }
    }
    // Whatever is cut off, and most of what is changed.
    assert!(refused > good.len() * 3 / 2, "{refused} of {}", good.len());
}

#[test]
#[ignore = "writes fuzz/seeds"]
fn seeds_are_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/workload_api");
    std::fs::create_dir_all(folder).unwrap();
    let mut case = Case::good();
    case.svid.x509_svid_key = b"no key".to_vec();
    case.svid.hint = "internal".to_owned();
    let partner = TestCa::new("partner.example");
    let bundle = (
        "spiffe://partner.example".to_owned(),
        partner.root().to_vec(),
    );
    case.response.federated_bundles.extend([bundle]);
    let list = case.ca.revocation_list(&[], NOW, HOUR).to_vec();
    case.response.crl.push(list);
    let response = case.bytes();
    let head = [
        &[0][..],
        &u32::try_from(response.len()).unwrap().to_be_bytes(),
    ]
    .concat();
    let stream = [&[7][..], &head, &response, &[0, 0, 0, 0, 0]].concat();
    std::fs::write(format!("{folder}/deny_no_key"), response).unwrap();
    std::fs::write(format!("{folder}/deny_stream"), stream).unwrap();
}

#[test]
fn a_response_does_not_show_its_keys() {
    let case = Case::good();
    let mut response = case.response.clone();
    response.svids.push(case.svid.encode_to_vec());
    let shown = format!("{:?} {response:?}", case.svid);
    assert!(
        shown.contains("spiffe://shop.example/orders") && shown.len() < 150,
        "{shown}"
    );
}
