use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Request, Response, request::Parts};
use tower::{Layer, ServiceExt, service_fn};
use zt_core::{
    authenticate::{Authenticate, Authenticated, Presented, all_of, any_of},
    clock::{Clock, ManualClock, Timestamp},
    context::SecurityContext,
    decision::{Challenge, Code, Denial},
    gate::{GateLayer, Link, Root, Settings, Step},
    identity::{AuthMethod, Binding, PeerIdentity, PeerSource, Principal, PrincipalKind},
    sanction::EnforceSanctionsLayer,
    state::{Sanction, SanctionAction, SanctionTarget, Sanctions},
};

use super::*;
use crate::id::{SpiffeId, TrustDomain};

const ORDERS: &str = "spiffe://shop.example/orders";

fn peer(id: &str) -> PeerIdentity {
    PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls)
        .spiffe_id(id)
        .uris([id])
        .finish()
}

fn plain(uris: &[&str], dns: &[&str]) -> PeerIdentity {
    PeerIdentity::assertion([8; 32], Timestamp::MAX, PeerSource::Tls)
        .uris(uris.iter().copied())
        .dns_names(dns.iter().copied())
        .finish()
}

fn parse(entries: &[&str]) -> Peers {
    Peers::parse(entries).unwrap()
}

/// Whom the handler sees, or why it sees nobody.
async fn ask(layer: impl Authenticate, peer: Option<PeerIdentity>) -> Result<Arc<Principal>, Code> {
    let peer = peer.map(Arc::new);
    ask_at(layer, peer, &[], Settings::default()).await
}

async fn ask_at(
    layer: impl Authenticate,
    peer: Option<Arc<PeerIdentity>>,
    headers: &[(&'static str, &'static str)],
    settings: Settings,
) -> Result<Arc<Principal>, Code> {
    let chain = Link::new(Root, Authenticated::new(layer));
    let gate = GateLayer::new(chain, Arc::new(settings)).layer(service_fn(
        |request: Request<()>| async move {
            let cx: &SecurityContext = request.extensions().get().unwrap();
            let mut response = Response::new(String::new());
            response
                .extensions_mut()
                .insert(Arc::clone(cx.principal().unwrap()));
            Ok::<_, Infallible>(response)
        },
    ));
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    let response = gate.oneshot(request).await.unwrap();
    match response.extensions().get::<Denial>() {
        Some(denial) => Err(denial.code()),
        None => Ok(Arc::clone(response.extensions().get().unwrap())),
    }
}

/// Another authenticator, over a header.
#[derive(Clone)]
struct Token;

impl Authenticate for Token {
    const NAME: &'static str = "Token";

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        match parts.headers.contains_key("token") {
            true => Presented::Mine,
            false => Presented::Absent,
        }
    }

    fn authenticate(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
        if parts.headers["token"] != "good" {
            return Code::CredentialInvalid.into_step();
        }
        let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt);
        Step::pass(Arc::new(ada.finish()))
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![Challenge::new("Bearer")]
    }
}

trait IntoStep {
    fn into_step(self) -> Step<Arc<Principal>>;
}

impl IntoStep for Code {
    fn into_step(self) -> Step<Arc<Principal>> {
        Denial::new(self).into()
    }
}

mod refuses {
    use super::*;

    #[tokio::test]
    async fn a_request_over_no_verified_connection() {
        let layer = RequirePeerLayer::new(parse(&[ORDERS]));
        assert_eq!(ask(layer, None).await.unwrap_err(), Code::CredentialMissing);
    }

    #[tokio::test]
    async fn without_asking_for_a_token_that_would_not_help() {
        let layer = RequirePeerLayer::new(parse(&[ORDERS]));
        let ended = PeerIdentity::assertion([7; 32], Timestamp::EPOCH, PeerSource::Tls);
        for peer in [None, Some(Arc::new(ended.spiffe_id(ORDERS).finish()))] {
            let mut request = http::Request::new(());
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            let service = tower::service_fn(|_: http::Request<()>| async {
                Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
            });
            let service = tower_layer::Layer::layer(&layer, service);
            let answer = tower::ServiceExt::oneshot(service, request).await.unwrap();
            assert_eq!(answer.status(), 401);
            let challenges = answer.headers().get_all("www-authenticate");
            assert!(challenges.iter().eq(["ClientCertificate"]));
        }
    }

    #[tokio::test]
    async fn everybody_by_default() {
        for peer in [
            peer(ORDERS),
            plain(&["https://a.example"], &["a.example"]),
            plain(&[], &[]),
        ] {
            let layer = RequirePeerLayer::new(Peers::none());
            let refused = ask(layer, Some(peer)).await.unwrap_err();
            assert_eq!(refused, Code::PolicyDenied);
        }
    }

