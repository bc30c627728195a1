//! Clients that get no connection.

use std::time::Duration;

use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use zt_core::clock::{Clock, ManualClock, SystemClock, Timestamp};
use zt_mtls::{
    credentials::Material,
    serve::Config,
    testing::{Params, TestCa, TestCert, svid_params, valid},
    verify::Trust,
};

use super::support::*;

const ID: &str = "spiffe://shop.example/orders";

fn bad(ca: &TestCa, change: impl FnOnce(&mut Params)) -> TestCert {
    let mut params = svid_params(ID);
    change(&mut params);
    ca.issue(params)
}

#[tokio::test]
async fn each_bad_certificate_is_refused_with_an_alert_that_the_client_sees() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let second = |uri: &str| SanType::URI(uri.try_into().unwrap());
    let year = |from: u64, to: u64| {
        move |params: &mut Params| {
            let at = |year| Timestamp::from_secs((year - 1970) * 31_557_600);
            valid(params, at(from), at(to));
        }
    };
    let cases = [
        ("expired", bad(&ca, year(2001, 2002)), "CertificateExpired"),
        (
            "not yet valid",
            bad(&ca, year(2100, 2101)),
            "CertificateExpired|BadCertificate",
        ),
        // Its name is that of our root, so it is the signature that does not fit.
        (
            "another root",
            TestCa::new("shop.example").workload("/orders"),
            "UnknownCA|BadCertificate|DecryptError",
        ),
        (
            "another trust domain",
            TestCa::new("other.example").workload("/orders"),
            "UnknownCA",
        ),
        (
            "its name under our root",
            ca.issue(svid_params("spiffe://other.example/a")),
            "UnknownCA",
        ),
        (
            "no name",
            bad(&ca, |params| params.subject_alt_names.clear()),
            "",
        ),
        (
            "two URIs",
            bad(&ca, |params| {
                params.subject_alt_names.push(second("https://a"))
            }),
            "",
        ),
        (
            "no path",
            ca.issue(svid_params("spiffe://shop.example")),
            "",
        ),
        (
            "dots",
            ca.issue(svid_params("spiffe://shop.example/a/../b")),
            "",
        ),
        (
            "a CA",
            bad(&ca, |params| {
                params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained)
            }),
            "",
        ),
        (
            "for CAs",
            bad(&ca, |params| {
                params.key_usages.push(KeyUsagePurpose::KeyCertSign)
            }),
            "",
        ),
        (
            "for servers",
            bad(&ca, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
            }),
            "UnsupportedCertificate",
        ),
    ];
    for (what, cert, alert) in &cases {
        let heard = refusal(server.address, client(Some(cert), H1)).await;
        println!("{what}: {heard}");
        assert!(heard.contains("received fatal alert"), "{what}: {heard}");
        assert!(
            alert.split('|').any(|alert| heard.contains(alert)),
            "{what}: {heard}"
        );
    }
    let heard = refusal(server.address, client(None, H1)).await;
    assert!(heard.contains("CertificateRequired"), "{heard}");
    until(|| server.handle.status().handshakes == 0).await;
    let status = server.handle.status();
    assert_eq!((status.connections, status.failed), (0, 13));
}

#[tokio::test]
async fn a_revoked_certificate_and_an_old_list_are_refused() {
    let ca = TestCa::new("shop.example");
    let revoked = ca.workload("/orders");
    let now = SystemClock.now().unwrap();
    let hour = Duration::from_secs(3600);
    for (at, alert) in [
        (now.saturating_sub(hour), "CertificateRevoked"),
        (now.saturating_sub(3 * hour), ""),
    ] {
        let list = ca.revocation_list(&[&revoked], at, 2 * hour);
        let trust = Trust::spiffe([ca.bundle()]).unwrap();
        let trust = trust.revocation_lists([list]).unwrap();
        let material = Material::new(ca.workload("/pay").identity(), trust);
        let credentials = zt_mtls::credentials::Credentials::new(material);
        let server = start(Config::new(credentials)).await;
        let heard = refusal(server.address, client(Some(&revoked), H1)).await;
        assert!(heard.contains("received fatal alert"), "{heard}");
        assert!(heard.contains(alert), "{heard}");
    }
}

