//! Whole stacks, attacked from outside and from inside.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, request::Parts, response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{
    authenticate::{Authenticate, Presented, any_of},
    authorize::{Access, AuthorizeLayer, later},
    body::{BoxError, ZtBody},
    clock::{Clock, ManualClock},
    context::{ClaimedNames, SecurityContext, Stage, Trail},
    decision::{Challenge, Code, Denial},
    gate::{Check, FnCheck, Gate, Guard, Link, Settings, Settlement, Step},
    identity::{AuthMethod, Principal, PrincipalKind},
    stack::{StackError, ZeroTrust, slots::Records},
    state::{
        Acknowledgement, AuditMode, Durable, DurableProgress, Event, MemoryRecorder, RecordError,
        Recorder, RouteRule, Routes,
    },
    validate::{ValidateRequestConfig, ValidateRequestLayer},
};

/// A credential in a header of its own: `good` proves, anything else is refused.
#[derive(Clone)]
struct Key(&'static str);

impl Authenticate for Key {
    const NAME: &'static str = "key";

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        match parts.headers.contains_key(self.0) {
            true => Presented::Mine,
            false => Presented::Absent,
        }
    }

    fn authenticate(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
        match parts.headers.get(self.0).map(http::HeaderValue::as_bytes) {
            Some(b"good") => {
                let who = Principal::assertion(PrincipalKind::User, self.0, AuthMethod::Jwt);
                Step::pass(Arc::new(who.finish()))
            }
            Some(b"explosive") => panic!("the authenticator failed"),
            _ => Denial::new(Code::CredentialInvalid).into(),
        }
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![Challenge::new("Key")]
    }
}

/// A recorder's two halves that note in which order things happened, and can be held.
#[derive(Debug, Clone)]
struct Log(Arc<LogState>);

#[derive(Debug)]
struct LogState {
    notes: Mutex<Vec<String>>,
    durable: Mutex<Option<Result<(), RecordError>>>,
    waker: Mutex<Option<Waker>>,
}

impl Log {
    fn new() -> Self {
        Self(Arc::new(LogState {
            notes: Mutex::default(),
            durable: Mutex::new(Some(Ok(()))),
            waker: Mutex::default(),
        }))
    }

    /// Nothing becomes durable until [`answer`](Self::answer).
    fn held() -> Self {
        let log = Self::new();
        *log.0.durable.lock().unwrap() = None;
        log
    }

    fn answer(&self, result: Result<(), RecordError>) {
        *self.0.durable.lock().unwrap() = Some(result);
        if let Some(waker) = self.0.waker.lock().unwrap().take() {
            waker.wake();
        }
    }

    fn note(&self, note: impl Into<String>) {
        self.0.notes.lock().unwrap().push(note.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.notes.lock().unwrap())
    }

    /// What stands in the log of one request: one decision, one outcome.
    #[track_caller]
    fn pair(&self) -> (String, String) {
        let notes: Vec<_> = self
            .take()
            .into_iter()
            .filter(|note| note != "handler")
            .collect();
        let [decision, outcome] = &notes[..] else {
            panic!("{notes:?}")
        };
        (decision.clone(), outcome.clone())
    }

    fn decide(&self, trail: &Trail) {
        if trail.take_decision() {
            self.note(match (trail.denial(), trail.permit()) {
                (Some(denial), _) => format!("deny {}", denial.code()),
                (None, Some(_)) => "permit".to_owned(),
                (None, None) => "undecided".to_owned(),
            });
        }
    }
}

impl DurableProgress for LogState {
    fn poll_durable(&self, _: u64, task: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        *self.waker.lock().unwrap() = Some(task.waker().clone());
        match &*self.durable.lock().unwrap() {
            Some(result) => Poll::Ready(result.clone()),
            None => Poll::Pending,
        }
    }
}

impl Records for Log {
    type Outer = Self;
    type Commit = Commit;

    fn split(self) -> (Self, Commit) {
        let commit = Commit(self.clone());
        (self, commit)
    }
}

impl Check for Log {
    type Guard = Self;

    const NAME: &'static str = "log";
    const STAGE: Stage = Stage::Record;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Self> {
        Step::pass(self.clone())
    }
}

impl Guard for Log {
    fn head(&mut self, _: &mut response::Parts, trail: &Arc<Trail>) {
        self.decide(trail);
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        self.decide(settlement.trail);
        self.note(settlement.end.as_str());
    }
}