    #[tokio::test]
    async fn a_workload_that_is_not_on_the_list() {
        for (list, id) in [
            (
                "spiffe://shop.example/orders",
                "spiffe://shop.example/order",
            ),
            (
                "spiffe://shop.example/orders",
                "spiffe://shop.example/orders2",
            ),
            (
                "spiffe://shop.example/orders",
                "spiffe://shop.example/Orders",
            ),
            (
                "spiffe://shop.example/orders",
                "spiffe://shop.example/orders/x",
            ),
            (
                "spiffe://shop.example/orders",
                "spiffe://shop2.example/orders",
            ),
            // By whole segments, and not itself.
            (
                "spiffe://shop.example/ns/a/*",
                "spiffe://shop.example/ns/ab",
            ),
            (
                "spiffe://shop.example/ns/a/*",
                "spiffe://shop.example/ns/ab/c",
            ),
            ("spiffe://shop.example/ns/a/*", "spiffe://shop.example/ns/a"),
            (
                "spiffe://shop.example/ns/a/*",
                "spiffe://shop.example/x/ns/a/b",
            ),
            (
                "spiffe://shop.example/ns/a/*",
                "spiffe://other.example/ns/a/b",
            ),
            // A domain below it, or beginning like it, is another.
            ("spiffe://shop.example/*", "spiffe://a.shop.example/orders"),
            (
                "spiffe://shop.example/*",
                "spiffe://shop.example.org/orders",
            ),
            ("spiffe://shop.example/*", "spiffe://shop.exampl/orders"),
            // Nobody is a trust domain.
            ("spiffe://shop.example/*", "spiffe://shop.example"),
        ] {
            let layer = RequirePeerLayer::new(parse(&[list]));
            let refused = ask(layer, Some(peer(id))).await.unwrap_err();
            assert_eq!(refused, Code::PolicyDenied, "{list} {id}");
        }
    }

