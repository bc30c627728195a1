//! What the other end reads: handshakes in memory, of TLS 1.3.

use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, version::TLS13};
use rustls_pki_types::ServerName;
use zt_core::clock::ManualClock;

use super::*;
use crate::{
    credentials::{Credentials, Material},
    peer::Peers,
};

/// What each end of a handshake said at last.
struct Ends {
    client: Result<(), Error>,
    server: Result<(), Error>,
}

/// A client with `client`, which asks for `expected`, and a server with `server`.
fn handshake(
    client: Option<&TestCert>,
    client_trust: Trust,
    expected: Peers,
    server: &TestCert,
    server_trust: Trust,
) -> Ends {
    let provider = Arc::new(default_provider());
    let clock = ManualClock::at(now());
    let verifier = PeerClient::new(server_trust, provider.clone(), Arc::new(clock.clone()));
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(server.chain.clone(), server.key.clone_key())
        .unwrap();
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();
    let material = Material::new(shop().workload("/client").identity(), client_trust);
    let credentials = Credentials::with(material, provider.clone(), clock);
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(PeerServer::new(credentials, Arc::new(expected.into())));
    let config = match client {
        Some(cert) => config
            .with_client_auth_cert(cert.chain.clone(), cert.key.clone_key())
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("payments.shop.example").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut ends = Ends {
        client: Ok(()),
        server: Ok(()),
    };
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        feed(&mut bytes.as_slice(), &mut server, &mut ends.server);
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        feed(&mut bytes.as_slice(), &mut client, &mut ends.client);
    }
    ends
}

fn feed<S>(bytes: &mut &[u8], into: &mut rustls::ConnectionCommon<S>, end: &mut Result<(), Error>) {
    while !bytes.is_empty() && end.is_ok() {
        into.read_tls(bytes).unwrap();
        *end = into.process_new_packets().map(|_| ());
    }
}

/// What a client is told that shows `cert` to a server with `trust`.
fn told(trust: Trust, cert: Option<&TestCert>) -> Result<(), Error> {
    let ca = shop();
    let server = ca.workload("/payments");
    let expected = Peers::parse(["spiffe://shop.example/payments"]).unwrap();
    let trusted = self::trust([&ca]);
    let ends = handshake(cert, trusted, expected, &server, trust);
    assert_eq!(ends.client.is_ok(), ends.server.is_ok());
    ends.client
}

#[test]
fn a_good_client_is_let_in() {
    let ca = shop();
    assert_eq!(told(trust([&ca]), Some(&ca.workload("/orders"))), Ok(()));
}

