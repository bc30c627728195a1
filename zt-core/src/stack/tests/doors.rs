//! The doors for the first day: what they let pass, and what they do not.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    body::{RequestBody, ZtBody},
    clock::{Clock, ManualClock},
    context::{PeerAddr, SecurityContext},
    decision::{Code, Denial},
    gate::{Chain, FnCheck, Settings},
    stack::{DevelopmentToken, ZeroTrust},
    state::{Event, MemoryRecorder, Recorder},
};

type Body = RequestBody<Full<Bytes>>;

fn get(path: &str) -> Request<Full<Bytes>> {
    let peer: SocketAddr = ([127, 0, 0, 1], 9).into();
    Request::get(path)
        .header("host", "localhost")
        .extension(PeerAddr(peer))
        .body(Full::default())
        .unwrap()
}

fn bearer(mut request: Request<Full<Bytes>>, token: &DevelopmentToken) -> Request<Full<Bytes>> {
    let value = format!("Bearer {}", token.expose());
    request
        .headers_mut()
        .insert("authorization", value.parse().unwrap());
    request
}

async fn answer<C: Chain<Body>>(
    zt: &ZeroTrust<C>,
    request: Request<Full<Bytes>>,
) -> Response<ZtBody<Full<Bytes>>> {
    let service = service_fn(|request: Request<Body>| async move {
        let cx = request
            .extensions()
            .get::<SecurityContext>()
            .expect("the context");
        let permit = cx.permit().expect("a permit");
        let mut response = Response::new(Full::new(Bytes::from("hello")));
        response
            .headers_mut()
            .insert("x-rule", permit.rule().parse().unwrap());
        if permit.is_observed_only() {
            response
                .headers_mut()
                .insert("x-observed", "yes".parse().unwrap());
        }
        Ok::<_, Infallible>(response)
    });
    zt.layer(service).oneshot(request).await.unwrap()
}

fn code<B>(response: &Response<B>) -> Option<Code> {
    response.extensions().get::<Denial>().map(Denial::code)
}

#[tokio::test]
async fn a_development_stack_asks_for_its_token() {
    let token = DevelopmentToken::generate().unwrap();
    let other = DevelopmentToken::generate().unwrap();
    let zt = ZeroTrust::development_with(token.clone()).unwrap();
    assert_eq!(answer(&zt, bearer(get("/"), &token)).await.status(), 200);
    assert_eq!(
        code(&answer(&zt, get("/")).await),
        Some(Code::CredentialMissing)
    );
    assert_eq!(
        code(&answer(&zt, bearer(get("/"), &other)).await),
        Some(Code::CredentialInvalid)
    );
    let mut basic = get("/");
    basic
        .headers_mut()
        .insert("authorization", "Basic YTpi".parse().unwrap());
    assert_eq!(
        code(&answer(&zt, basic).await),
        Some(Code::CredentialInvalid)
    );
    assert!(!format!("{token:?}").contains(token.expose()));
}

