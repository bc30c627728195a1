//! `Connector` and `client_config`: which servers are called.

use std::{
    error::Error,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use http::{Response, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use tower::ServiceExt as _;
use zt_core::{
    clock::{ManualClock, Timestamp},
    identity::PeerIdentity,
};
use zt_mtls::{
    client::{ConnectError, Connector, Expect, client_config},
    credentials::{Credentials, Material},
    peer::Peers,
    svid::SvidError,
    testing::{Params, TestCa, TestCert, ca_params, svid_params, valid},
    verify::{PkiNames, Refusal, Trust},
};

use crate::client_server::{
    BOTH, H2, HTTP11, NONE, Served, Server, ours, shows, shows_by_tls12, soon, thumbprint,
};

pub(crate) const DOMAIN: &str = "shop.example";
pub(crate) const PAYMENTS: &str = "spiffe://shop.example/payments";

pub(crate) fn peers(ids: &[&str]) -> Peers {
    Peers::parse(ids).unwrap()
}

pub(crate) fn client(connector: Connector) -> Client<Connector, Body> {
    Client::builder(TokioExecutor::new()).build(connector)
}

/// One that opens a connection for each request.
pub(crate) fn fresh(connector: Connector) -> Client<Connector, Body> {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector)
}

pub(crate) fn connector(credentials: &Credentials, servers: impl Into<Expect>) -> Connector {
    Connector::new(credentials.clone(), servers).unwrap()
}

/// The error of this type among the sources of another.
pub(crate) fn among<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Why a server's certificate is refused.
async fn refusal(connector: Connector, uri: Uri) -> Refusal {
    let error = client(connector).get(uri).await.expect_err("a refusal");
    match among(&error) {
        Some(ConnectError::Refused(_, refusal)) => refusal.clone(),
        other => panic!("{other:?} in {error:?}"),
    }
}

pub(crate) fn header<'a>(response: &'a Response<Incoming>, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

/// What a good certificate of the payment service is made of.
fn payments() -> Params {
    svid_params(PAYMENTS)
}

fn changed(change: impl FnOnce(&mut Params)) -> Params {
    let mut params = payments();
    change(&mut params);
    params
}

#[tokio::test]
async fn the_server_chooses_the_version_and_its_identity_is_on_the_response() {
    let ca = TestCa::new(DOMAIN);
    let theirs = ca.credentials("/payments");
    let mine = ca.credentials("/orders");
    for (alpn, version) in [
        (BOTH, Version::HTTP_2),
        (H2, Version::HTTP_2),
        (HTTP11, Version::HTTP_11),
        (NONE, Version::HTTP_11),
    ] {
        let server = Server::start(ours(&theirs, alpn)).await;
        let client = client(connector(&mine, peers(&[PAYMENTS])));
        for _ in 0..2 {
            let response = client.get(server.uri("/")).await.unwrap();
            assert_eq!(
                (response.version(), response.status().as_u16()),
                (version, 200)
            );
            let peer: &Arc<PeerIdentity> = response.extensions().get().unwrap();
            assert_eq!(peer.spiffe_id(), Some(PAYMENTS));
            assert_eq!(header(&response, "x-connection"), "1", "the pool keeps it");
            response.into_body().collect().await.unwrap();
        }
    }
}

#[tokio::test]
async fn both_ends_of_this_crate_know_each_other() {
    let ca = TestCa::new(DOMAIN);
    let leaf = ca.workload("/orders");
    let trust = Trust::spiffe([ca.bundle()]).unwrap();
    let mine = Credentials::new(Material::new(leaf.identity(), trust));
    let server = Served::start(ca.credentials("/payments")).await;
    for http1_alone in [false, true] {
        let mut connector = connector(&mine, peers(&[PAYMENTS]));
        if http1_alone {
            connector = connector.http1_only();
        }
        let uri = format!("https://localhost:{}/", server.address.port());
        let response = client(connector).get(uri.parse().unwrap()).await.unwrap();
        assert_eq!(header(&response, "x-client"), thumbprint(&leaf.chain[0]));
        let peer: &Arc<PeerIdentity> = response.extensions().get().unwrap();
        assert_eq!(peer.spiffe_id(), Some(PAYMENTS));
    }
}

#[tokio::test]
async fn one_version_alone_can_be_asked_for() {
    let ca = TestCa::new(DOMAIN);
    let (theirs, mine) = (ca.credentials("/payments"), ca.credentials("/orders"));
    let both = Server::start(ours(&theirs, BOTH)).await;
    let http1 = connector(&mine, peers(&[PAYMENTS])).http1_only();
    let response = client(http1).get(both.uri("/")).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);

    let http2 = connector(&mine, peers(&[PAYMENTS])).http2_only();
    let response = client(http2.clone()).get(both.uri("/")).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let silent = Server::start(ours(&theirs, NONE)).await;
    let error = client(http2.clone())
        .get(silent.uri("/"))
        .await
        .unwrap_err();
    assert!(
        matches!(among(&error), Some(ConnectError::NotHttp2(_))),
        "{error:?}"
    );
    let other = Server::start(ours(&theirs, HTTP11)).await;
    let error = client(http2).get(other.uri("/")).await.unwrap_err();
    assert!(
        matches!(among(&error), Some(ConnectError::Handshake(..))),
        "{error:?}"
    );
}

