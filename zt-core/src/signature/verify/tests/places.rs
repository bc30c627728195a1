//! Condition 9, and where the layer stands.

use std::net::SocketAddr;

use super::*;
use crate::{
    authenticate::{all_of, any_of, with_body},
    authorize::{AnyAuthenticated, AuthorizeLayer},
    context::{ForwardedHeader, PeerAddr, TrustedProxies},
    service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
    stack::ZeroTrust,
    store::MemoryStore,
};

/// As HTTP/2 delivers it: the target is whole, and there is no `Host`.
fn as_http2(draft: &Draft) -> Request<Full<Bytes>> {
    let mut request = draft.signed();
    *request.version_mut() = http::Version::HTTP_2;
    let uri = format!("https://{}{}", draft.host, draft.target);
    *request.uri_mut() = uri.parse().unwrap();
    request.headers_mut().remove("host");
    request
}

#[tokio::test]
async fn both_versions_of_http_give_the_same_base() {
    for draft in [
        Draft::default(),
        Draft::post("42"),
        Draft::default().cover("\"@target-uri\""),
    ] {
        assert!(strict().ask(draft.signed()).await.passed());
        assert!(strict().ask(as_http2(&draft)).await.passed());
    }
}

#[tokio::test]
async fn refuses_a_request_that_names_two_hosts_or_none() {
    let mut two = Draft::default().signed();
    two.headers_mut()
        .append("host", "shop.example".parse().unwrap());
    strict().ask(two).await.invalid("several hosts");
    let mut other = as_http2(&Draft::default());
    other
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    strict().ask(other).await.invalid("several hosts");
    let mut none = Draft::default().signed();
    none.headers_mut().remove("host");
    strict().ask(none).await.invalid("which host");
}

#[tokio::test]
async fn a_fixed_host_is_what_counts() {
    let policy = SignaturePolicy::strict().authority(AuthoritySource::Fixed("shop.example".into()));
    let server = server(policy);
    let mut request = Draft::default().signed();
    request
        .headers_mut()
        .insert("host", "10.0.0.7:8080".parse().unwrap());
    assert!(server.ask(request).await.passed());
    let other = Draft {
        host: "10.0.0.7:8080".into(),
        ..Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"n2\"")
    };
    server.ask(other.signed()).await.invalid("does not hold");
}

#[test]
fn a_fixed_host_that_is_none_is_an_error() {
    for host in [
        "",
        "https://shop.example",
        "user@shop.example",
        "a b",
        "shop.example/x",
    ] {
        let policy = SignaturePolicy::strict().authority(AuthoritySource::Fixed(host.into()));
        let replays = MemoryReplays::for_new_keys(policy.replay_window());
        let ring = KeyRing::new([entry("k1")]).unwrap();
        let error = VerifySignatureLayer::new(policy, ring, replays).unwrap_err();
        assert_eq!(error, ConfigError::Authority(host.into()));
    }
}

