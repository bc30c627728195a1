//! Every code of the denial table whose layer exists is produced by a real request, with its
//! headers, as a problem document and as a gRPC answer. The rest is listed as pending.

mod budgets;
mod signatures;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::any};
use tower::Layer;
use zt_audit::{AuditLog, Options, RecordAuditLayer};
use zt_core::{
    authorize::{Access, AuthorizeLayer},
    clock::{Clock, ManualClock, SystemClock},
    decision::Code,
    gate::{OpenContextLayer, Settings},
    headers::{CspNonce, SetSecurityHeadersLayer},
    random::{Entropy, EntropyError},
    sanction::EnforceSanctionsLayer,
    service_token::{
        MintRequest, ServiceTokenConfig, ServiceTokenOptions, ServiceTokens,
        VerifyServiceTokenLayer,
    },
    stack::ZeroTrust,
    state::{MemoryFeed, Sanction, SanctionAction, SanctionTarget, Sanctions},
    store::MemoryStore,
    validate::{ValidateRequestConfig, ValidateRequestLayer},
};
use zt_examples::{
    audit,
    raw::{Answer, send},
};
use zt_jwt::{
    Verifier,
    require::{RequireStepUp, RequireStepUpLayer},
    testing::{BadToken, Behaviour, TestIssuer},
    verify_jwt::VerifyJwtLayer,
};
use zt_ratelimit::{LimitRateLayer, Quota};

use super::{App, serve};

/// Codes whose layer is not there yet. Shorten this list; it must end empty.
const PENDING: &[Code] = &[Code::RequestInvalid];

const BURST: u32 = 20;

/// One application with every layer, and what it takes to be refused by each.
struct Lab {
    clock: ManualClock,
    tokens: ServiceTokens,
    sanctions: Sanctions,
    log: AuditLog,
    app: App,
    good: String,
    short: String,
    narrow: String,
    leaver: (String, String),
    suspect: String,
}

impl Lab {
    async fn new(name: &str, feed: bool) -> Self {
        let clock = ManualClock::default();
        let path = std::env::temp_dir().join(format!("zt-denials-{}-{name}", std::process::id()));
        audit::remove(&path).unwrap();
        let log = AuditLog::open(path, Options::default().clock(clock.clone())).unwrap();
        let mut options = ServiceTokenOptions::new(ServiceTokenConfig::new("test"));
        if feed {
            options = options.feed(Arc::new(MemoryFeed::new(clock.clone())));
        }
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let tokens = ServiceTokens::open(store, clock.clone(), options)
            .await
            .unwrap();
        let now = clock.now().unwrap();
        let mint = async |subject: &str, request: fn(MintRequest) -> MintRequest, hours: u64| {
            let base = MintRequest::new(subject, "denials")
                .expires(now + Duration::from_secs(3600 * hours));
            let minted = tokens.mint(request(base)).await.unwrap();
            (minted.clear.expose().to_owned(), minted.id)
        };
        let sanctions = Sanctions::local(clock.clone());
        let quota = Quota::new("peer", BURST, Duration::from_secs(60)).unwrap();
        let validate = ValidateRequestConfig::default()
            .hosts(["lab.example"])
            .body_bytes(1000);
        let zt = ZeroTrust::builder()
            .settings(Settings::default().with_clock(clock.clone()))
            .record(RecordAuditLayer::new(log.clone()))
            .validate(ValidateRequestLayer::new(validate).unwrap())
            .limit_peer(LimitRateLayer::by_peer(quota))
            .authenticate(VerifyServiceTokenLayer::new(tokens.clone()))
            .sanctions(sanctions.clone())
            .authorize(AuthorizeLayer::new(|access: &Access<'_>| {
                access.path() != "/forbidden"
            }))
            .build()
            .unwrap();
        let router = Router::new()
            .route(
                "/boom",
                any(|| async {
                    if true {
                        panic!("the handler has a bug")
                    }
                }),
            )
            .fallback(any(|| async { "fine" }));
        Self {
            good: mint("good", |request| request, 48).await.0,
            short: mint("short", |request| request, 1).await.0,
            narrow: mint("narrow", |request| request.paths(["/narrow"]), 48)
                .await
                .0,
            leaver: mint("leaver", |request| request, 48).await,
            suspect: mint("suspect", |request| request, 48).await.0,
            app: App::new(zt.wrap(router)),
            clock,
            tokens,
            sanctions,
            log,
        }
    }
}

/// A request's head after the method: target, host, headers.
fn head(target: &str, headers: &[&str]) -> Vec<u8> {
    let mut text = format!("{target} HTTP/1.1\r\nHost: lab.example\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.into_bytes()
}

fn token(token: &str) -> String {
    format!("X-Service-Token: {token}")
}

/// Both renderings of one refusal.
async fn refused(app: App, code: Code, source: u8, head: Vec<u8>) {
    let address = serve(app).await;
    let source = [127, 0, 2, source];
    let plain = [b"GET ".as_slice(), &head, b"\r\n"].concat();
    problem(code, &send(source, address, &plain).await.unwrap());
    let grpc = [
        b"POST ".as_slice(),
        &head,
        b"Content-Type: application/grpc+proto\r\n\r\n",
    ]
    .concat();
    trailers_only(code, &send(source, address, &grpc).await.unwrap());
}

fn problem(code: Code, answer: &Answer) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (code.status().as_u16(), code.as_str()),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{code}"
    );
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], code.status().as_u16(), "{code}");
    assert_eq!(problem["request_id"].as_str().unwrap().len(), 32, "{code}");
    assert!(
        problem["detail"].is_string() && problem["title"].is_string(),
        "{code}"
    );
    common(code, answer);
}