    #[tokio::test]
    async fn a_workload_by_its_other_names() {
        // What has a SPIFFE ID is asked for that alone.
        let peers = Peers::none().dns("a.example").uri(ORDERS);
        let both = PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls)
            .spiffe_id(ORDERS)
            .uris([ORDERS])
            .dns_names(["a.example"])
            .finish();
        let refused = ask(RequirePeerLayer::new(peers), Some(both)).await;
        assert_eq!(refused.unwrap_err(), Code::PolicyDenied);
    }

    #[tokio::test]
    async fn a_plain_certificate_with_other_names() {
        let peers = Peers::none().dns("a.example").uri("https://a.example/x");
        for other in [
            plain(&[], &["b.example"]),
            plain(&[], &["x.a.example"]),
            plain(&[], &["*.example"]),
            plain(&["https://a.example/X"], &[]),
            plain(&["a.example"], &["https://a.example/x"]),
            plain(&[], &[]),
        ] {
            let refused = ask(RequirePeerLayer::new(peers.clone()), Some(other)).await;
            assert_eq!(refused.unwrap_err(), Code::PolicyDenied);
        }
    }

    #[tokio::test]
    async fn a_certificate_that_has_ended_also_where_it_was_let_in_before() {
        let clock = ManualClock::default();
        let layer = RequirePeerLayer::new(parse(&[ORDERS]));
        let end = clock.now().unwrap() + Duration::from_secs(10);
        let orders = PeerIdentity::assertion([7; 32], end, PeerSource::Tls).spiffe_id(ORDERS);
        let orders = Arc::new(orders.finish());
        let ask = || {
            let settings = Settings::default().with_clock(clock.clone());
            ask_at(layer.clone(), Some(Arc::clone(&orders)), &[], settings)
        };
        assert!(ask().await.is_ok());
        clock.advance(Duration::from_secs(9));
        assert!(ask().await.is_ok());
        clock.advance(Duration::from_secs(1));
        assert_eq!(ask().await.unwrap_err(), Code::CredentialExpired);
    }

    #[tokio::test]
    async fn another_peer_with_the_thumbprint_of_one_that_was_let_in() {
        let layer = RequirePeerLayer::new(parse(&[ORDERS]));
        assert!(ask(layer.clone(), Some(peer(ORDERS))).await.is_ok());
        let other = peer("spiffe://shop.example/other");
        assert_eq!(
            ask(layer.clone(), Some(other)).await.unwrap_err(),
            Code::PolicyDenied
        );
        // The same certificate, over a path that ends earlier.
        let early = Timestamp::from_secs(4_000_000_000);
        let early = PeerIdentity::assertion([7; 32], early, PeerSource::Tls).spiffe_id(ORDERS);
        let early = early.finish();
        let found = ask(layer, Some(early.clone())).await.unwrap();
        assert_eq!(found.expires_at(), Some(early.not_after()));
    }

    #[tokio::test]
    async fn a_sanctioned_workload_and_what_comes_over_a_sanctioned_proxy() {
        let clock = ManualClock::default();
        let gateway = Arc::new(peer("spiffe://shop.example/gateway"));
        let direct = Arc::new(peer(ORDERS));
        let behind = PeerIdentity::assertion([9; 32], Timestamp::MAX, PeerSource::Forwarded)
            .spiffe_id(ORDERS)
            .via(Arc::clone(&gateway));
        let behind = Arc::new(behind.finish());
        for (target, peer, struck) in [
            (ORDERS, &direct, true),
            (ORDERS, &behind, true),
            ("spiffe://shop.example/gateway", &behind, true),
            ("spiffe://shop.example/gateway", &direct, false),
            ("spiffe://shop.example/other", &behind, false),
        ] {
            for (action, code) in [
                (SanctionAction::Revoke, Code::CredentialRevoked),
                (SanctionAction::Quarantine, Code::Quarantined),
            ] {
                let sanctions = Sanctions::local(clock.clone());
                let sanction = Sanction {
                    target: SanctionTarget::Workload(target.into()),
                    action,
                    reason: "odd".to_owned(),
                    author: "root".into(),
                    expires: None,
                };
                sanctions.impose(sanction).await.unwrap();
                let chain = Link::new(
                    Root,
                    Authenticated::new(RequirePeerLayer::new(parse(&["spiffe://shop.example/*"]))),
                )
                .then(EnforceSanctionsLayer::new(sanctions));
                let settings = Arc::new(Settings::default().with_clock(clock.clone()));
                let gate =
                    GateLayer::new(chain, settings).layer(service_fn(|_: Request<()>| async {
                        Ok::<_, Infallible>(Response::new(String::new()))
                    }));
                let mut request = Request::new(());
                request.extensions_mut().insert(Arc::clone(peer));
                let response = gate.oneshot(request).await.unwrap();
                let denial = response.extensions().get::<Denial>().map(Denial::code);
                assert_eq!(denial, struck.then_some(code), "{target}");
            }
        }
    }

    #[test]
    fn lists_that_cannot_be_read() {
        for bad in [
            "",
            "*",
            "/*",
            "orders",
            "spiffe://",
            "spiffe:///orders",
            "spiffe://shop.example",
            "spiffe://shop.example/",
            "spiffe://shop.example/*/*",
            "spiffe://shop.example/a*",
            "spiffe://shop.example/a/**",
            "spiffe://*/a",
            "spiffe://Shop.example/a",
            "https://shop.example/a",
            " spiffe://shop.example/a",
        ] {
            let error = Peers::parse(["spiffe://good.example/a", bad]).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("`{bad}` ")),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn lets_in_who_is_on_the_list_and_names_the_workload() {
    for (list, id) in [
        (ORDERS, ORDERS),
        (
            "spiffe://shop.example/ns/a/*",
            "spiffe://shop.example/ns/a/b",
        ),
        (
            "spiffe://shop.example/ns/a/*",
            "spiffe://shop.example/ns/a/b/c",
        ),
        ("spiffe://shop.example/*", ORDERS),
    ] {
        let layer = RequirePeerLayer::new(parse(&["spiffe://z.example/z", list]));
        // From the list, and from what is kept.
        for _ in 0..2 {
            let who = ask(layer.clone(), Some(peer(id))).await.unwrap();
            assert_eq!(who.kind(), PrincipalKind::Service);
            assert_eq!(who.subject(), id);
            assert_eq!(who.issuer(), Some("spiffe://shop.example"));
            assert_eq!(who.expires_at(), Some(Timestamp::MAX));
            assert_eq!(who.binding(), Some(Binding::CertificateThumbprint([7; 32])));
            assert!(who.proved_by(AuthMethod::ClientCertificate));
        }
    }
    let by_hand = Peers::none()
        .below(&SpiffeId::parse("spiffe://shop.example/ns").unwrap())
        .trust_domain(TrustDomain::parse("partner.example").unwrap())
        .id(&SpiffeId::parse(ORDERS).unwrap());
    let read = parse(&[
        "spiffe://shop.example/ns/*",
        "spiffe://partner.example/*",
        ORDERS,
    ]);
    assert_eq!(by_hand, read);
}

#[tokio::test]
async fn a_plain_certificate_is_called_by_the_name_that_is_on_the_list() {
    let peers = Peers::none().dns("A.example").uri("https://b.example/x");
    let layer = RequirePeerLayer::new(peers);
    for (peer, name) in [
        (
            plain(&["https://evil.example", "https://b.example/x"], &[]),
            "https://b.example/x",
        ),
        (
            plain(&["https://evil.example"], &["evil.example", "a.EXAMPLE"]),
            "a.EXAMPLE",
        ),
    ] {
        let who = ask(layer.clone(), Some(peer)).await.unwrap();
        assert_eq!((who.subject(), who.issuer()), (name, None));
    }
}

#[tokio::test]
async fn all_of_names_the_user_and_adds_the_workload() {
    let both = || all_of(Token, RequirePeerLayer::new(parse(&[ORDERS])));
    let ask = |peer: Option<PeerIdentity>, token: Option<&'static str>| {
        let headers: Vec<_> = token.map(|token| ("token", token)).into_iter().collect();
        async move { ask_at(both(), peer.map(Arc::new), &headers, Settings::default()).await }
    };
    let who = ask(Some(peer(ORDERS)), Some("good")).await.unwrap();
    assert_eq!(who.subject(), "ada");
    assert!(who.proved_by(AuthMethod::Jwt) && who.proved_by(AuthMethod::ClientCertificate));
    assert!(who.further_proofs().any(|proof| proof.subject() == ORDERS));
    let missing = Err(Code::CredentialMissing);
    let other = peer("spiffe://shop.example/other");
    let none = |found: Result<Arc<Principal>, Code>| found.map(|_| ());
    assert_eq!(none(ask(None, Some("good")).await), missing);
    assert_eq!(none(ask(Some(peer(ORDERS)), None).await), missing);
    assert_eq!(none(ask(None, None).await), missing);
    assert_eq!(
        none(ask(Some(other), Some("good")).await),
        Err(Code::PolicyDenied)
    );
    assert_eq!(
        none(ask(Some(peer(ORDERS)), Some("bad")).await),
        Err(Code::CredentialInvalid)
    );
}

