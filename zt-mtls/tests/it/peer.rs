//! Who may come in over a connection that was made for it.

use axum::{Router, routing::get};
use sha2::{Digest, Sha256};
use zt_core::{
    authenticate::{Authenticate, all_of},
    context::SecurityContext,
    stack::ZeroTrust,
};
use zt_jwt::{testing::TestIssuer, verify_jwt::VerifyJwtLayer};
use zt_mtls::{
    credentials::{Credentials, Material},
    peer::{Peers, RequirePeerLayer},
    serve::Config,
    testing::TestCa,
    verify::Trust,
};

use crate::calls::{Connection, start};

async fn whoami(axum::Extension(cx): axum::Extension<SecurityContext>) -> String {
    cx.principal().unwrap().subject().to_owned()
}

async fn serving(ca: &TestCa, authenticator: impl Authenticate) -> std::net::SocketAddr {
    let zt = ZeroTrust::builder()
        .without_audit()
        .authenticate(authenticator)
        .any_authenticated()
        .build()
        .unwrap();
    let router = Router::new().route("/", get(whoami));
    start(Config::new(ca.credentials("/orders")), &zt, router).await
}

fn peers() -> Peers {
    Peers::parse([
        "spiffe://shop.example/ns/a/*",
        "spiffe://shop.example/batch",
    ])
    .unwrap()
}

#[tokio::test]
async fn a_workload_on_the_list_comes_in_and_another_is_refused() {
    let ca = TestCa::new("shop.example");
    let address = serving(&ca, RequirePeerLayer::new(peers())).await;
    for (path, answer) in [
        ("/batch", (200, "spiffe://shop.example/batch")),
        ("/ns/a/b", (200, "spiffe://shop.example/ns/a/b")),
        ("/ns/ab", (403, "policy-denied")),
        ("/batch/x", (403, "policy-denied")),
    ] {
        for http2 in [false, true] {
            let mut caller = Connection::open(address, &ca.credentials(path), http2).await;
            for _ in 0..2 {
                let (status, body) = caller.ask("/", &[]).await;
                assert_eq!((status, &*body), answer, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_bound_token_passes_over_its_certificate_alone() {
    // RFC 8705 section 3.
    let ca = TestCa::new("shop.example");
    let issuer = TestIssuer::offline();
    let jwt = || VerifyJwtLayer::new(issuer.verifier("orders"));
    let cert = ca.workload("/batch");
    let thumbprint = Sha256::digest(&cert.chain[0]).into();
    let trust = Trust::spiffe([ca.bundle()]).unwrap();
    let mine = Credentials::new(Material::new(cert.identity(), trust));
    let theirs = ca.credentials("/batch");
    let token = issuer.token("ada").audience("orders");
    let free = format!("Bearer {}", token.mint());
    let bound = token.bound_to_certificate(&thumbprint);
    let bound = format!("Bearer {}", bound.mint());
    let alone = serving(&ca, jwt()).await;
    let both = serving(&ca, all_of(jwt(), RequirePeerLayer::new(peers()))).await;
    for address in [alone, both] {
        let mut mine = Connection::open(address, &mine, true).await;
        let mut theirs = Connection::open(address, &theirs, true).await;
        let bound = [("authorization", &*bound)];
        let free = [("authorization", &*free)];
        assert_eq!(mine.ask("/", &bound).await, (200, "ada".to_owned()));
        assert_eq!(
            theirs.ask("/", &bound).await,
            (401, "binding-mismatch".to_owned())
        );
        // Nobody's fault but the token's.
        assert_eq!(theirs.ask("/", &free).await, (200, "ada".to_owned()));
    }
    // A token is no way around the list.
    let mut other = Connection::open(both, &ca.credentials("/other"), true).await;
    let free = [("authorization", &*free)];
    assert_eq!(
        other.ask("/", &free).await,
        (403, "policy-denied".to_owned())
    );
    let mut mine = Connection::open(both, &mine, true).await;
    assert_eq!(
        mine.ask("/", &[]).await,
        (401, "credential-missing".to_owned())
    );
}
