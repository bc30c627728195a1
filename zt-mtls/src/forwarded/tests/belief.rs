//! Who is believed, and what comes of it.

use std::time::Duration;

use zt_core::clock::{Clock, Timestamp};

use super::*;
use crate::testing::{svid_params, valid};

const BATCH: &str = "spiffe://shop.example/batch";

#[test]
fn a_client_behind_a_proxy_takes_its_place() {
    let fixture = Fixture::new();
    let gateway = fixture.gateway();
    let headers = [("x-forwarded-client-cert", &*xfcc(&fixture.client.chain))];
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    let request = request(Some(Arc::clone(&gateway)), &headers);
    let found = peer(&forwarded, request).unwrap().unwrap();
    assert_eq!(found.spiffe_id(), Some(BATCH));
    assert_eq!(found.source(), PeerSource::Forwarded);
    assert_eq!(
        found.thumbprint()[..],
        Sha256::digest(&fixture.client.chain[0])[..]
    );
    assert_eq!(found.via(), Some(&gateway));
}

#[test]
fn the_standard_header_says_the_same() {
    let fixture = Fixture::new();
    let forwarded = fixture.believes(ForwardedHeader::ClientCert);
    let below = fixture.ca.intermediate("below");
    let client = below.workload("/batch");
    let (leaf, chain) = (bytes(&client.chain[0]), bytes(&client.chain[1]));
    let headers = [("client-cert", &*leaf), ("Client-Cert-Chain", &chain)];
    assert_eq!(
        name(&forwarded, fixture.by_gateway(&headers)).as_deref(),
        Ok(BATCH)
    );
    // Without what stands above it there is no path.
    let forwarded = fixture.believes(ForwardedHeader::ClientCert);
    assert_eq!(
        name(&forwarded, fixture.by_gateway(&headers[..1])),
        Err(Code::CredentialInvalid)
    );
}

#[test]
fn a_chain_in_xfcc_counts() {
    let fixture = Fixture::new();
    let client = fixture
        .ca
        .intermediate("a")
        .intermediate("b")
        .workload("/batch");
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    let headers = [("x-forwarded-client-cert", &*xfcc(&client.chain))];
    assert_eq!(
        name(&forwarded, fixture.by_gateway(&headers)).as_deref(),
        Ok(BATCH)
    );
}

#[test]
fn nobody_else_is_believed() {
    let fixture = Fixture::new();
    let header = xfcc(&fixture.client.chain);
    let headers = [("x-forwarded-client-cert", &*header)];
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    // Not on the list.
    let other = fixture.over(&fixture.ca.workload("/gateway/x"));
    let found = peer(&forwarded, request(Some(Arc::clone(&other)), &headers));
    assert_eq!(found.unwrap(), Some(other));
    // No connection that was verified.
    assert_eq!(peer(&forwarded, request(None, &headers)).unwrap(), None);
    // A proxy's word for a proxy.
    let gateway = fixture.gateway();
    let said =
        PeerIdentity::assertion(*gateway.thumbprint(), Timestamp::MAX, PeerSource::Forwarded)
            .spiffe_id(GATEWAY);
    let said = Arc::new(said.finish());
    let found = peer(&forwarded, request(Some(Arc::clone(&said)), &headers));
    assert_eq!(found.unwrap(), Some(said));
    // Nobody at all.
    let found = peer(
        &Forwarded::nobody(),
        request(Some(Arc::clone(&gateway)), &headers),
    );
    assert_eq!(found.unwrap(), Some(gateway));
    // What they say is not even read.
    let headers = [("x-forwarded-client-cert", "=nonsense")];
    assert_eq!(peer(&forwarded, request(None, &headers)).unwrap(), None);
}

#[test]
fn the_other_header_is_not_believed() {
    let fixture = Fixture::new();
    let (one, other) = (xfcc(&fixture.client.chain), bytes(&fixture.client.chain[0]));
    for (header, headers) in [
        (
            ForwardedHeader::ClientCert,
            [("x-forwarded-client-cert", &*one)],
        ),
        (ForwardedHeader::Xfcc, [("client-cert", &*other)]),
    ] {
        let forwarded = fixture.believes_or_is(header);
        assert_eq!(
            name(&forwarded, fixture.by_gateway(&headers)).as_deref(),
            Ok(GATEWAY)
        );
    }
}

#[test]
fn every_spelling_is_taken_off_and_one_is_believed() {
    let fixture = Fixture::new();
    let header = xfcc(&fixture.client.chain);
    let cert = bytes(&fixture.client.chain[0]);
    for forwarded in [
        Forwarded::nobody(),
        fixture.believes_or_is(ForwardedHeader::Xfcc),
        fixture.believes_or_is(ForwardedHeader::ClientCert),
    ] {
        for (spelling, value) in [
            ("X_Forwarded_Client_Cert", &header),
            ("X-Forwarded_Client-Cert", &header),
            ("x_forwarded-client_cert", &header),
            ("Client_Cert", &cert),
            ("CLIENT_CERT_CHAIN", &cert),
            ("client-cert_chain", &cert),
        ] {
            let request = fixture.by_gateway(&[(spelling, value)]);
            assert_eq!(
                name(&forwarded, request).as_deref(),
                Ok(GATEWAY),
                "{spelling}"
            );
        }
    }
}