#[test]
fn each_bad_client_reads_the_alert_that_fits() {
    let (ca, bank) = (shop(), bank());
    let bad = |change: fn(&mut Params)| with(&ca, change);
    let told = |cert: &TestCert| told(trust([&ca]), Some(cert));
    for (cert, alert) in [
        (
            bad(|params| params.subject_alt_names.clear()),
            CertificateUnknown,
        ),
        (
            bad(|params| {
                params
                    .subject_alt_names
                    .push(uri("spiffe://shop.example/b"))
            }),
            CertificateUnknown,
        ),
        (
            bad(|params| valid(params, ago(DAY * 2), ago(DAY))),
            CertificateExpired,
        ),
        (
            bad(|params| valid(params, now() + DAY, now() + DAY * 2)),
            CertificateExpired,
        ),
        (
            bad(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            UnsupportedCertificate,
        ),
        (bad(|params| params.key_usages.clear()), CertificateUnknown),
        (bank.workload("/teller"), UnknownCA),
        (with(&bank, |_| ()), UnknownCA),
        (with(&shop(), |_| ()), BadCertificate),
    ] {
        assert_eq!(told(&cert), Err(Error::AlertReceived(alert)));
    }
}

#[test]
fn a_client_without_a_certificate_reads_that_one_is_required() {
    let found = told(trust([&shop()]), None);
    assert_eq!(found, Err(Error::AlertReceived(CertificateRequired)));
}

#[test]
fn a_revoked_client_reads_so() {
    let ca = shop();
    let orders = ca.workload("/orders");
    let list = ca.revocation_list(&[&orders], now(), DAY);
    let trust = trust([&ca]).revocation_lists([list]).unwrap();
    let found = told(trust, Some(&orders));
    assert_eq!(found, Err(Error::AlertReceived(CertificateRevoked)));
}

#[test]
fn a_plain_client_that_is_not_allowed_reads_so() {
    let ca = shop();
    let trust = Trust::pki([ca.root().clone()], PkiNames::none()).unwrap();
    let found = told(trust, Some(&ca.workload("/orders")));
    assert_eq!(found, Err(Error::AlertReceived(AccessDenied)));
}

#[test]
fn each_bad_server_reads_the_alert_that_fits() {
    let (ca, bank) = (shop(), bank());
    let client = ca.workload("/orders");
    let read = |server: &TestCert| {
        let expected = Peers::parse(["spiffe://shop.example/payments"]).unwrap();
        let (client_trust, server_trust) = (trust([&ca]), trust([&ca]));
        let ends = handshake(Some(&client), client_trust, expected, server, server_trust);
        assert_eq!(ends.client.is_ok(), ends.server.is_ok());
        ends.server
    };
    assert_eq!(read(&ca.workload("/payments")), Ok(()));
    let payments = svid_params("spiffe://shop.example/payments");
    for (server, alert) in [
        // First the path, then the ID: a good workload, but not the one that was asked for.
        (ca.workload("/refunds"), AccessDenied),
        (bank.workload("/payments"), UnknownCA),
        (bank.issue(payments), UnknownCA),
        (
            with(&ca, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            UnsupportedCertificate,
        ),
        (
            with(&ca, |params| {
                let name = "payments.shop.example".try_into().unwrap();
                params.subject_alt_names = vec![SanType::DnsName(name)];
            }),
            CertificateUnknown,
        ),
    ] {
        assert_eq!(read(&server), Err(Error::AlertReceived(alert)));
    }
}

/// By plain PKI a server is who was dialled, and no allow-list changes that.
#[test]
fn a_plain_server_with_another_name_is_refused() {
    let ca = shop();
    let client = ca.workload("/orders");
    let read = |name: &str| {
        let server = with(&ca, |params| {
            let name = SanType::DnsName(name.try_into().unwrap());
            params.subject_alt_names = vec![name];
        });
        let plain = Trust::pki([ca.root().clone()], PkiNames::none().dns(name)).unwrap();
        let expected = Peers::none().dns(name);
        handshake(Some(&client), plain, expected, &server, trust([&ca])).server
    };
    assert_eq!(read("payments.shop.example"), Ok(()));
    assert_eq!(read("*.shop.example"), Ok(()), "webpki knows wildcards");
    for other in [
        "refunds.shop.example",
        "shop.example",
        "*.payments.shop.example",
    ] {
        assert_eq!(
            read(other),
            Err(Error::AlertReceived(BadCertificate)),
            "{other}"
        );
    }
}

#[test]
fn a_clock_that_does_not_answer_lets_nobody_in() {
    let ca = shop();
    let clock = ManualClock::at(now());
    let verifier = PeerClient::new(
        trust([&ca]),
        Arc::new(default_provider()),
        Arc::new(clock.clone()),
    );
    let judge = |verifier: &PeerClient| {
        use rustls::server::danger::ClientCertVerifier;
        let chain = ca.workload("/orders").chain;
        let at = UnixTime::since_unix_epoch(Duration::from_micros(now().as_micros()));
        verifier.verify_client_cert(&chain[0], &[], at).map(|_| ())
    };
    assert_eq!(judge(&verifier), Ok(()));
    clock.fail();
    let Err(Error::InvalidCertificate(rustls::CertificateError::Other(found))) = judge(&verifier)
    else {
        panic!("it got in");
    };
    assert_eq!(found.0.downcast_ref(), Some(&Refusal::Clock));
}