fn trailers_only(code: Code, answer: &Answer) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (200, code.as_str()),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), "application/grpc", "{code}");
    assert_eq!(
        answer.header("grpc-status"),
        code.grpc().to_string(),
        "{code}"
    );
    assert!(
        !answer.header("grpc-message").is_empty() && answer.body.is_empty(),
        "{code}"
    );
    common(code, answer);
}

fn common(code: Code, answer: &Answer) {
    let challenged = !answer.header("www-authenticate").is_empty();
    // RFC 6750 section 3.1: a request with a token that cannot be read may be told how.
    let may_be = matches!(code, Code::CredentialMalformed | Code::CredentialAmbiguous);
    let asked = code.status() == 401;
    assert!(
        challenged == asked || (challenged && may_be),
        "{code}: {answer:?}"
    );
    let waits = matches!(code.status().as_u16(), 429 | 503);
    assert_eq!(!answer.header("retry-after").is_empty(), waits, "{code}");
    assert_eq!(answer.header("cache-control"), "no-store", "{code}");
    if code != Code::StackMisordered {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{code}");
    }
}

#[tokio::test]
async fn every_code_is_produced_by_a_real_request_or_pending() {
    super::quiet_handlers();
    let lab = Lab::new("lab", false).await;
    lab.tokens
        .revoke(&lab.leaver.1, "test", "left")
        .await
        .unwrap();
    let target = SanctionTarget::Subject {
        issuer: None,
        subject: "suspect".into(),
        before: zt_core::clock::Timestamp::MAX,
    };
    let sanction = Sanction {
        target,
        action: SanctionAction::Quarantine,
        reason: "test".to_owned(),
        author: "test".into(),
        expires: None,
    };
    lab.sanctions.impose(sanction).await.unwrap();

    let good = token(&lab.good);
    let long = format!("/{}", "a".repeat(9000));
    let padding = format!("X-Padding: {}", "a".repeat(9000));
    let mut unreadable = head("/", &[]);
    unreadable.extend_from_slice(b"X-Service-Token: \xff\xfe\r\n");
    let cases = [
        (Code::RequestMalformed, head("/a/../b", &[&good])),
        (Code::CredentialMalformed, unreadable),
        (
            Code::CredentialAmbiguous,
            head("/", &[&good, &token(&lab.short)]),
        ),
        (Code::CredentialMissing, head("/", &[])),
        (
            Code::CredentialInvalid,
            head("/", &[&token("ztk_test_nonsense")]),
        ),
        (Code::CredentialRevoked, head("/", &[&token(&lab.leaver.0)])),
        (
            Code::ScopeInsufficient,
            head("/wide", &[&token(&lab.narrow)]),
        ),
        (Code::PolicyDenied, head("/forbidden", &[&good])),
        (Code::Quarantined, head("/", &[&token(&lab.suspect)])),
        (
            Code::BodyTooLarge,
            head("/", &[&good, "Content-Length: 1001"]),
        ),
        (Code::UriTooLong, head(&long, &[&good])),
        (Code::HeadersTooLarge, head("/", &[&good, &padding])),
        (Code::HandlerPanicked, head("/boom", &[&good])),
    ];
    let mut produced = Vec::new();
    for (source, (code, head)) in cases.into_iter().enumerate() {
        refused(
            lab.app.clone(),
            code,
            u8::try_from(source).unwrap() + 1,
            head,
        )
        .await;
        produced.push(code);
    }

    let elsewhere = b"/ HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n".to_vec();
    refused(lab.app.clone(), Code::Misdirected, 50, elsewhere).await;

    let address = serve(lab.app.clone()).await;
    let plain = [b"GET ".as_slice(), &head("/", &[&good]), b"\r\n"].concat();
    for _ in 0..BURST {
        assert_eq!(
            send([127, 0, 2, 51], address, &plain).await.unwrap().status,
            200
        );
    }
    refused(lab.app.clone(), Code::RateLimited, 51, head("/", &[&good])).await;

    lab.clock.advance(Duration::from_secs(3601));
    refused(
        lab.app.clone(),
        Code::CredentialExpired,
        52,
        head("/", &[&token(&lab.short)]),
    )
    .await;

    let now = lab.clock.now().unwrap();
    lab.clock.fail();
    refused(
        lab.app.clone(),
        Code::ClockUnavailable,
        53,
        head("/", &[&good]),
    )
    .await;
    lab.clock.set_wall(now);

    // A view of the tokens that nobody keeps up to date.
    let stale = Lab::new("stale", true).await;
    stale.clock.advance(Duration::from_secs(6));
    refused(
        stale.app,
        Code::StoreUnavailable,
        54,
        head("/", &[&token(&stale.good)]),
    )
    .await;

    lab.log.close().unwrap();
    refused(
        lab.app.clone(),
        Code::AuditUnavailable,
        55,
        head("/", &[&good]),
    )
    .await;

    // By hand, and in the wrong order.
    let misordered = EnforceSanctionsLayer::new(Sanctions::local(SystemClock))
        .layer(Router::new().fallback(any(|| async { "fine" })));
    refused(
        App::new(bodies(misordered)),
        Code::StackMisordered,
        56,
        head("/", &[]),
    )
    .await;

    // Tokens of an issuer.
    produced.extend(tokens_of_an_issuer().await);

    // Signed requests.
    produced.extend(signatures::signed_requests().await);

    // Limits of a policy.
    produced.extend(budgets::spent_and_busy().await);

    // A nonce that cannot be made.
    let page = Router::new().fallback(any(|_: CspNonce| async { "page" }));
    let page = SetSecurityHeadersLayer::html_strict().layer(page);
    let page = OpenContextLayer::new(Settings::default().with_entropy(NoEntropy)).layer(page);
    refused(
        App::new(bodies(page)),
        Code::KeysUnavailable,
        57,
        head("/", &[]),
    )
    .await;

    produced.extend([
        Code::Misdirected,
        Code::RateLimited,
        Code::CredentialExpired,
        Code::ClockUnavailable,
        Code::StoreUnavailable,
        Code::AuditUnavailable,
        Code::StackMisordered,
    ]);
    for code in Code::ALL {
        let (made, pending) = (produced.contains(code), PENDING.contains(code));
        assert!(
            made != pending,
            "{code}: produced {made}, pending {pending}"
        );
    }
}