#[test]
fn other_headers_stay() {
    let fixture = Fixture::new();
    let forwarded = fixture.believes_or_is(ForwardedHeader::Xfcc);
    let mut request = fixture.by_gateway(&[
        ("x-forwarded-client-cert-x", "a"),
        ("client-certs", "b"),
        ("accept", "c"),
    ]);
    settle(&forwarded, &mut request).unwrap();
    assert_eq!(request.headers().len(), 3);
}

/// By a client without a certificate, or by one that sends `Connection: x-forwarded-client-cert` through
/// a proxy that takes off what is named there, after it has written it.
#[test]
fn whoever_makes_a_proxy_forward_nobody_does_not_pass_for_it() {
    let fixture = Fixture::new();
    for header in [ForwardedHeader::Xfcc, ForwardedHeader::ClientCert] {
        let forwarded = fixture.believes(header);
        for headers in [
            &[][..],
            &[("connection", "x-forwarded-client-cert, client-cert")],
            &[("x_forwarded_client_cert", "a"), ("client_cert", "b")],
        ] {
            let mut request = fixture.by_gateway(headers);
            let denial = settle(&forwarded, &mut request).unwrap_err();
            assert_eq!(denial.code(), Code::CredentialMissing);
        }
        // Others have nothing to forward.
        let other = fixture.over(&fixture.ca.workload("/other"));
        let found = peer(&forwarded, request(Some(Arc::clone(&other)), &[]));
        assert_eq!(found.unwrap(), Some(other));
    }
}

#[test]
fn a_proxy_may_speak_for_itself_where_that_is_said() {
    let fixture = Fixture::new();
    let forwarded = fixture.believes_or_is(ForwardedHeader::Xfcc);
    let itself = name(&forwarded, fixture.by_gateway(&[]));
    assert_eq!(itself.as_deref(), Ok(GATEWAY));
    assert_eq!(name(&forwarded, fixture.xfcc()).as_deref(), Ok(BATCH));
}

/// An application that has `ForwardedPeerLayer`, behind a server that believes nobody.
#[test]
fn clients_of_a_proxy_do_not_pass_for_it_where_a_server_took_its_header_off() {
    let fixture = Fixture::new();
    for header in [ForwardedHeader::Xfcc, ForwardedHeader::ClientCert] {
        let forwarded = fixture.believes_or_is(header);
        let cert = bytes(&fixture.client.chain[0]);
        let headers = [
            ("x-forwarded-client-cert", &*xfcc(&fixture.client.chain)),
            ("client-cert", &cert),
        ];
        let mut request = fixture.by_gateway(&headers);
        settle(&Forwarded::nobody(), &mut request).unwrap();
        assert_eq!(name(&forwarded, request), Err(Code::StackMisordered));
        // Whoever is not on the list speaks for itself, whatever it says.
        let other = fixture.over(&fixture.ca.workload("/other"));
        let mut request = self::request(Some(Arc::clone(&other)), &headers);
        settle(&Forwarded::nobody(), &mut request).unwrap();
        assert_eq!(peer(&forwarded, request).unwrap(), Some(other));
        // So does the proxy where it forwarded nobody, or in another spelling.
        for headers in [
            &[][..],
            &[("x_forwarded_client_cert", "a"), ("client_cert", "b")],
        ] {
            let mut request = fixture.by_gateway(headers);
            settle(&Forwarded::nobody(), &mut request).unwrap();
            assert_eq!(name(&forwarded, request).as_deref(), Ok(GATEWAY));
        }
    }
}

#[test]
fn who_was_believed_further_out_is_not_named_again() {
    let fixture = Fixture::new();
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    for inner in [
        forwarded.clone(),
        forwarded.clone().insecure_proxy_for_itself(),
    ] {
        let mut request = fixture.xfcc();
        settle(&forwarded, &mut request).unwrap();
        // What comes between them is not the proxy's word.
        let admin = xfcc(&fixture.ca.workload("/admin").chain);
        let line = admin.parse().unwrap();
        request
            .headers_mut()
            .insert("x-forwarded-client-cert", line);
        assert_eq!(name(&inner, request).as_deref(), Ok(BATCH));
    }
}

#[test]
fn it_ends_with_whichever_certificate_ends_first() {
    let fixture = Fixture::new();
    let now = fixture.clock.now().unwrap();
    let hour = Duration::from_secs(3600);
    let until = |path: &str, to| {
        let mut params = svid_params(&format!("spiffe://shop.example{path}"));
        valid(&mut params, now, to);
        fixture.ca.issue(params)
    };
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    for (proxy, client) in [(now + hour, now + 2 * hour), (now + 2 * hour, now + hour)] {
        let gateway = fixture.over(&until("/gateway", proxy));
        let client = until("/batch", client);
        let headers = [("x-forwarded-client-cert", &*xfcc(&client.chain))];
        // Also from the cache.
        for _ in 0..2 {
            let request = request(Some(Arc::clone(&gateway)), &headers);
            let found = peer(&forwarded, request).unwrap().unwrap();
            assert_eq!(found.not_after(), now + hour);
        }
    }
}

