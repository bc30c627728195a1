use std::sync::Arc;

use super::{Expect, client_config, config::connection_config};
use crate::{
    bundle::TrustBundle,
    client::Connector,
    credentials::{Credentials, Material},
    peer::Peers,
    svid::Leaf,
    testing::{TestCa, ca_params},
    verify::{PeerServer, Refusal, Trust, Verified},
};
use rustls::{ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion};
use rustls_pki_types::ServerName;
use zt_core::clock::Timestamp;

fn found(ca: &TestCa, path: &str) -> Verified {
    let leaf = Leaf::read(&ca.workload(path).chain[0]).unwrap();
    Verified {
        id: leaf.claimed().ok(),
        leaf,
        not_after: Timestamp::MAX,
    }
}

fn at(host: &str) -> ServerName<'_> {
    ServerName::try_from(host).unwrap()
}

#[test]
fn a_hosts_own_list_is_found_however_the_host_is_written() {
    let ca = TestCa::new("shop.example");
    let payments = found(&ca, "/payments");
    let own = Peers::parse(["spiffe://shop.example/payments"]).unwrap();
    for (listed, dialled) in [
        ("payments.internal", "payments.internal"),
        ("payments.internal", "Payments.INTERNAL"),
        ("Payments.internal.", "payments.internal"),
        ("payments.internal", "payments.internal."),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "0:0::1"),
        ("[::1]", "::1"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
        ("[::ffff:a00:1]", "10.0.0.1"),
    ] {
        let expect = Expect::none().host(listed, own.clone());
        assert_eq!(
            expect.judge(&payments, &at(dialled)),
            Ok(()),
            "{listed} {dialled}"
        );
        let other = expect.judge(&payments, &at("ledger.internal"));
        assert!(matches!(other, Err(Refusal::Unexpected(_))));
        // And the list for all does not widen it.
        let narrow = Expect::new(own.clone()).host(listed, Peers::none());
        let found = narrow.judge(&payments, &at(dialled));
        assert!(
            matches!(found, Err(Refusal::Unexpected(_))),
            "{listed} {dialled}"
        );
    }
}

#[test]
fn a_connection_shows_and_trusts_one_edition_whatever_comes_meanwhile() {
    let ca = TestCa::new("shop.example");
    let credentials = ca.credentials("/orders");
    let before = credentials.load();
    let verifier = PeerServer::of_one(credentials.clone(), Arc::new(Expect::none()));
    credentials.replace(TestCa::new("shop.example").material("/orders"));
    assert_eq!(verifier.material().generation(), before.generation());
    let config = connection_config(&credentials, &verifier, Vec::new()).unwrap();
    let shown = config.client_auth_cert_resolver.resolve(&[], &[]).unwrap();
    assert!(Arc::ptr_eq(&shown, &before.identity().key()));
    assert!(verifier.found().is_none() && verifier.refusal().is_none());
}

#[test]
fn nothing_is_resumed_and_nothing_is_sent_early() {
    let credentials = TestCa::new("shop.example").credentials("/orders");
    let config = client_config(&credentials, Peers::none(), &[b"h2"]).unwrap();
    assert!(!config.enable_early_data);
    let resumption = format!("{:?}", config.resumption);
    assert!(
        resumption.contains("NoClientSessionStorage"),
        "{resumption}"
    );
    assert_eq!(config.alpn_protocols, [b"h2".to_vec()]);
}

#[test]
fn a_provider_without_tls_1_3_is_an_error_at_the_start() {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.tls13().is_none());
    let material = TestCa::new("shop.example").material("/orders");
    let clock = zt_core::clock::SystemClock;
    let credentials = crate::credentials::Credentials::with(material, Arc::new(provider), clock);
    let error = Connector::new(credentials, Peers::none()).unwrap_err();
    assert!(
        error.to_string().starts_with("TLS cannot be configured"),
        "{error}"
    );
}

/// A handshake in memory; the client when it is over.
fn shake(
    client: &Arc<rustls::ClientConfig>,
    server: &Arc<rustls::ServerConfig>,
) -> ClientConnection {
    let mut client =
        ClientConnection::new(Arc::clone(client), at("payments.internal").to_owned()).unwrap();
    let mut server = rustls::ServerConnection::new(Arc::clone(server)).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets().unwrap();
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
    client
}

#[test]
fn both_ends_agree_on_a_post_quantum_key_exchange_and_on_a_whole_handshake_each_time() {
    let ca = TestCa::new("shop.example");
    let theirs = ca.credentials("/payments");
    let server = crate::serve::server_config(&theirs, &theirs.load(), &[]).unwrap();
    let peers = Peers::parse(["spiffe://shop.example/payments"]).unwrap();
    let client = Arc::new(client_config(&ca.credentials("/orders"), peers, &[]).unwrap());
    for _ in 0..2 {
        let done = shake(&client, &server);
        let group = done.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
        assert_eq!(done.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(done.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    }
}

/// Ten roots with names of 7 KiB: more than a list of names in a handshake can be.
#[test]
fn a_trust_domain_with_long_names_does_not_end_everybodys_handshakes() {
    let ca = TestCa::new("shop.example");
    let peers = Peers::parse(["spiffe://shop.example/payments"]).unwrap();
    let client = Arc::new(client_config(&ca.credentials("/orders"), peers, &[]).unwrap());
    let domain = crate::id::TrustDomain::parse("partner.example").unwrap();
    let identity = ca.workload("/payments").identity();
    for many in [1, 10] {
        let roots = (0..many).map(|number| {
            let name = format!("{number}{}", "a".repeat(7 << 10));
            TestCa::with("partner.example", ca_params(&name))
                .root()
                .clone()
        });
        let partner = TrustBundle::new(domain.clone(), roots).unwrap();
        let trust = Trust::spiffe([ca.bundle(), partner]).unwrap();
        let theirs = Credentials::new(Material::new(identity.clone(), trust));
        let server = crate::serve::server_config(&theirs, &theirs.load(), &[]).unwrap();
        assert_eq!(
            shake(&client, &server).handshake_kind(),
            Some(HandshakeKind::Full)
        );
    }
}