#[tokio::test]
async fn refuses_every_server_that_is_not_the_expected_workload() {
    let ca = TestCa::new(DOMAIN);
    let other_ca = TestCa::new("other.example");
    let impostor = TestCa::new(DOMAIN);
    let mine = ca.credentials("/orders");
    let past = |params: &mut Params| {
        valid(
            params,
            Timestamp::from_secs(0),
            Timestamp::from_secs(1_000_000_000),
        );
    };
    let future = |params: &mut Params| {
        valid(
            params,
            Timestamp::from_secs(4_000_000_000),
            Timestamp::from_secs(5_000_000_000),
        );
    };
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let svid = |error| move |found: &Refusal| matches!(found, Refusal::Svid(why) if *why == error);
    type Case<'a> = (&'a str, TestCert, Box<dyn Fn(&Refusal) -> bool>);
    let chain = |expected: fn(&webpki::Error) -> bool| -> Box<dyn Fn(&Refusal) -> bool> {
        Box::new(move |found| matches!(found, Refusal::Chain(error) if expected(error)))
    };
    let cases: Vec<Case<'_>> = vec![
        (
            "another ID",
            ca.workload("/ledger"),
            Box::new(
                |found| matches!(found, Refusal::Unexpected(id) if &**id == "spiffe://shop.example/ledger"),
            ),
        ),
        (
            "below the ID",
            ca.workload("/payments/eu"),
            Box::new(|found| matches!(found, Refusal::Unexpected(_))),
        ),
        (
            "another trust domain",
            other_ca.workload("/payments"),
            Box::new(
                |found| matches!(found, Refusal::UnknownTrustDomain(domain) if domain.as_str() == "other.example"),
            ),
        ),
        (
            "the right ID by the CA of another trust domain",
            other_ca.issue(payments()),
            chain(|error| *error == webpki::Error::UnknownIssuer),
        ),
        (
            "the right ID by a CA of the same name",
            impostor.issue(payments()),
            Box::new(|found| matches!(found, Refusal::Chain(_))),
        ),
        (
            "expired",
            ca.issue(changed(past)),
            chain(|error| matches!(error, webpki::Error::CertExpired { .. })),
        ),
        (
            "not yet valid",
            ca.issue(changed(future)),
            chain(|error| matches!(error, webpki::Error::CertNotValidYet { .. })),
        ),
        (
            "for clients alone",
            ca.issue(changed(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            })),
            chain(|error| matches!(error, webpki::Error::RequiredEkuNotFoundContext(_))),
        ),
        (
            "for servers alone",
            ca.issue(changed(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            })),
            Box::new(svid(SvidError::Purpose)),
        ),
        (
            "a CA",
            ca.issue({
                let mut params = ca_params("payments");
                params.subject_alt_names = payments().subject_alt_names;
                params
            }),
            chain(|error| *error == webpki::Error::CaUsedAsEndEntity),
        ),
        (
            "two URIs",
            ca.issue(changed(|params| {
                params
                    .subject_alt_names
                    .push(uri("spiffe://shop.example/ledger"));
            })),
            Box::new(svid(SvidError::SeveralUris)),
        ),
        (
            "no URI, and the name that is dialled",
            ca.issue(changed(|params| {
                params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
            })),
            Box::new(svid(SvidError::NoUri)),
        ),
        (
            "the trust domain itself",
            ca.issue(svid_params("spiffe://shop.example")),
            Box::new(svid(SvidError::NoPath)),
        ),
        (
            "a key that is not for signatures",
            ca.issue(changed(|params| {
                params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
            })),
            Box::new(svid(SvidError::NoDigitalSignature)),
        ),
    ];
    let connector = connector(&mine, peers(&[PAYMENTS]));
    for (name, cert, expected) in cases {
        let server = Server::start(shows(&cert, Some(&ca), BOTH)).await;
        let found = refusal(connector.clone(), server.uri_at("localhost")).await;
        assert!(expected(&found), "{name}: {found:?}");
        assert_eq!((server.connections(), server.requests()), (1, 0), "{name}");
    }
    let server = Server::start(shows(&ca.issue(payments()), Some(&ca), BOTH)).await;
    client(connector)
        .get(server.uri_at("localhost"))
        .await
        .unwrap();
    assert_eq!(server.requests(), 1, "what the others are compared with");
}