#[test]
fn a_client_is_verified_once_a_minute() {
    let fixture = Fixture::new();
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    let gateway = fixture.gateway();
    let headers = [("x-forwarded-client-cert", &*xfcc(&fixture.client.chain))];
    let ask = |forwarded: &Forwarded| {
        let request = request(Some(Arc::clone(&gateway)), &headers);
        peer(forwarded, request).unwrap().unwrap()
    };
    let first = ask(&forwarded);
    assert!(Arc::ptr_eq(&first, &ask(&forwarded)));
    assert!(Arc::ptr_eq(&first, &ask(&forwarded.clone())));
    fixture.clock.advance(Duration::from_secs(59));
    assert!(Arc::ptr_eq(&first, &ask(&forwarded)));
    fixture.clock.advance(Duration::from_secs(1));
    let second = ask(&forwarded);
    assert!(!Arc::ptr_eq(&first, &second));
    // Another edition of the credentials.
    let _ = fixture.credentials.replace(fixture.ca.material("/orders"));
    let third = ask(&forwarded);
    assert!(!Arc::ptr_eq(&second, &third));
    assert_eq!(second, third);
    // A clock that went back.
    let now = fixture.clock.now().unwrap();
    fixture
        .clock
        .set_wall(now.saturating_sub(Duration::from_secs(1)));
    assert!(!Arc::ptr_eq(&third, &ask(&forwarded)));
    // Another proxy.
    let other = fixture.gateway();
    let found = peer(&forwarded, request(Some(Arc::clone(&other)), &headers));
    assert_eq!(found.unwrap().unwrap().via(), Some(&other));
}

#[test]
fn a_client_that_is_no_longer_trusted_is_refused_at_once() {
    let fixture = Fixture::new();
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    assert!(name(&forwarded, fixture.xfcc()).is_ok());
    let now = fixture.clock.now().unwrap();
    let hour = Duration::from_secs(3600);
    let list = fixture.ca.revocation_list(&[&fixture.client], now, hour);
    let trust = Trust::spiffe([fixture.ca.bundle()]).unwrap();
    let trust = trust.revocation_lists([list]).unwrap();
    let ours = fixture.ca.workload("/orders").identity();
    let _ = fixture
        .credentials
        .replace(Material::new(ours.clone(), trust));
    // The proxy was verified by the trust of before.
    let gateway = fixture.gateway();
    let headers = [("x-forwarded-client-cert", &*xfcc(&fixture.client.chain))];
    let ask = || name(&forwarded, request(Some(Arc::clone(&gateway)), &headers));
    assert_eq!(ask(), Err(Code::CredentialRevoked));
    // A list that is out of date is for us to renew.
    fixture.clock.advance(hour);
    assert_eq!(ask(), Err(Code::KeysUnavailable));
    // Another trust domain alone.
    let other = TestCa::new("other.example");
    let trust = Trust::spiffe([other.bundle()]).unwrap();
    let _ = fixture.credentials.replace(Material::new(ours, trust));
    assert_eq!(ask(), Err(Code::CredentialInvalid));
}

#[test]
fn clients_may_have_another_ca_than_the_proxy() {
    let fixture = Fixture::new();
    let partner = TestCa::new("partner.example");
    let client = partner.workload("/till");
    let headers = [("x-forwarded-client-cert", &*xfcc(&client.chain))];
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    let refused = name(&forwarded, fixture.by_gateway(&headers));
    assert_eq!(refused, Err(Code::CredentialInvalid));
    let forwarded = forwarded.trusting(Trust::spiffe([partner.bundle()]).unwrap());
    assert_eq!(
        name(&forwarded, fixture.by_gateway(&headers)).as_deref(),
        Ok("spiffe://partner.example/till")
    );
    assert_eq!(
        name(&forwarded, fixture.xfcc()),
        Err(Code::CredentialInvalid)
    );
}

#[test]
fn the_nearest_proxy_has_the_last_word() {
    let fixture = Fixture::new();
    let forged = xfcc(&fixture.ca.workload("/admin").chain);
    let true_one = xfcc(&fixture.client.chain);
    let both = format!("{forged},{true_one}");
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    for headers in [
        vec![("x-forwarded-client-cert", &*both)],
        vec![
            ("x-forwarded-client-cert", &*forged),
            ("x-forwarded-client-cert", &true_one),
        ],
    ] {
        let request = fixture.by_gateway(&headers);
        assert_eq!(name(&forwarded, request).as_deref(), Ok(BATCH));
        let request = fixture.by_gateway(&headers);
        let alone = fixture.believes(ForwardedHeader::Xfcc).single_element();
        assert_eq!(name(&alone, request), Err(Code::CredentialMalformed));
    }
    let alone = forwarded.single_element();
    assert_eq!(name(&alone, fixture.xfcc()).as_deref(), Ok(BATCH));
}
