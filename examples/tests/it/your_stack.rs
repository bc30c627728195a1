//! Your own stack, tested in a line: an issuer for tests makes the tokens, all the bad ones too.

use axum::{Router, body::Body, extract::Request, routing::get};
use http::HeaderValue;
use tower::ServiceExt;
use zt_core::{
    authorize::{AuthorizeLayer, RequireScopes},
    context::PeerAddr,
    decision::Code,
    stack::ZeroTrust,
};
use zt_jwt::{
    testing::{BadToken, TestIssuer},
    verify_jwt::VerifyJwtLayer,
};

use super::App;

/// What one would deploy, around whatever issuer.
fn application(issuer: &TestIssuer) -> App {
    let zt = ZeroTrust::builder()
        .without_audit()
        .authenticate(VerifyJwtLayer::new(issuer.verifier("orders")))
        .authorize(AuthorizeLayer::new(
            RequireScopes::all_of(["orders:read"]).unwrap(),
        ))
        .build()
        .unwrap();
    App::new(zt.wrap(Router::new().route("/orders", get(|| async { "orders" }))))
}

/// Status and code under `token`; nothing where no request can carry it.
async fn call(app: &App, token: &str) -> Option<(u16, Option<Code>)> {
    let value = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()).ok()?;
    let request = Request::get("/orders")
        .header("host", "orders.test")
        .header("authorization", value)
        .extension(PeerAddr(([127, 0, 0, 1], 9).into()))
        .body(Body::empty());
    let response = app.clone().oneshot(request.unwrap()).await.unwrap();
    let denial = response.extensions().get::<zt_core::decision::Denial>();
    Some((
        response.status().as_u16(),
        denial.map(|denial| denial.code()),
    ))
}

#[tokio::test]
async fn every_bad_token_is_refused_as_it_should_be() {
    let issuer = TestIssuer::offline();
    let app = application(&issuer);
    let good = issuer.token("ada").audience("orders").scope("orders:read");
    assert_eq!(call(&app, &good.mint()).await, Some((200, None)));

    for kind in BadToken::ALL {
        let token = issuer.bad_token(*kind, "orders");
        // White space around a token is the header's, and not the token's (RFC 9110 section 5.5).
        if token.trim() != token {
            continue;
        }
        let Some((status, code)) = call(&app, &token).await else {
            continue;
        };
        let what = format!("{}: {}: {status} {code:?}", kind.name(), kind.what());
        assert!(status >= 400, "{what}");
        // What is wrong with the header is noticed before what is wrong with the token.
        let earlier = [
            Code::HeadersTooLarge,
            Code::CredentialAmbiguous,
            Code::CredentialMalformed,
        ];
        assert!(
            code.is_some_and(|code| code == kind.expected() || earlier.contains(&code)),
            "{what}"
        );
    }
}