/// Everything that can become of a JSON Web Token.
async fn tokens_of_an_issuer() -> Vec<Code> {
    let clock = ManualClock::default();
    let issuer = TestIssuer::start().await.with_clock(clock.clone());
    let sanctions = Sanctions::local(clock.clone());
    let verifier = Verifier::builder()
        .issuer(issuer.issuer("lab"))
        .clock(clock.clone())
        .sanctions(sanctions.clone())
        .build()
        .unwrap();
    verifier.fetch_keys().await.unwrap();
    let zt = ZeroTrust::builder()
        .settings(Settings::default().with_clock(clock.clone()))
        .without_audit()
        .authenticate(VerifyJwtLayer::new(verifier))
        .step_up(RequireStepUpLayer::new(
            RequireStepUp::acr_values(["phr"]).unwrap(),
        ))
        .any_authenticated()
        .build()
        .unwrap();
    let app = App::new(zt.wrap(Router::new().fallback(any(|| async { "fine" }))));
    let bearer = |token: &str| head("/", &[&format!("Authorization: Bearer {token}")]);

    // A good one, so that it is not for another reason that the others are refused.
    let good = issuer.token("ada").audience("lab").acr("phr");
    let address = serve(app.clone()).await;
    let plain = [b"GET ".as_slice(), &bearer(&good.mint()), b"\r\n"].concat();
    let answer = send([127, 0, 3, 0], address, &plain).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");

    let target = SanctionTarget::Session("over".into());
    let sanction = Sanction {
        target,
        action: SanctionAction::Revoke,
        reason: "test".to_owned(),
        author: "test".into(),
        expires: None,
    };
    sanctions.impose(sanction).await.unwrap();
    let bad = |kind| issuer.bad_token(kind, "lab");
    let cases = [
        (Code::CredentialMalformed, bad(BadToken::AlgNoneUnsigned)),
        (Code::CredentialInvalid, bad(BadToken::AudOther)),
        (Code::CredentialExpired, bad(BadToken::ExpPast)),
        (Code::BindingMismatch, bad(BadToken::CnfCertificate)),
        (Code::CredentialRevoked, good.clone().session("over").mint()),
        (Code::StepUpRequired, good.clone().acr("pwd").mint()),
    ];
    for (source, (code, token)) in cases.iter().enumerate() {
        let source = 100 + u8::try_from(source).unwrap();
        refused(app.clone(), *code, source, bearer(token)).await;
    }

    // The issuer is down while somebody names a key that it might have.
    issuer.behave(Behaviour::Down);
    clock.advance(Duration::from_secs(11));
    let unknown = good.header("kid", "new").mint();
    refused(app, Code::KeysUnavailable, 110, bearer(&unknown)).await;
    let codes = cases.into_iter().map(|(code, _)| code);
    codes.chain([Code::KeysUnavailable]).collect()
}

#[derive(Debug)]
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

fn bodies<S, B>(
    service: S,
) -> impl tower::Service<
    axum::extract::Request,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
where
    S: tower::Service<
            axum::extract::Request,
            Response = axum::response::Response<B>,
            Error = std::convert::Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
    B: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<zt_core::body::BoxError>,
{
    tower::ServiceExt::map_response(service, |response: axum::response::Response<B>| {
        response.map(axum::body::Body::new)
    })
}