#[tokio::test]
async fn a_forwarded_host_counts_from_a_trusted_proxy_and_from_nobody_else() {
    let proxies =
        || TrustedProxies::new(["10.0.0.0/8".parse().unwrap()], ForwardedHeader::Forwarded);
    let ask = async |source: AuthoritySource, peer: &str, lines: &[(&'static str, &str)]| {
        let mut server = server(SignaturePolicy::strict().authority(source));
        server.settings = server.settings.with_proxies(proxies());
        let mut request = Draft::default().signed();
        request
            .headers_mut()
            .insert("host", "internal".parse().unwrap());
        for (name, value) in lines {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(PeerAddr(peer));
        server.ask(request).await
    };
    use AuthoritySource::{Forwarded, Request, XForwardedHost};
    let x = "x-forwarded-host";
    assert!(
        ask(XForwardedHost, "10.0.0.1:1", &[(x, "shop.example")])
            .await
            .passed()
    );
    ask(XForwardedHost, "192.0.2.1:1", &[(x, "shop.example")])
        .await
        .invalid("trusted proxy");
    ask(XForwardedHost, "10.0.0.1:1", &[])
        .await
        .invalid("which host");
    ask(XForwardedHost, "10.0.0.1:1", &[(x, "shop.example, b")])
        .await
        .invalid("several");
    ask(
        XForwardedHost,
        "10.0.0.1:1",
        &[(x, "shop.example"), (x, "b")],
    )
    .await
    .invalid("several");
    // Not unless it was said.
    ask(Request, "10.0.0.1:1", &[(x, "shop.example")])
        .await
        .invalid("does not hold");
    let good = "for=1.2.3.4;host=evil, for=2.3.4.5;Host=\"shop.example\";proto=https";
    assert!(
        ask(Forwarded, "10.0.0.1:1", &[("forwarded", good)])
            .await
            .passed()
    );
    ask(Forwarded, "192.0.2.1:1", &[("forwarded", good)])
        .await
        .invalid("trusted proxy");
    let evil = "host=shop.example, host=evil";
    ask(Forwarded, "10.0.0.1:1", &[("forwarded", evil)])
        .await
        .invalid("does not hold");
    let quoted = "host=\"a, host=shop.example\"";
    ask(Forwarded, "10.0.0.1:1", &[("forwarded", quoted)])
        .await
        .invalid("");
}

async fn tokens() -> (ServiceTokens, String) {
    let clock = ManualClock::default();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let config = ServiceTokenConfig::new("test");
    let tokens = ServiceTokens::open(store, clock, config).await.unwrap();
    let request = MintRequest::new("billing", "example").insecure_never_expires();
    let clear = tokens.mint(request).await.unwrap().clear;
    (tokens, clear.expose().to_owned())
}

fn stack_of<A: crate::authenticate::Authenticate>(
    authenticator: A,
) -> impl tower_service::Service<
    Request<Full<Bytes>>,
    Response = Response<impl http_body::Body<Error: std::fmt::Debug>>,
    Error = Infallible,
> {
    let handler = tower::service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
        let who = request.extensions().get::<SecurityContext>().unwrap();
        let who = who.principal().unwrap().subject().to_owned();
        let forwarded = request.headers().contains_key("x-forwarded-user");
        assert!(!forwarded, "the handler must not see it");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let response = Response::builder().header("x-subject", who);
        Ok::<_, Infallible>(response.body(Full::new(body)).unwrap())
    });
    let zt = ZeroTrust::builder()
        .without_audit()
        .authenticate(authenticator)
        .authorize(AuthorizeLayer::new(AnyAuthenticated))
        .settings(Settings::default().with_clock(ManualClock::default()))
        .build()
        .unwrap();
    zt.layer(handler)
}

#[tokio::test]
async fn in_a_stack_the_body_is_verified_and_what_is_stripped_was_signed() {
    let draft = Draft::post("42")
        .header("x-forwarded-user", "ada")
        .cover("\"x-forwarded-user\"");
    let response = stack_of(strict().layer)
        .oneshot(draft.signed())
        .await
        .unwrap();
    assert_eq!(
        answer(response).await,
        Answer::Passed("order-service".into(), "42".into())
    );
    let mut request = draft.signed();
    *request.body_mut() = Full::from("43");
    let response = stack_of(strict().layer).oneshot(request).await.unwrap();
    answer(response).await.invalid("another digest");
    let mut request = draft.signed();
    request
        .headers_mut()
        .insert("x-forwarded-user", "root".parse().unwrap());
    let response = stack_of(strict().layer).oneshot(request).await.unwrap();
    answer(response).await.invalid("does not hold");
}

#[tokio::test]
async fn a_field_that_claims_an_identity_and_was_not_stripped_is_there_once() {
    for name in ["forwarded", "client-cert", "x-forwarded-user"] {
        let component = format!("\"{name}\"");
        let draft = Draft::default().header(name, "ada").cover(&component);
        assert!(strict().ask(draft.signed()).await.passed(), "{name}");
        let mut changed = draft.signed();
        changed.headers_mut().insert(name, "root".parse().unwrap());
        strict().ask(changed).await.invalid("does not hold");
        let mut twice = draft.signed();
        twice.headers_mut().append(name, "ada".parse().unwrap());
        strict().ask(twice).await.invalid("does not hold");
        let twice = draft.clone().header(name, "bob");
        assert!(strict().ask(twice.signed()).await.passed(), "{name}");
    }
}