#[tokio::test]
async fn any_of_takes_either_and_refuses_both_at_once() {
    let either = || any_of(Token, RequirePeerLayer::new(parse(&[ORDERS])));
    let ask = |peer: Option<PeerIdentity>, token: Option<&'static str>| {
        let headers: Vec<_> = token.map(|token| ("token", token)).into_iter().collect();
        async move {
            let found = ask_at(either(), peer.map(Arc::new), &headers, Settings::default()).await;
            found.map(|who| who.subject().to_owned())
        }
    };
    assert_eq!(ask(Some(peer(ORDERS)), None).await.as_deref(), Ok(ORDERS));
    assert_eq!(ask(None, Some("good")).await.as_deref(), Ok("ada"));
    assert_eq!(ask(None, None).await, Err(Code::CredentialMissing));
    assert_eq!(
        ask(Some(peer(ORDERS)), Some("good")).await,
        Err(Code::CredentialAmbiguous)
    );
    // One that was refused never falls through.
    let other = peer("spiffe://shop.example/other");
    assert_eq!(ask(Some(other), None).await, Err(Code::PolicyDenied));
}

#[tokio::test]
async fn optional_lets_nobody_pass_and_refuses_who_is_not_on_the_list() {
    let optional = || RequirePeerLayer::new(parse(&[ORDERS])).optional();
    assert!(ask(optional(), None).await.unwrap().is_anonymous());
    assert_eq!(
        ask(optional(), Some(peer(ORDERS))).await.unwrap().subject(),
        ORDERS
    );
    let other = peer("spiffe://shop.example/other");
    assert_eq!(
        ask(optional(), Some(other)).await.unwrap_err(),
        Code::PolicyDenied
    );
}

#[tokio::test]
async fn the_layer_stands_alone() {
    let service =
        RequirePeerLayer::new(parse(&[ORDERS])).layer(service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    let response = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 401);
    let mut request = Request::new(());
    request.extensions_mut().insert(Arc::new(peer(ORDERS)));
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
}

/// `cargo test -p zt-mtls --lib costs -- --ignored --nocapture`, with `--release` for the figure.
#[test]
#[ignore = "measures"]
fn costs() {
    let layer = RequirePeerLayer::new(parse(&[ORDERS, "spiffe://shop.example/ns/a/*"]));
    let peer = Arc::new(peer(ORDERS));
    let clock = zt_core::clock::SystemClock;
    let run = |what: &str, work: &dyn Fn()| {
        const ROUNDS: u32 = 200_000;
        let mut best = Duration::MAX;
        for _ in 0..7 {
            let start = clock.monotonic();
            (0..ROUNDS).for_each(|_| work());
            best = best.min(clock.monotonic().saturating_sub(start) / ROUNDS);
        }
        println!("{what}: {best:?}");
    };
    let mut request = Request::new(());
    request.extensions_mut().insert(Arc::clone(&peer));
    let (mut parts, ()) = request.into_parts();
    let cx = SecurityContext::open(&parts, &Settings::shared_default());
    run("looked up and made anew", &|| {
        drop(std::hint::black_box(layer.make(&peer)));
    });
    run("as it stands", &|| {
        drop(std::hint::black_box(layer.verify(&cx)));
    });
    parts.extensions.clear();
}