#[tokio::test]
async fn a_development_stack_is_for_loopback_only() {
    let token = DevelopmentToken::generate().unwrap();
    let zt = ZeroTrust::development_with(token.clone()).unwrap();
    let mut remote = bearer(get("/"), &token);
    remote
        .extensions_mut()
        .insert(PeerAddr(([192, 0, 2, 1], 9).into()));
    assert_eq!(code(&answer(&zt, remote).await), Some(Code::PolicyDenied));

    let mut unknown = bearer(get("/"), &token);
    unknown.extensions_mut().remove::<PeerAddr>();
    assert_eq!(
        code(&answer(&zt, unknown).await),
        Some(Code::StackMisordered)
    );

    // A page whose name was rebound to loopback asks for its own host.
    let mut rebound = bearer(get("/"), &token);
    rebound
        .headers_mut()
        .insert("host", "evil.example:80".parse().unwrap());
    assert_eq!(code(&answer(&zt, rebound).await), Some(Code::Misdirected));
    for host in ["localhost:8080", "127.0.0.1", "[::1]:3000"] {
        let mut local = bearer(get("/"), &token);
        local.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(answer(&zt, local).await.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn a_public_route_asks_for_nothing_and_is_still_validated() {
    let zt = ZeroTrust::builder()
        .without_audit()
        .authenticate(DevelopmentToken::generate().unwrap())
        .any_authenticated()
        .public(Method::GET, "/health")
        .build()
        .unwrap();
    let response = answer(&zt, get("/health")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-rule"], "public /health");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(
        code(&answer(&zt, get("/health/")).await),
        Some(Code::CredentialMissing)
    );
    assert_eq!(
        code(&answer(&zt, get("/private/..%2fhealth")).await),
        Some(Code::RequestMalformed)
    );
    let mut post = get("/health");
    *post.method_mut() = Method::POST;
    assert_eq!(
        code(&answer(&zt, post).await),
        Some(Code::CredentialMissing)
    );
    // Whatever credential comes along is not looked at, so it cannot be refused either.
    let mut bad = get("/health");
    bad.headers_mut()
        .insert("authorization", "Bearer nonsense".parse().unwrap());
    assert_eq!(answer(&zt, bad).await.status(), 200);
}

#[tokio::test]
async fn a_stack_that_observes_enforces_from_its_date_on() {
    let clock = ManualClock::default();
    let until = clock.now().unwrap() + Duration::from_secs(86_400);
    let zt = ZeroTrust::builder()
        .settings(Settings::default().with_clock(clock.clone()))
        .without_audit()
        .authenticate(DevelopmentToken::generate().unwrap())
        .any_authenticated()
        .insecure_observe_only(until)
        .build()
        .unwrap();
    let observed = answer(&zt, get("/orders")).await;
    assert_eq!(observed.status(), 200);
    assert_eq!(observed.headers()["x-observed"], "yes");
    clock.advance(Duration::from_secs(86_399));
    assert_eq!(answer(&zt, get("/orders")).await.status(), 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        code(&answer(&zt, get("/orders")).await),
        Some(Code::CredentialMissing)
    );
}

#[tokio::test]
async fn settings_named_later_keep_the_date_of_observing() {
    let clock = ManualClock::default();
    let until = clock.now().unwrap() + Duration::from_secs(60);
    let zt = ZeroTrust::builder()
        .without_audit()
        .insecure_anonymous()
        .authorize(crate::authorize::AuthorizeLayer::new(
            |_: &crate::authorize::Access<'_>| false,
        ))
        .insecure_observe_only(until)
        .settings(Settings::default().with_clock(clock.clone()))
        .build()
        .unwrap();
    assert_eq!(answer(&zt, get("/")).await.status(), 200);
    clock.advance(Duration::from_secs(60));
    assert_eq!(answer(&zt, get("/")).await.status(), StatusCode::FORBIDDEN);
}

/// A record kept in memory, with both halves of nothing: only the stack's own event matters here.
#[derive(Clone)]
struct Kept(Arc<MemoryRecorder>);

impl crate::stack::slots::Records for Kept {
    type Outer = crate::stack::slots::Nothing;
    type Commit = crate::stack::slots::Nothing;

    fn split(self) -> (Self::Outer, Self::Commit) {
        (crate::stack::slots::Nothing, crate::stack::slots::Nothing)
    }

    fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        Some(self.0.clone())
    }
}

#[tokio::test]
async fn the_doors_of_a_stack_are_recorded() {
    let recorder = Arc::new(MemoryRecorder::new(8));
    ZeroTrust::builder()
        .record(Kept(Arc::clone(&recorder)))
        .insecure_anonymous()
        .any_authenticated()
        .public(Method::GET, "/health")
        .insecure_observe_only(crate::clock::Timestamp::from_secs(7))
        .build()
        .unwrap();
    let events = recorder.events();
    let [Event::Config(event)] = &events[..] else {
        panic!("one config event: {events:?}")
    };
    let detail = event.detail.as_deref().unwrap();
    for door in [
        "insecure_anonymous",
        "any_authenticated",
        "public GET /health",
        "insecure_observe_only until 7",
    ] {
        assert!(detail.contains(door), "{detail}");
    }
    assert!(
        detail.contains("SetSecurityHeaders, ValidateRequest"),
        "{detail}"
    );
}

#[test]
fn the_onion_is_printed_from_outside_to_inside() {
    let zt = ZeroTrust::development_with(DevelopmentToken::generate().unwrap()).unwrap();
    let text = zt.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "0 open context",
            "1 SetSecurityHeaders",
            "3 ValidateRequest",
            "4 loopback only",
            "5 development token",
            "7 Authorize",
            "  handler",
        ]
    );
}

#[test]
fn a_route_that_cannot_be_used_is_an_error() {
    let built = ZeroTrust::builder()
        .without_audit()
        .insecure_anonymous()
        .any_authenticated()
        .public(Method::GET, "/a/{x}")
        .public(Method::GET, "/a/{y}")
        .build();
    assert!(built.unwrap_err().to_string().contains("/a/{y}"));
}

#[tokio::test]
async fn two_stacks_around_one_handler_refuse() {
    let inner = ZeroTrust::builder()
        .without_audit()
        .insecure_anonymous()
        .any_authenticated()
        .build()
        .unwrap();
    let outer = ZeroTrust::builder()
        .without_audit()
        .insecure_anonymous()
        .authorize(crate::authorize::AuthorizeLayer::new(
            |_: &crate::authorize::Access<'_>| true,
        ))
        .build()
        .unwrap();
    let service = service_fn(|_: Request<RequestBody<Body>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
    });
    let response = outer
        .layer(inner.layer(service))
        .oneshot(get("/"))
        .await
        .unwrap();
    assert_eq!(code(&response), Some(Code::StackMisordered));
}

#[tokio::test]
async fn functions_may_stand_anywhere() {
    let nothing = FnCheck::new(|_: &mut http::request::Parts, _: &mut SecurityContext| Ok(()));
    let zt = ZeroTrust::builder().without_audit().insecure_anonymous();
    let zt = zt
        .authorize(crate::authorize::AuthorizeLayer::new(
            |_: &crate::authorize::Access<'_>| true,
        ))
        .build()
        .unwrap();
    let service = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
    });
    let guarded = crate::gate::Gate::new(service, crate::gate::Link::first(nothing));
    assert_eq!(
        zt.layer(guarded).oneshot(get("/")).await.unwrap().status(),
        200
    );
}