#[derive(Clone)]
struct Commit(Log);

struct Held {
    ticket: Durable,
    before_handler: bool,
}

impl Check for Commit {
    type Guard = Held;

    const NAME: &'static str = "commit";
    const STAGE: Stage = Stage::Commit;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Held> {
        assert!(cx.trail().take_decision());
        self.0.note("permit");
        let declared = cx
            .route()
            .is_some_and(|route| route.audit() == AuditMode::BeforeHandler);
        Step::pass(Held {
            ticket: Durable::waiting(Arc::clone(&self.0.0) as Arc<dyn DurableProgress>, 0),
            before_handler: !parts.method.is_safe() || declared,
        })
    }
}

impl Held {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        Pin::new(&mut self.ticket)
            .poll(task)
            .map_err(|_| Code::AuditUnavailable.into())
    }
}

impl Guard for Held {
    const SETTLES: bool = false;

    fn holds_handler(&self) -> bool {
        self.before_handler
    }

    fn poll_before_handler(
        &mut self,
        task: &mut Context<'_>,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.poll(task)
    }

    fn poll_release(
        &mut self,
        task: &mut Context<'_>,
        _: &response::Parts,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.poll(task)
    }
}

type Reached = Arc<AtomicUsize>;

/// A handler that counts its calls and says what it saw.
fn handler(
    reached: &Reached,
) -> impl Clone
+ Service<
    Request<crate::body::RequestBody<Full<Bytes>>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Send,
> + use<> {
    let reached = Arc::clone(reached);
    service_fn(
        move |request: Request<crate::body::RequestBody<Full<Bytes>>>| {
            reached.fetch_add(1, Ordering::SeqCst);
            let names: Vec<_> = request
                .headers()
                .keys()
                .map(http::HeaderName::as_str)
                .collect();
            let response = Response::new(Full::new(Bytes::from(names.join(","))));
            async move { Ok(response) }
        },
    )
}

fn get(path: &str) -> Request<Full<Bytes>> {
    ask(Method::GET, path)
}

fn ask(method: Method, path: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "example.test")
        .body(Full::default())
        .unwrap()
}

fn with(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &'static str,
) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn code<B>(response: &Response<B>) -> Option<Code> {
    response.extensions().get::<Denial>().map(Denial::code)
}