#[tokio::test]
async fn an_empty_list_has_nobody() {
    let ca = TestCa::new(DOMAIN);
    let server = Server::start(ours(&ca.credentials("/payments"), BOTH)).await;
    for nobody in [
        Expect::none(),
        Expect::new(Peers::none()),
        Expect::name_dialled(),
    ] {
        let found = refusal(
            connector(&ca.credentials("/orders"), nobody),
            server.uri("/"),
        )
        .await;
        assert!(matches!(found, Refusal::Unexpected(_)), "{found:?}");
    }
}

#[tokio::test]
async fn the_name_that_is_dialled_does_not_stand_for_an_id() {
    let ca = TestCa::new(DOMAIN);
    let cert = ca.issue({
        let mut params = svid_params("spiffe://shop.example/ledger");
        params
            .subject_alt_names
            .push(SanType::DnsName("localhost".try_into().unwrap()));
        params
    });
    let server = Server::start(shows(&cert, Some(&ca), BOTH)).await;
    let servers = peers(&[PAYMENTS]).dns("localhost");
    let found = refusal(
        connector(&ca.credentials("/orders"), servers),
        server.uri_at("localhost"),
    );
    assert!(matches!(found.await, Refusal::Unexpected(_)));
}

#[tokio::test]
async fn a_host_with_a_list_of_its_own_has_no_other() {
    let ca = TestCa::new(DOMAIN);
    let server = Server::start(ours(&ca.credentials("/ledger"), BOTH)).await;
    let expect =
        Expect::new(peers(&["spiffe://shop.example/*"])).host("LOCALHOST.", peers(&[PAYMENTS]));
    let connector = connector(&ca.credentials("/orders"), expect);
    for host in ["localhost", "LocalHost"] {
        let found = refusal(connector.clone(), server.uri_at(host)).await;
        assert!(matches!(found, Refusal::Unexpected(_)), "{host}: {found:?}");
    }
    client(connector).get(server.uri("/")).await.unwrap();
}

/// Credentials that trust a plain PKI.
fn plain(ca: &TestCa, names: PkiNames) -> Credentials {
    let trust = Trust::pki([ca.root().clone()], names).unwrap();
    Credentials::new(Material::new(ca.workload("/orders").identity(), trust))
}