#[tokio::test]
async fn beside_a_token_a_signature_is_one_of_two_or_both() {
    let (tokens, clear) = tokens().await;
    let token = || VerifyServiceTokenLayer::new(tokens.clone());
    let with_token = |mut request: Request<Full<Bytes>>| {
        request
            .headers_mut()
            .insert("x-service-token", clear.parse().unwrap());
        request
    };
    let ask_any = async |request| {
        let service = stack_of(any_of(token(), strict().layer));
        answer(service.oneshot(request).await.unwrap()).await
    };
    assert!(ask_any(Draft::post("42").signed()).await.passed());
    assert_eq!(
        ask_any(with_token(Draft::post("42").unsigned())).await,
        Answer::Passed("billing".into(), "42".into())
    );
    ask_any(with_token(Draft::post("42").signed()))
        .await
        .is(Code::CredentialAmbiguous, "");
    let ask_all = async |request| {
        let service = stack_of(all_of(token(), strict().layer));
        answer(service.oneshot(request).await.unwrap()).await
    };
    ask_all(Draft::post("42").signed())
        .await
        .is(Code::CredentialMissing, "");
    ask_all(with_token(Draft::post("42").unsigned()))
        .await
        .is(Code::CredentialMissing, "");
    let answer = ask_all(with_token(Draft::post("42").signed())).await;
    assert_eq!(answer, Answer::Passed("billing".into(), "42".into()));
    let mut changed = with_token(Draft::post("42").signed());
    *changed.body_mut() = Full::from("43");
    ask_all(changed).await.invalid("another digest");
}

#[tokio::test]
async fn whoever_is_asked_for_either_is_told_of_both() {
    let (tokens, _) = tokens().await;
    let service = stack_of(any_of(VerifyServiceTokenLayer::new(tokens), strict().layer));
    let response = service.oneshot(Draft::default().unsigned()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key("accept-signature"));
    assert_eq!(
        response
            .headers()
            .get_all("www-authenticate")
            .iter()
            .count(),
        2
    );
}

#[tokio::test]
async fn combinations_stand_alone_with_their_bodies() {
    let (tokens, _) = tokens().await;
    let either = any_of(VerifyServiceTokenLayer::new(tokens), strict().layer);
    let handler = tower::service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let response = Response::builder().header("x-subject", "handled");
        Ok::<_, Infallible>(response.body(Full::new(body)).unwrap())
    });
    let service = OpenContextLayer::new(Settings::default().with_clock(ManualClock::default()))
        .layer(with_body(either).layer(handler));
    let mut changed = Draft::post("42").signed();
    *changed.body_mut() = Full::from("43");
    let response = service.clone().oneshot(changed).await.unwrap();
    answer(response).await.invalid("another digest");
    let params = ";created=NOW;keyid=\"k1\";nonce=\"n2\"";
    let response = service
        .oneshot(Draft::post("42").params(params).signed())
        .await
        .unwrap();
    assert!(answer(response).await.passed());
}

#[cfg(feature = "axum")]
mod nested {
    use axum::{Router, body::Body, routing::post};

    use super::*;

    /// One router, with the layer outside, on the nested router, and on the nested route.
    fn routers() -> [Router; 3] {
        let settings =
            || OpenContextLayer::new(Settings::default().with_clock(ManualClock::default()));
        let handler = || post(async |body: String| ([("x-subject", "handled")], body));
        let layered = || -> axum::routing::MethodRouter {
            handler()
                .layer::<_, Infallible>(strict().layer)
                .layer(settings())
        };
        let route = || Router::new().route("/{id}", handler());
        [
            Router::new()
                .nest("/api/orders", route())
                .layer(strict().layer)
                .layer(settings()),
            Router::new().nest(
                "/api",
                Router::new().nest("/orders", route().layer(strict().layer).layer(settings())),
            ),
            Router::new().nest("/api/orders", Router::new().route("/{id}", layered())),
        ]
    }

    #[tokio::test]
    async fn a_router_that_nests_does_not_take_the_signed_path_away() {
        let draft = |target: &str| Draft {
            target: target.into(),
            ..Draft::post("42")
        };
        for router in routers() {
            let signed = draft("/api/orders/7?full=1").signed();
            // What the nested router sees is not what was signed.
            let mut moved = draft("/7?full=1").signed();
            *moved.uri_mut() = "/api/orders/7?full=1".parse().unwrap();
            let response = router.clone().oneshot(moved.map(Body::new)).await.unwrap();
            answer(response).await.invalid("does not hold");
            let response = router.oneshot(signed.map(Body::new)).await.unwrap();
            assert!(answer(response).await.passed());
        }
    }
}
