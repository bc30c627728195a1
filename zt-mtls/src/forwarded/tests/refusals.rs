//! What comes from a proxy that is believed and is not good.

use std::time::Duration;

use http::{Method, Response, StatusCode};
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use tower::{Layer, ServiceExt, service_fn};
use zt_core::clock::{Clock, Timestamp};

use super::*;
use crate::testing::{Params, svid_params, valid};

fn refused(headers: &[(&str, &str)], header: ForwardedHeader) -> Code {
    let fixture = Fixture::new();
    name(&fixture.believes(header), fixture.by_gateway(headers)).unwrap_err()
}

fn refused_xfcc(text: &str) -> Code {
    refused(&[("x-forwarded-client-cert", text)], ForwardedHeader::Xfcc)
}

#[test]
fn refuses_a_header_that_is_not_in_its_form() {
    for text in ["", "x", "Cert=%", "Subject=\"", "Cert=\"x\"y"] {
        assert_eq!(refused_xfcc(text), Code::CredentialMalformed, "{text}");
    }
    for text in ["", "x", ":e*:", "\"x\"", ":eA==:,:eA==:"] {
        let code = refused(&[("client-cert", text)], ForwardedHeader::ClientCert);
        assert_eq!(code, Code::CredentialMalformed, "{text}");
    }
    let twice = [("client-cert", ":eA==:"), ("client-cert", ":eA==:")];
    let code = refused(&twice, ForwardedHeader::ClientCert);
    assert_eq!(code, Code::CredentialMalformed);
    let alone = [("client-cert-chain", ":eA==:")];
    let code = refused(&alone, ForwardedHeader::ClientCert);
    assert_eq!(code, Code::CredentialMalformed);
}

#[test]
fn refuses_a_name_or_a_hash_without_the_certificate() {
    let hash = "0".repeat(64);
    for text in [
        "URI=spiffe://shop.example/batch".to_owned(),
        format!("By={GATEWAY};Hash={hash}"),
        format!("By={GATEWAY};Hash={hash};URI=spiffe://shop.example/batch"),
    ] {
        assert_eq!(refused_xfcc(&text), Code::CredentialInvalid, "{text}");
    }
}

#[test]
fn refuses_a_hash_of_another_certificate() {
    let fixture = Fixture::new();
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    let good = xfcc(&fixture.client.chain);
    let hash = hex(&Sha256::digest(&fixture.client.chain[0]));
    let with = |text: &str| {
        let headers = [("x-forwarded-client-cert", text)];
        name(&forwarded, fixture.by_gateway(&headers))
    };
    assert!(with(&good).is_ok());
    assert!(with(&good.replace(&hash, &hash.to_uppercase())).is_ok());
    // It is in the cache now, and compared all the same.
    let other = hex(&Sha256::digest(b"other"));
    assert_eq!(
        with(&good.replace(&hash, &other)),
        Err(Code::CredentialInvalid)
    );
    assert_eq!(
        with(&good.replace(&hash, "ab")),
        Err(Code::CredentialMalformed)
    );
}

#[test]
fn refuses_every_certificate_that_a_handshake_would() {
    let fixture = Fixture::new();
    let now = fixture.clock.now().unwrap();
    let day = Duration::from_secs(86_400);
    let batch = "spiffe://shop.example/batch";
    let bad = |change: &dyn Fn(&mut Params)| {
        let mut params = svid_params(batch);
        change(&mut params);
        fixture.ca.issue(params).chain
    };
    let forged = TestCa::new("shop.example").workload("/batch").chain;
    let garbage = vec![CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])];
    for (what, chain, code) in [
        (
            "signed by itself or by a forger",
            forged,
            Code::CredentialInvalid,
        ),
        ("garbage", garbage, Code::CredentialInvalid),
        (
            "expired",
            bad(&|params| valid(params, Timestamp::EPOCH, now.saturating_sub(day))),
            Code::CredentialExpired,
        ),
        (
            "not yet valid",
            bad(&|params| valid(params, now + day, now + 2 * day)),
            Code::CredentialInvalid,
        ),
        (
            "for servers",
            bad(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            Code::CredentialInvalid,
        ),
        (
            "without key usage",
            bad(&|params| params.key_usages.clear()),
            Code::CredentialInvalid,
        ),
        (
            "two names",
            bad(&|params| {
                let other = "spiffe://shop.example/other".try_into().unwrap();
                params.subject_alt_names.push(SanType::URI(other));
            }),
            Code::CredentialInvalid,
        ),
        (
            "no name",
            bad(&|params| params.subject_alt_names.clear()),
            Code::CredentialInvalid,
        ),
        (
            "of a CA",
            vec![fixture.ca.root().clone()],
            Code::CredentialInvalid,
        ),
        (
            "another trust domain",
            TestCa::new("other.example").workload("/batch").chain,
            Code::CredentialInvalid,
        ),
    ] {
        let headers = [("x-forwarded-client-cert", &*xfcc(&chain))];
        let forwarded = fixture.believes(ForwardedHeader::Xfcc);
        // What was refused is not kept.
        for _ in 0..2 {
            let found = name(&forwarded, fixture.by_gateway(&headers));
            assert_eq!(found, Err(code), "{what}");
        }
        let forwarded = fixture.believes(ForwardedHeader::ClientCert);
        let headers = [("client-cert", &*bytes(&chain[0]))];
        let found = name(&forwarded, fixture.by_gateway(&headers));
        assert_eq!(found, Err(code), "{what}");
    }
}