#[tokio::test]
async fn by_plain_pki_the_name_that_is_dialled_has_to_be_in_the_certificate() {
    let ca = TestCa::new(DOMAIN);
    let named = |name: &str| {
        let mut params = payments();
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        ca.issue(params)
    };
    let mine = plain(&ca, PkiNames::none());
    let good = Server::start(shows(&named("localhost"), None, BOTH)).await;
    let other = Server::start(shows(&named("payments.internal"), None, BOTH)).await;
    let mismatch =
        |found: &Refusal| matches!(found, Refusal::Chain(webpki::Error::CertNotValidForName(_)));

    let by_name = connector(&mine, Expect::name_dialled());
    let response = client(by_name.clone())
        .get(good.uri_at("localhost"))
        .await
        .unwrap();
    let peer: &Arc<PeerIdentity> = response.extensions().get().unwrap();
    assert_eq!(
        (peer.spiffe_id(), peer.dns_names().next()),
        (None, Some("localhost"))
    );
    for uri in [other.uri_at("localhost"), good.uri("/")] {
        let found = refusal(by_name.clone(), uri).await;
        assert!(mismatch(&found), "{found:?}");
    }
    // A list narrows: it does not stand for the name.
    let listed = connector(&mine, Peers::none().dns("payments.internal"));
    let found = refusal(listed.clone(), other.uri_at("localhost")).await;
    assert!(mismatch(&found), "{found:?}");
    let found = refusal(listed, good.uri_at("localhost")).await;
    assert_eq!(found, Refusal::NameNotAllowed);
    let listed = connector(&mine, Peers::none().dns("LocalHost"));
    client(listed).get(good.uri_at("localhost")).await.unwrap();
    let nobody = connector(&mine, Expect::none());
    assert_eq!(
        refusal(nobody, good.uri_at("localhost")).await,
        Refusal::NameNotAllowed
    );
}

