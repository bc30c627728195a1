//! A proxy in front, and clients who say that they are one.

use std::fmt::Write as _;

use axum::{Router, routing::get};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderMap;
use sha2::{Digest, Sha256};
use zt_core::{context::SecurityContext, stack::ZeroTrust};
use zt_jwt::{testing::TestIssuer, verify_jwt::VerifyJwtLayer};
use zt_mtls::{
    forwarded::{Forwarded, ForwardedHeader},
    peer::{Peers, RequirePeerLayer},
    serve::Config,
    testing::{TestCa, TestCert, pem},
};

use crate::calls::{Connection, start};

/// Who asks, over what, and whether any header says so still.
async fn whoami(
    axum::Extension(cx): axum::Extension<SecurityContext>,
    headers: HeaderMap,
) -> String {
    let claims = headers.keys().filter(|name| name.as_str().contains("cert"));
    let peer = cx.peer().unwrap();
    let via = peer.via().and_then(|proxy| proxy.spiffe_id());
    format!(
        "{} via {} {}",
        peer.spiffe_id().unwrap(),
        via.unwrap_or("nobody"),
        claims.count()
    )
}

fn xfcc(cert: &TestCert) -> String {
    let leaf = &cert.chain[0];
    let hash = Sha256::digest(leaf)
        .iter()
        .fold(String::new(), |mut out, byte| {
            write!(out, "{byte:02x}").unwrap();
            out
        });
    let pem = pem("CERTIFICATE", leaf);
    let pem = percent_encoding::utf8_percent_encode(&pem, percent_encoding::NON_ALPHANUMERIC);
    format!("By=spiffe://shop.example/gateway;Hash={hash};Cert=\"{pem}\"")
}

async fn serving(ca: &TestCa, forwarded: Option<ForwardedHeader>) -> std::net::SocketAddr {
    let credentials = ca.credentials("/orders");
    let proxies = Peers::parse(["spiffe://shop.example/gateway"]).unwrap();
    let mut config = Config::new(credentials.clone());
    if let Some(header) = forwarded {
        let forwarded = Forwarded::by(proxies, header, &credentials);
        config = config.forwarded(forwarded.insecure_proxy_for_itself());
    }
    let everybody = Peers::parse(["spiffe://shop.example/*"]).unwrap();
    let zt = ZeroTrust::builder()
        .without_audit()
        .authenticate(RequirePeerLayer::new(everybody))
        .any_authenticated()
        .build()
        .unwrap();
    start(config, &zt, Router::new().route("/", get(whoami))).await
}

#[tokio::test]
async fn a_proxy_names_its_client_and_nobody_else_can() {
    let ca = TestCa::new("shop.example");
    let client = ca.workload("/batch");
    let xfcc = xfcc(&client);
    let cert = format!(":{}:", BASE64_STANDARD.encode(&client.chain[0]));
    let believed = "spiffe://shop.example/batch via spiffe://shop.example/gateway 0";
    let (gateway, mallory) = (ca.credentials("/gateway"), ca.credentials("/mallory"));
    for http2 in [false, true] {
        for (header, name, value) in [
            (ForwardedHeader::Xfcc, "x-forwarded-client-cert", &xfcc),
            (ForwardedHeader::ClientCert, "client-cert", &cert),
        ] {
            let says = [(name, &**value)];
            let believing = serving(&ca, Some(header)).await;
            let plain = serving(&ca, None).await;
            let mut proxy = Connection::open(believing, &gateway, http2).await;
            for _ in 0..2 {
                assert_eq!(proxy.ask("/", &says).await, (200, believed.to_owned()));
            }
            // On the same connection, for itself.
            let alone = (200, "spiffe://shop.example/gateway via nobody 0".to_owned());
            assert_eq!(proxy.ask("/", &[]).await, alone);
            let spelt = name.replace('-', "_");
            assert_eq!(proxy.ask("/", &[(&spelt, value)]).await, alone);
            assert_eq!(
                proxy.ask("/", &[(name, "nonsense")]).await,
                (400, "credential-malformed".to_owned())
            );
            let mut proxy = Connection::open(plain, &gateway, http2).await;
            assert_eq!(proxy.ask("/", &says).await, alone);
            for address in [believing, plain] {
                let mut mallory = Connection::open(address, &mallory, http2).await;
                for name in [name, &spelt] {
                    assert_eq!(
                        mallory.ask("/", &[(name, value)]).await,
                        (200, "spiffe://shop.example/mallory via nobody 0".to_owned())
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_token_is_bound_to_the_client_and_not_to_the_proxy() {
    // RFC 8705 section 3, RFC 9440 section 1.
    let ca = TestCa::new("shop.example");
    let credentials = ca.credentials("/orders");
    let proxies = Peers::parse(["spiffe://shop.example/gateway"]).unwrap();
    let config = Config::new(credentials.clone()).forwarded(Forwarded::by(
        proxies,
        ForwardedHeader::Xfcc,
        &credentials,
    ));
    let issuer = TestIssuer::offline();
    let zt = ZeroTrust::builder()
        .without_audit()
        .authenticate(VerifyJwtLayer::new(issuer.verifier("orders")))
        .any_authenticated()
        .build()
        .unwrap();
    let address = start(config, &zt, Router::new().route("/", get(whoami))).await;
    let (client, other) = (ca.workload("/batch"), ca.workload("/batch"));
    let thumbprint = Sha256::digest(&client.chain[0]).into();
    let token = issuer.token("ada").audience("orders");
    let token = format!("Bearer {}", token.bound_to_certificate(&thumbprint).mint());
    let mut proxy = Connection::open(address, &ca.credentials("/gateway"), true).await;
    for (cert, status) in [(Some(&client), 200), (Some(&other), 401), (None, 401)] {
        let xfcc = cert.map(xfcc);
        let mut headers = vec![("authorization", &*token)];
        headers.extend(
            xfcc.as_deref()
                .map(|xfcc| ("x-forwarded-client-cert", xfcc)),
        );
        assert_eq!(proxy.ask("/", &headers).await.0, status);
    }
}