#[tokio::test]
async fn tls_1_2_is_refused_unless_its_door_is_open() {
    let ca = TestCa::new("shop.example");
    let cert = ca.workload("/orders");
    let old = || client_with(Some(&cert), H1, &[&rustls::version::TLS12]);
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let heard = refusal(server.address, old()).await;
    assert!(heard.contains("ProtocolVersion"), "{heard}");

    let open = Config::new(ca.credentials("/pay")).insecure_allow_tls12();
    let server = start(open).await;
    // Twice, with one store of sessions: nothing is resumed there either.
    let config = old();
    for _ in 0..2 {
        let mut tls = connect(server.address, config.clone()).await.unwrap();
        assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
        let kind = tls.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
}

#[tokio::test]
async fn no_ticket_is_given_so_that_none_can_be_replayed() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let mut config = client(Some(&ca.workload("/orders")), H1);
    config.enable_early_data = true;
    for _ in 0..3 {
        let mut tls = connect(server.address, config.clone()).await.unwrap();
        assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
        let session = tls.get_ref().1;
        assert_eq!(session.tls13_tickets_received(), 0);
        assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert!(!session.is_early_data_accepted());
    }
}

#[tokio::test]
async fn two_listeners_with_different_cas_know_their_own_clients_only() {
    let (shop, bank) = (TestCa::new("shop.example"), TestCa::new("bank.example"));
    let first = start(Config::new(shop.credentials("/pay"))).await;
    let second = start(Config::new(bank.credentials("/pay"))).await;
    let cert = shop.workload("/orders");
    // One store of sessions for both.
    let config = client(Some(&cert), H1);
    let mut tls = connect(first.address, config.clone()).await.unwrap();
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
    let heard = refusal(second.address, config).await;
    assert!(heard.contains("UnknownCA"), "{heard}");
}

#[tokio::test]
async fn a_protocol_that_is_not_http_is_refused() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let config = client(Some(&ca.workload("/orders")), &[b"h3", b"smtp"]);
    let heard = connect(server.address, config)
        .await
        .unwrap_err()
        .to_string();
    assert!(heard.contains("NoApplicationProtocol"), "{heard}");
}

#[tokio::test]
async fn plain_http_is_refused() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut heard = Vec::new();
    soon(tcp.read_to_end(&mut heard)).await.unwrap();
    // A TLS alert (RFC 8446 section 5.1), and no HTTP.
    assert_eq!(heard.first(), Some(&21), "{heard:?}");
}

#[tokio::test]
async fn clients_that_do_not_go_on_with_their_handshake_are_dropped_at_the_time_out() {
    let ca = TestCa::new("shop.example");
    let clock = ManualClock::at(SystemClock.now().unwrap());
    let credentials = with_clock(ca.material("/pay"), &clock);
    let server = start(Config::new(credentials).handshake_timeout(Duration::from_secs(10))).await;
    let hello = hello(&client(Some(&ca.workload("/orders")), H1));

    // One says nothing, one sends a byte a second, one stalls after the server's hello.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let mut stalls = TcpStream::connect(server.address).await.unwrap();
    stalls.write_all(&hello).await.unwrap();
    let mut record = [0; 5];
    soon(stalls.read_exact(&mut record)).await.unwrap();
    assert_eq!(record[0], 22, "the server's hello");
    until(|| server.handle.status().handshakes == 3).await;
    for byte in hello.iter().take(9) {
        slow.write_all(&[*byte]).await.unwrap();
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(server.handle.status().handshakes, 3);
    // Good ones are not held up.
    let mut tls = connect(server.address, client(Some(&ca.workload("/orders")), H1))
        .await
        .unwrap();
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);

    clock.advance(Duration::from_secs(1));
    for tcp in [&mut silent, &mut slow, &mut stalls] {
        let mut waste = Vec::new();
        let _ = soon(tcp.read_to_end(&mut waste)).await;
    }
    until(|| server.handle.status().handshakes == 0).await;
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
}

/// The first bytes of a client.
fn hello(config: &rustls::ClientConfig) -> Vec<u8> {
    let name = "pay.example".try_into().unwrap();
    let mut session = rustls::ClientConnection::new(config.clone().into(), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}