#[test]
fn refuses_a_client_whose_certificate_ends_while_it_is_known() {
    let fixture = Fixture::new();
    let now = fixture.clock.now().unwrap();
    let mut params = svid_params("spiffe://shop.example/batch");
    valid(&mut params, Timestamp::EPOCH, now + Duration::from_secs(30));
    let client = fixture.ca.issue(params);
    let headers = [("x-forwarded-client-cert", &*xfcc(&client.chain))];
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    let gateway = fixture.gateway();
    let ask = || name(&forwarded, request(Some(Arc::clone(&gateway)), &headers));
    assert!(ask().is_ok());
    fixture.clock.advance(Duration::from_secs(31));
    assert_eq!(ask(), Err(Code::CredentialExpired));
}

#[test]
fn refuses_over_a_proxy_whose_certificate_has_ended() {
    let fixture = Fixture::new();
    let now = fixture.clock.now().unwrap();
    let mut params = svid_params(GATEWAY);
    valid(&mut params, Timestamp::EPOCH, now + Duration::from_secs(30));
    let gateway = fixture.over(&fixture.ca.issue(params));
    let headers = [("x-forwarded-client-cert", &*xfcc(&fixture.client.chain))];
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    let ask = || name(&forwarded, request(Some(Arc::clone(&gateway)), &headers));
    assert!(ask().is_ok());
    fixture.clock.advance(Duration::from_secs(30));
    assert_eq!(ask(), Err(Code::CredentialExpired));
}

#[test]
fn refuses_when_the_time_cannot_be_had() {
    let fixture = Fixture::new();
    let request = fixture.xfcc();
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    fixture.clock.fail();
    assert_eq!(name(&forwarded, request), Err(Code::ClockUnavailable));
}

async fn answer(method: Method, kind: &str) -> Response<Vec<u8>> {
    let fixture = Fixture::new();
    let layer = ForwardedPeerLayer::new(fixture.believes(ForwardedHeader::Xfcc));
    let service = layer.layer(service_fn(|_: Request<()>| async {
        panic!("it was called");
        #[expect(unreachable_code, reason = "says of what type the answer would be")]
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    }));
    let mut request = fixture.by_gateway(&[
        ("x-forwarded-client-cert", "Cert=%"),
        ("content-type", kind),
    ]);
    *request.method_mut() = method;
    let response = service.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap();
    Response::from_parts(parts, body.to_bytes().to_vec())
}

#[tokio::test]
async fn a_refusal_is_a_problem_document_and_the_application_is_not_asked() {
    let response = answer(Method::POST, "text/plain").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["code"], "credential-malformed");
    assert!(!String::from_utf8_lossy(response.body()).contains("percent"));
    let denial: &Denial = response.extensions().get().unwrap();
    assert_eq!(denial.code(), Code::CredentialMalformed);
}

#[tokio::test]
async fn a_refusal_for_a_certificate_asks_for_no_token() {
    let fixture = Fixture::new();
    let layer = ForwardedPeerLayer::new(fixture.believes(ForwardedHeader::Xfcc));
    let service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    }));
    let named = "URI=spiffe://shop.example/batch";
    let request = fixture.by_gateway(&[("x-forwarded-client-cert", named)]);
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenges = response.headers().get_all("www-authenticate");
    assert!(challenges.iter().eq(["ClientCertificate"]));
}

#[tokio::test]
async fn a_refusal_of_a_head_has_no_content_and_one_of_grpc_has_trailers_alone() {
    let response = answer(Method::HEAD, "text/plain").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(response.body().is_empty());
    assert_ne!(response.headers()["content-length"], "0");
    let response = answer(Method::POST, "application/grpc+proto").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["zt-code"], "credential-malformed");
    assert!(response.body().is_empty());
}

#[tokio::test]
async fn what_passes_comes_to_the_application_as_it_is() {
    let fixture = Fixture::new();
    let layer = ForwardedPeerLayer::new(fixture.believes(ForwardedHeader::Xfcc));
    let service = layer.layer(service_fn(|request: Request<()>| async move {
        let peer: &Arc<PeerIdentity> = request.extensions().get().unwrap();
        let body = peer.spiffe_id().unwrap().to_owned();
        Ok::<_, std::convert::Infallible>(Response::new(body))
    }));
    let response = service.oneshot(fixture.xfcc()).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap();
    assert_eq!(body.to_bytes(), "spiffe://shop.example/batch");
}