#[tokio::test]
async fn addresses_are_dialled_as_names_are() {
    let ca = TestCa::new(DOMAIN);
    let config = ours(&ca.credentials("/payments"), BOTH);
    let expect = Expect::none()
        .host("127.0.0.1", peers(&[PAYMENTS]))
        .host("[0:0:0:0:0:0:0:1]", peers(&[PAYMENTS]));
    let connector = connector(&ca.credentials("/orders"), expect);
    let server = Server::start(Arc::clone(&config)).await;
    client(connector.clone())
        .get(server.uri("/"))
        .await
        .unwrap();
    let server = Server::at("[::1]:0", config).await;
    client(connector).get(server.uri("/")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_asks_for_no_certificate_is_judged_all_the_same() {
    let ca = TestCa::new(DOMAIN);
    let connector = connector(&ca.credentials("/orders"), peers(&[PAYMENTS]));
    let good = Server::start(shows(&ca.workload("/payments"), None, BOTH)).await;
    let response = client(connector.clone()).get(good.uri("/")).await.unwrap();
    assert_eq!(header(&response, "x-client"), "nobody");
    let bad = Server::start(shows(&ca.workload("/ledger"), None, BOTH)).await;
    let found = refusal(connector, bad.uri("/")).await;
    assert!(matches!(found, Refusal::Unexpected(_)));
}

#[tokio::test]
async fn plain_http_is_an_error_and_dials_nobody() {
    let ca = TestCa::new(DOMAIN);
    let server = Server::start(ours(&ca.credentials("/payments"), BOTH)).await;
    let connector = connector(&ca.credentials("/orders"), peers(&[PAYMENTS]));
    let uri: Uri = format!("http://{}/", server.address).parse().unwrap();
    let error = client(connector.clone()).get(uri).await.unwrap_err();
    let Some(found @ ConnectError::NotHttps(_)) = among(&error) else {
        panic!("{error:?}");
    };
    assert_eq!(found.to_string(), "only `https` is dialled, not `http`");
    for uri in ["/", "localhost:443", "ws://localhost/"] {
        let error = connector
            .clone()
            .oneshot(uri.parse().unwrap())
            .await
            .unwrap_err();
        assert!(
            matches!(error, ConnectError::NotHttps(_)),
            "{uri}: {error:?}"
        );
    }
    let error = connector
        .oneshot("https://a_b..c/".parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Host), "{error:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let ca = TestCa::new(DOMAIN);
    let server = Server::start(shows_by_tls12(&ca.workload("/payments"))).await;
    let connector = connector(&ca.credentials("/orders"), peers(&[PAYMENTS]));
    let error = client(connector).get(server.uri("/")).await.unwrap_err();
    assert!(
        matches!(among(&error), Some(ConnectError::Handshake(..))),
        "{error:?}"
    );
    assert_eq!(server.requests(), 0);
}

fn with_clock(ca: &TestCa, clock: &ManualClock) -> Credentials {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Credentials::with(ca.material("/orders"), provider, clock.clone())
}

#[tokio::test]
async fn a_server_that_stalls_in_the_handshake_is_given_up() {
    let ca = TestCa::new(DOMAIN);
    let clock = ManualClock::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("https://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let limit = Duration::from_secs(3);
    let connector =
        connector(&with_clock(&ca, &clock), peers(&[PAYMENTS])).handshake_timeout(limit);
    let asked = tokio::spawn(async move { client(connector).get(uri).await });
    let (mut stalled, _) = soon(listener.accept()).await.unwrap();
    let mut hello = [0; 64];
    soon(stalled.read_exact(&mut hello)).await.unwrap();
    clock.advance(limit);
    let error = soon(asked).await.unwrap().unwrap_err();
    assert!(
        matches!(among(&error), Some(ConnectError::HandshakeTimeout(_, span)) if *span == limit),
        "{error:?}"
    );
}

/// Connects to nobody, ever.
#[derive(Clone)]
struct Nowhere(Arc<tokio::sync::Notify>);

impl tower::Service<Uri> for Nowhere {
    type Response = TokioIo<tokio::net::TcpStream>;
    type Error = std::io::Error;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<TokioIo<tokio::net::TcpStream>, std::io::Error>> + Send>,
    >;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let called = Arc::clone(&self.0);
        Box::pin(async move {
            called.notify_one();
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up() {
    let ca = TestCa::new(DOMAIN);
    let clock = ManualClock::default();
    let called = Arc::new(tokio::sync::Notify::new());
    let connector = connector(&with_clock(&ca, &clock), peers(&[PAYMENTS]))
        .connect_timeout(Duration::from_secs(2))
        .over(Nowhere(Arc::clone(&called)));
    let asked = tokio::spawn(connector.oneshot("https://payments.internal/".parse().unwrap()));
    soon(called.notified()).await;
    clock.advance(Duration::from_secs(2));
    let error = soon(asked).await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::TcpTimeout(..)), "{error:?}");
}

#[tokio::test]
async fn a_clock_that_cannot_answer_refuses_servers() {
    let ca = TestCa::new(DOMAIN);
    let clock = ManualClock::default();
    let server = Server::start(ours(&ca.credentials("/payments"), BOTH)).await;
    let connector = connector(&with_clock(&ca, &clock), peers(&[PAYMENTS]));
    clock.fail();
    assert_eq!(refusal(connector, server.uri("/")).await, Refusal::Clock);
}

#[tokio::test]
async fn reqwest_takes_the_configuration() {
    let ca = TestCa::new(DOMAIN);
    let mine = ca.credentials("/orders");
    let servers = peers(&[PAYMENTS]);
    let build = |alpn| {
        let tls = client_config(&mine, servers.clone(), alpn).unwrap();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    };
    let good = Server::start(ours(&ca.credentials("/payments"), BOTH)).await;
    let uri = good.uri("/").to_string();
    for (alpn, version) in [(BOTH, Version::HTTP_2), (HTTP11, Version::HTTP_11)] {
        let response = build(alpn).get(&uri).send().await.unwrap();
        assert_eq!(response.version(), version);
    }
    let bad = Server::start(ours(&ca.credentials("/ledger"), BOTH)).await;
    let error = build(BOTH)
        .get(bad.uri("/").to_string())
        .send()
        .await
        .unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(bad.requests(), 0);

    // The next connection shows what is in force by then, and believes whom it says.
    let client = build(HTTP11);
    let shown = |response: &reqwest::Response| response.headers()["x-client"].clone();
    let before = shown(&client.get(&uri).send().await.unwrap());
    mine.replace(ca.material("/orders"));
    let after = shown(&client.get(&uri).send().await.unwrap());
    assert_ne!(before, after);
    mine.replace(TestCa::new(DOMAIN).material("/orders"));
    assert!(client.get(&uri).send().await.unwrap_err().is_connect());
}