async fn text<B>(response: Response<ZtBody<B>>) -> String
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_stack_inside_a_stack_refuses() {
    let reached = Reached::default();
    let stack = || {
        ZeroTrust::builder()
            .without_audit()
            .authenticate(Key("x-key"))
            .any_authenticated()
            .public(Method::GET, "/health")
            .build()
            .unwrap()
    };
    let inner = stack().layer(service_fn({
        let handler = handler(&reached);
        move |request: Request<crate::body::RequestBody<crate::body::RequestBody<Full<Bytes>>>>| {
            handler.clone().oneshot(request.map(|_| Default::default()))
        }
    }));
    let service = stack().layer(inner);
    for path in ["/orders", "/health"] {
        let response = service
            .clone()
            .oneshot(with(get(path), "x-key", "good"))
            .await
            .unwrap();
        assert_eq!(response.status(), 500, "{path}");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_context_of_an_earlier_request_opens_nothing() {
    // A handler that forwards a request with its extensions, or keeps them for another one.
    let kept: Arc<Mutex<Option<http::Extensions>>> = Arc::default();
    let keeps = {
        let kept = Arc::clone(&kept);
        service_fn(
            move |request: Request<crate::body::RequestBody<Full<Bytes>>>| {
                *kept.lock().unwrap() = Some(request.extensions().clone());
                async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
            },
        )
    };
    let stack = ZeroTrust::builder()
        .without_audit()
        .authenticate(Key("x-key"))
        .any_authenticated()
        .build()
        .unwrap();
    let first = stack
        .layer(keeps)
        .oneshot(with(get("/"), "x-key", "good"))
        .await
        .unwrap();
    assert_eq!(first.status(), 200);
    let stolen = kept.lock().unwrap().take().unwrap();
    assert!(stolen.get::<SecurityContext>().unwrap().permit().is_some());

    let reached = Reached::default();
    let mut request = get("/");
    *request.extensions_mut() = stolen.clone();
    let whole = stack
        .layer(handler(&reached))
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(code(&whole), Some(Code::StackMisordered));

    // Nor does it where single layers stand, in any place.
    let single = AuthorizeLayer::new(|_: &Access<'_>| true).layer(Key("x-key").alone(&reached));
    let mut request = get("/").map(|_| Full::<Bytes>::default());
    *request.extensions_mut() = stolen;
    let response = single.oneshot(request).await.unwrap();
    assert_eq!(code(&response), Some(Code::StackMisordered));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

impl Key {
    fn alone(
        self,
        reached: &Reached,
    ) -> impl Clone
    + Service<
        Request<Full<Bytes>>,
        Response = Response<ZtBody<Full<Bytes>>>,
        Error = Infallible,
    > + use<> {
        let reached = Arc::clone(reached);
        let handler = service_fn(move |_: Request<Full<Bytes>>| {
            reached.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        });
        Gate::new(
            handler,
            Link::first(crate::authenticate::Authenticated::new(self)),
        )
    }
}

#[tokio::test]
async fn a_gate_in_front_does_not_take_the_stack_s_settings_away() {
    // Its settings would hold: other proxies, other claimed names, no sanctions.
    let (reached, log) = (Reached::default(), Log::new());
    let names = ClaimedNames::default().with("acting-as");
    let stack = ZeroTrust::builder()
        .record(log.clone())
        .authenticate(Key("x-key"))
        .any_authenticated()
        .public(Method::GET, "/health")
        .settings(Settings::default().with_claimed_names(names))
        .build()
        .unwrap();
    let attack = |path| with(with(get(path), "x-key", "good"), "acting-as", "root");
    let alone = stack.layer(handler(&reached));
    let response = alone.clone().oneshot(attack("/orders")).await.unwrap();
    assert!(!text(response).await.contains("acting-as"));
    assert_eq!(reached.swap(0, Ordering::SeqCst), 1);
    assert_eq!(log.pair(), ("permit".into(), "complete".into()));

    let nothing = FnCheck::new(|_: &mut Parts, _: &mut SecurityContext| Ok(()));
    let behind = Gate::new(alone, Link::first(nothing));
    for path in ["/orders", "/health"] {
        let response = behind.clone().oneshot(attack(path)).await.unwrap();
        assert_eq!(code(&response), Some(Code::StackMisordered), "{path}");
        assert!(response.headers().contains_key("x-content-type-options"));
        drop(text(response).await);
        assert_eq!(reached.load(Ordering::SeqCst), 0, "{path}");
        assert_eq!(
            log.pair(),
            ("deny stack-misordered".into(), "complete".into())
        );
    }
}

/// Records into memory; nothing is committed.
#[derive(Clone, Debug)]
struct Doors(Arc<MemoryRecorder>);

impl Records for Doors {
    type Outer = crate::stack::slots::Nothing;
    type Commit = crate::stack::slots::Nothing;

    fn split(self) -> (Self::Outer, Self::Commit) {
        Default::default()
    }

    fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        Some(Arc::clone(&self.0) as Arc<dyn Recorder>)
    }

    fn acknowledges(&self) -> Acknowledgement {
        Acknowledgement::Batched
    }
}

#[test]
fn no_door_is_opened_without_a_record_of_it() {
    let recorder = Arc::new(MemoryRecorder::new(9));
    let until = ManualClock::default().now().unwrap();
    ZeroTrust::builder()
        .record(Doors(Arc::clone(&recorder)))
        .validate(ValidateRequestLayer::insecure_accept_anything())
        .insecure_anonymous()
        .any_authenticated()
        .public(Method::GET, "/health")
        .route(RouteRule::any("/login").public())
        .route(RouteRule::new(Method::GET, "/orders").acknowledge(Acknowledgement::Sync))
        .route(RouteRule::new(Method::POST, "/hits").acknowledge(Acknowledgement::Async))
        .route(RouteRule::any("/seen").acknowledge(Acknowledgement::Batched))
        .settings(
            Settings::default()
                .insecure_observe_only(until)
                .with_claimed_names(ClaimedNames::default().insecure_without("X_User_Id")),
        )
        .build()
        .unwrap();
    let [Event::Config(event)] = &recorder.events()[..] else {
        panic!("one event")
    };
    let detail = event.detail.as_deref().unwrap();
    let (_, doors) = detail.split_once("doors: ").unwrap();
    let mut doors: Vec<_> = doors.split(", ").collect();
    doors.sort_unstable();
    assert_eq!(
        doors,
        [
            "acknowledge async POST /hits",
            "acknowledge batched",
            "acknowledge batched * /seen",
            "any_authenticated",
            "insecure_accept_anything",
            "insecure_anonymous",
            "insecure_observe_only until 1893456000",
            "insecure_without x-user-id",
            "public * /login",
            "public GET /health",
        ]
    );

    let recorder = Arc::new(MemoryRecorder::new(9));
    let lenient = ValidateRequestConfig::default().insecure_encoded_unreserved();
    ZeroTrust::builder()
        .record(Doors(Arc::clone(&recorder)))
        .validate(ValidateRequestLayer::new(lenient).unwrap())
        .authenticate(Key("x-key"))
        .authorize(AuthorizeLayer::new(|_: &Access<'_>| true))
        .build()
        .unwrap();
    let [Event::Config(event)] = &recorder.events()[..] else {
        panic!("one event")
    };
    let detail = event.detail.as_deref().unwrap();
    assert!(
        detail.ends_with("doors: insecure_encoded_unreserved, acknowledge batched"),
        "{detail}"
    );
}

#[test]
fn routes_that_the_stack_would_not_obey_are_an_error() {
    // One that waits for the audit log, and has a small body, must not be forgotten.
    let routes = Routes::builder()
        .route(
            RouteRule::new(Method::GET, "/spend")
                .audit(AuditMode::BeforeHandler)
                .body_limit(0),
        )
        .build()
        .unwrap();
    let config = ValidateRequestConfig::default().routes(routes);
    let error = ZeroTrust::builder()
        .without_audit()
        .validate(ValidateRequestLayer::new(config).unwrap())
        .authenticate(Key("x-key"))
        .any_authenticated()
        .build()
        .unwrap_err();
    assert_eq!(error, StackError::RoutesOfValidation);
}

#[tokio::test]
async fn no_spelling_of_a_path_makes_it_public() {
    let reached = Reached::default();
    let service = ZeroTrust::builder()
        .without_audit()
        .authenticate(Key("x-key"))
        .any_authenticated()
        .public(Method::GET, "/health")
        .public(Method::GET, "/files/{*path}")
        .route(RouteRule::any("/files/secret"))
        .build()
        .unwrap()
        .layer(handler(&reached));
    for path in [
        "/health/",
        "//health",
        "/Health",
        "/health%20",
        "/%68ealth",
        "/health%2f..%2forders",
        "/health/../orders",
        "/health;/../orders",
        "/./health",
        "/health%00",
        "/health/orders",
        "/orders?/health",
        "/orders#/health",
        "http://example.test/orders?x=/health",
        "http://example.test:81/health",
        "http://other.test/health",
        "ftp://example.test/health",
        "/files/secret",
        "/files/../files/secret",
        "/files/%2e%2e/orders",
        "/files//secret",
        "/files/..%5corders",
        "/files",
        "/files/",
        "*",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let response = service
                .clone()
                .oneshot(ask(method.clone(), path))
                .await
                .unwrap();
            assert!(response.status().is_client_error(), "{method} {path}");
        }
    }
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "get", "TRACE", "PROPFIND",
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let response = service
            .clone()
            .oneshot(ask(method.clone(), "/health"))
            .await
            .unwrap();
        assert!(response.status().is_client_error(), "{method}");
    }
    for (method, authority) in [
        (Method::CONNECT, "example.test:443"),
        (Method::CONNECT, "/health"),
    ] {
        let response = service
            .clone()
            .oneshot(ask(method, authority))
            .await
            .unwrap();
        assert!(response.status().is_client_error(), "{authority}");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
    for path in [
        "/health",
        "/health?x=1",
        "/files/a",
        "http://example.test/health",
    ] {
        let response = service.clone().oneshot(get(path)).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    let mut request = get("http://example.test/health");
    *request.version_mut() = Version::HTTP_2;
    request
        .headers_mut()
        .insert("host", "other.test".parse().unwrap());
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(code(&response), Some(Code::RequestMalformed));
}

#[tokio::test]
async fn a_refused_credential_falls_through_to_nothing() {
    let reached = Reached::default();
    let service = ZeroTrust::builder()
        .without_audit()
        .authenticate(any_of(Key("x-key"), Key("x-other")).optional())
        .authorize(AuthorizeLayer::new(|_: &Access<'_>| true))
        .build()
        .unwrap()
        .layer(handler(&reached));
    for (key, other, expected) in [
        (Some("bad"), None, Some(Code::CredentialInvalid)),
        (None, Some("bad"), Some(Code::CredentialInvalid)),
        (Some("bad"), Some("good"), Some(Code::CredentialAmbiguous)),
        (Some("good"), Some("good"), Some(Code::CredentialAmbiguous)),
        (Some(""), None, Some(Code::CredentialInvalid)),
        (Some("good"), None, None),
        (None, None, None),
    ] {
        let mut request = get("/");
        if let Some(key) = key {
            request = with(request, "x-key", key);
        }
        if let Some(other) = other {
            request = with(request, "x-other", other);
        }
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(code(&response), expected, "{key:?} {other:?}");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn whatever_happens_there_is_one_decision_and_one_outcome() {
    type Body = StreamBody<
        Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, BoxError>> + Send>>,
    >;

    let log = Log::new();
    let service = ZeroTrust::builder()
        .record(log.clone())
        .authenticate(Key("x-key"))
        .authorize(AuthorizeLayer::new(|access: &Access<'_>| {
            match access.path() {
                "/policy-panics" => panic!("the policy failed"),
                "/waits" => later(std::future::pending::<()>(), |(), _: &Access<'_>| true),
                path => {
                    let permitted = path != "/denied";
                    later(tokio::task::yield_now(), move |(), _: &Access<'_>| {
                        permitted
                    })
                }
            }
        }))
        .route(RouteRule::new(Method::GET, "/small").body_limit(3))
        .build()
        .unwrap()
        .layer(service_fn(
            |request: Request<crate::body::RequestBody<Full<Bytes>>>| async move {
                let path = request.uri().path().to_owned();
                assert_ne!(path, "/handler-panics", "the handler failed");
                if path == "/hangs" {
                    std::future::pending::<()>().await;
                }
                if path == "/errs" {
                    return Err(BoxError::from("the handler is gone"));
                }
                let frames: Pin<Box<dyn futures_util::Stream<Item = _> + Send>> =
                    Box::pin(futures_util::stream::poll_fn(move |_| {
                        assert_ne!(path, "/body-panics", "the body failed");
                        Poll::Ready(match &*path {
                            "/body-errs" => Some(Err(BoxError::from("reset"))),
                            _ => None::<Result<Frame<Bytes>, BoxError>>,
                        })
                    }));
                Ok::<Response<Body>, BoxError>(Response::new(StreamBody::new(frames)))
            },
        ));
    for (path, key, decision, outcome) in [
        ("/", "good", "permit", "complete"),
        ("/", "bad", "deny credential-invalid", "complete"),
        ("/", "explosive", "deny handler-panicked", "complete"),
        ("//", "good", "deny request-malformed", "complete"),
        ("/denied", "good", "deny policy-denied", "complete"),
        (
            "/policy-panics",
            "good",
            "deny handler-panicked",
            "complete",
        ),
        ("/handler-panics", "good", "permit", "complete"),
        ("/errs", "good", "permit", "failed"),
        ("/body-errs", "good", "permit", "body-error"),
        ("/body-panics", "good", "permit", "abandoned"),
    ] {
        for method in [Method::GET, Method::POST] {
            let mut service = service.clone();
            let request = with(ask(method.clone(), path), "x-key", key);
            let done = std::panic::AssertUnwindSafe(async move {
                if let Ok(response) = service.ready().await.unwrap().call(request).await {
                    let _ = response.into_body().collect().await;
                }
            });
            let panicked = futures_util::FutureExt::catch_unwind(done).await.is_err();
            assert_eq!(panicked, path == "/body-panics", "{path}");
            assert_eq!(
                log.pair(),
                (decision.into(), outcome.into()),
                "{method} {path}"
            );
        }
    }
    // Dropped: while the policy waits, while the handler runs, with its answer unread.
    for (path, decision) in [
        ("/waits", "undecided"),
        ("/hangs", "permit"),
        ("/", "permit"),
    ] {
        let mut future = Box::pin(service.clone().oneshot(with(get(path), "x-key", "good")));
        let polled = futures_util::FutureExt::now_or_never(async {
            for _ in 0..9 {
                let polled = std::future::poll_fn(|task| Poll::Ready(future.as_mut().poll(task)));
                if let Poll::Ready(response) = polled.await {
                    return Some(response);
                }
            }
            None
        });
        drop((polled, future));
        assert_eq!(log.pair(), (decision.into(), "abandoned".into()), "{path}");
    }
}

#[tokio::test]
async fn nothing_unsafe_runs_and_nothing_leaves_before_its_permit_is_durable() {
    let cases = [
        (Method::POST, "/", true),
        (Method::PUT, "/", true),
        (Method::from_bytes(b"SURPRISE").unwrap(), "/", true),
        (Method::GET, "/spend", true),
        (Method::HEAD, "/spend", true),
        (Method::GET, "/", false),
    ];
    for early in [false, true] {
        for (method, path, held) in &cases {
            for verdict in [Ok(()), Err(RecordError::Closed)] {
                let (reached, log) = (Reached::default(), Log::held());
                let settings = match early {
                    true => Settings::default().ready_early(),
                    false => Settings::default(),
                };
                let service = ZeroTrust::builder()
                    .record(log.clone())
                    .authenticate(Key("x-key"))
                    // Waits, so that the chain is resumed.
                    .authorize(AuthorizeLayer::new(|_: &Access<'_>| {
                        later(tokio::task::yield_now(), |(), _: &Access<'_>| true)
                    }))
                    .route(RouteRule::new(Method::GET, "/spend").audit(AuditMode::BeforeHandler))
                    .settings(settings)
                    .build()
                    .unwrap()
                    .layer(handler(&reached));
                let request = with(ask(method.clone(), path), "x-key", "good");
                let answer = tokio::spawn(service.oneshot(request));
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                assert!(!answer.is_finished(), "{method} {path}");
                let ran = reached.load(Ordering::SeqCst);
                assert_eq!(ran, usize::from(!held), "{method} {path} early: {early}");
                log.answer(verdict.clone());
                let response = answer.await.unwrap().unwrap();
                match verdict {
                    Ok(()) => assert_eq!(response.status(), 200),
                    Err(_) => {
                        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                        assert_eq!(reached.load(Ordering::SeqCst), ran, "{method} {path}");
                        assert_eq!(response.headers()["retry-after"], "1");
                        assert!(!text(response).await.contains("x-key"), "the answer left");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn claimed_identities_do_not_reach_a_handler_that_a_stack_only_observes() {
    let (reached, clock) = (Reached::default(), ManualClock::default());
    let until = clock.now().unwrap() + std::time::Duration::from_secs(60);
    let service = ZeroTrust::builder()
        .without_audit()
        .authenticate(Key("x-key"))
        .any_authenticated()
        .settings(Settings::default().with_clock(clock.clone()))
        .insecure_observe_only(until)
        .build()
        .unwrap()
        .layer(handler(&reached));
    let attack = |path| {
        let request = with(get(path), "x-forwarded-user", "root");
        let request = with(request, "x_remote_user", "root");
        with(request, "x-key", "bad")
    };
    for path in ["/orders", "/orders/../admin"] {
        let response = service.clone().oneshot(attack(path)).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let seen = text(response).await;
        assert!(!seen.contains("user"), "{path}: {seen}");
    }
    clock.advance(std::time::Duration::from_secs(60));
    let response = service.oneshot(attack("/orders")).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(reached.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_clock_that_fails_does_not_make_a_stack_observe() {
    // The request's now is then the epoch, which is before every date.
    let (reached, clock, log) = (Reached::default(), ManualClock::default(), Log::new());
    let until = clock.now().unwrap();
    let service = ZeroTrust::builder()
        .record(log.clone())
        .authenticate(Key("x-key"))
        .any_authenticated()
        .public(Method::GET, "/health")
        .settings(Settings::default().with_clock(clock.clone()))
        .insecure_observe_only(until)
        .build()
        .unwrap()
        .layer(handler(&reached));
    clock.fail();
    for path in ["/orders", "/health"] {
        let response = service.clone().oneshot(get(path)).await.unwrap();
        assert_eq!(code(&response), Some(Code::ClockUnavailable), "{path}");
        assert!(response.headers().contains_key("x-content-type-options"));
        drop(text(response).await);
        assert_eq!(log.pair().0, "deny clock-unavailable");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}
