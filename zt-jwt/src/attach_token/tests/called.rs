//! The layer over a client, and the services that it calls.

use http::{HeaderMap, HeaderValue, StatusCode};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::http::BoxError;

type Seen = Arc<Mutex<Vec<HeaderMap>>>;

fn orders() -> Destinations {
    Destinations::only(["https://orders.internal"]).unwrap()
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

/// A client that keeps what it is given to send, and answers `status` and `header`.
fn client(
    layer: &AttachTokenLayer,
    answer: impl Fn() -> Response<()> + Clone + Send + 'static,
) -> (
    impl Service<Request<()>, Response = Response<()>, Error = AttachError<Infallible>> + Clone,
    Seen,
) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<()>| {
        keep.lock().unwrap().push(request.headers().clone());
        let answer = answer();
        async move { Ok::<_, Infallible>(answer) }
    });
    (layer.layer(inner), seen)
}

fn plain(
    layer: &AttachTokenLayer,
) -> (
    impl Service<Request<()>, Response = Response<()>, Error = AttachError<Infallible>> + Clone,
    Seen,
) {
    client(layer, || Response::new(()))
}

fn good(clock: &ManualClock) -> (Issuer, Tokens) {
    let issuer = Issuer::new(Mode::Good(1_000 * SECOND));
    let tokens = tokens(issuer.clone(), clock);
    (issuer, tokens)
}

#[tokio::test]
async fn nothing_is_sent_elsewhere() {
    let (issuer, tokens) = good(&ManualClock::default());
    let layer = AttachTokenLayer::new(tokens, orders()).unwrap();
    let (client, seen) = plain(&layer);
    for (uri, expected) in [
        ("https://evil.example/", DestinationError::Elsewhere),
        ("http://orders.internal:443/", DestinationError::PlainHttp),
        (
            "https://orders.internal@evil.example/",
            DestinationError::Unclear,
        ),
        ("/7", DestinationError::Unclear),
    ] {
        let error = client.clone().oneshot(get(uri)).await.unwrap_err();
        assert!(
            matches!(error, AttachError::Destination(why) if why == expected),
            "{uri}"
        );
    }
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(issuer.asked(), 0, "and nobody is asked for a token");
}

#[tokio::test]
async fn bare_requests_go_elsewhere_without_the_token() {
    let (_, tokens) = good(&ManualClock::default());
    let layer = AttachTokenLayer::new(tokens, orders())
        .unwrap()
        .bare_elsewhere();
    let (client, seen) = plain(&layer);
    for uri in ["https://other.example/", "http://orders.internal:443/"] {
        client.clone().oneshot(get(uri)).await.unwrap();
    }
    assert!(seen.lock().unwrap().iter().all(HeaderMap::is_empty));
    let unclear = get("https://orders.internal@evil.example/");
    assert!(client.clone().oneshot(unclear).await.is_err());
    client
        .oneshot(get("https://orders.internal/"))
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[2]["authorization"], "Bearer t1");
}

#[tokio::test]
async fn a_credential_that_is_there_is_neither_replaced_nor_sent() {
    let (_, tokens) = good(&ManualClock::default());
    let layer = AttachTokenLayer::new(tokens, orders()).unwrap();
    let (client, seen) = plain(&layer);
    let mut request = get("https://orders.internal/");
    request
        .headers_mut()
        .insert("authorization", HeaderValue::from_static("Basic x"));
    let error = client.clone().oneshot(request).await.unwrap_err();
    assert!(matches!(error, AttachError::AlreadyThere));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Down);
    let layer = AttachTokenLayer::new(tokens(issuer.clone(), &clock), orders()).unwrap();
    let (client, seen) = plain(&layer);
    for _ in 0..2 {
        let error = client
            .clone()
            .oneshot(get("https://orders.internal/"))
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            AttachError::Unavailable(Unavailable::Source { .. })
        ));
    }
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(issuer.asked(), 1);
    issuer.set(Mode::Good(600 * SECOND));
    clock.advance(SECOND);
    client
        .clone()
        .oneshot(get("https://orders.internal/"))
        .await
        .unwrap();
    clock.fail();
    let error = client
        .oneshot(get("https://orders.internal/"))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        AttachError::Unavailable(Unavailable::Clock(_))
    ));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_that_had_to_wait_is_sent_once_and_by_the_service_that_was_ready() {
    let clock = ManualClock::default();
    let issuer = Issuer::shut(Mode::Good(600 * SECOND));
    let layer = AttachTokenLayer::new(tokens(issuer.clone(), &clock), orders()).unwrap();
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<()>| {
        keep.lock().unwrap().push(request.headers().clone());
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    // Panics where it is called without having been asked.
    let inner = tower::ServiceBuilder::new()
        .concurrency_limit(1)
        .service(inner);
    let mut client = layer.layer(inner);
    let waiting = client
        .ready()
        .await
        .unwrap()
        .call(get("https://orders.internal/"));
    let waiting = tokio::spawn(waiting);
    settle().await;
    assert!(seen.lock().unwrap().is_empty());
    issuer.open();
    waiting.await.unwrap().unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["authorization"], "Bearer t1");
    assert!(seen[0]["authorization"].is_sensitive());
}

#[tokio::test]
async fn service_tokens_have_a_header_of_their_own() {
    let source = FixedToken::new(&"ztk_prod_abc".into()).unwrap();
    let layer = AttachTokenLayer::new(source, orders())
        .unwrap()
        .as_service_token();
    let (client, seen) = plain(&layer);
    // `Authorization` is somebody else's then.
    let mut request = get("https://orders.internal/");
    request
        .headers_mut()
        .insert("authorization", HeaderValue::from_static("Bearer user"));
    client.oneshot(request).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0]["x-service-token"], "ztk_prod_abc");
    assert!(seen[0]["x-service-token"].is_sensitive());
    assert_eq!(seen[0]["authorization"], "Bearer user");
}

fn unauthorized(challenges: &'static [&'static str]) -> impl Fn() -> Response<()> + Clone {
    move || {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        for challenge in challenges {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().append("www-authenticate", challenge);
        }
        response
    }
}

#[tokio::test]
async fn a_rejected_token_is_renewed_after_the_cooldown_and_nothing_is_sent_again() {
    let clock = ManualClock::default();
    let (issuer, tokens) = good(&clock);
    let layer = AttachTokenLayer::new(tokens, orders()).unwrap();
    let reject = unauthorized(&[
        "Basic realm=x",
        "Bearer realm=\"x\", error=\"invalid_token\"",
    ]);
    let (client, seen) = super::called::client(&layer, reject);
    let call = async || {
        let response = client
            .clone()
            .oneshot(get("https://orders.internal/"))
            .await
            .unwrap();
        assert_eq!(response.status(), 401);
        settle().await;
    };
    call().await;
    call().await;
    assert_eq!((issuer.asked(), seen.lock().unwrap().len()), (1, 2));
    clock.advance(29 * SECOND);
    call().await;
    assert_eq!(issuer.asked(), 1);
    clock.advance(SECOND);
    call().await;
    assert_eq!(issuer.asked(), 2);
    // However often it says so.
    for _ in 0..50 {
        call().await;
    }
    assert_eq!(issuer.asked(), 2);
    clock.advance(30 * SECOND);
    call().await;
    assert_eq!(issuer.asked(), 3);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 55, "each request once");
    assert_eq!(seen[4]["authorization"], "Bearer t2");
}

#[tokio::test]
async fn what_is_no_rejection_of_the_token_renews_nothing() {
    fn grpc(status: &'static str) -> Response<()> {
        let mut response = Response::new(());
        response
            .headers_mut()
            .insert("grpc-status", HeaderValue::from_static(status));
        response
    }
    type Answer = Box<dyn Fn() -> Response<()> + Send + Sync>;
    let cases: [(Answer, usize); 7] = [
        (Box::new(|| Response::new(())), 1),
        (Box::new(unauthorized(&[])), 1),
        (Box::new(unauthorized(&["Bearer realm=\"x\""])), 1),
        (
            Box::new(unauthorized(&["Bearer error=\"insufficient_scope\""])),
            1,
        ),
        (Box::new(|| grpc("7")), 1),
        (Box::new(|| grpc("16")), 2),
        (Box::new(unauthorized(&["Bearer Error=invalid_token"])), 2),
    ];
    for (number, (answer, expected)) in cases.into_iter().enumerate() {
        let answer = Arc::new(answer);
        let clock = ManualClock::default();
        let (issuer, tokens) = good(&clock);
        let layer = AttachTokenLayer::new(tokens, orders()).unwrap();
        let (client, _) = super::called::client(&layer, move || answer());
        for _ in 0..2 {
            client
                .clone()
                .oneshot(get("https://orders.internal/"))
                .await
                .unwrap();
            settle().await;
            clock.advance(31 * SECOND);
        }
        assert_eq!(issuer.asked(), expected, "case {number}");
    }
}

#[tokio::test]
async fn an_answer_to_the_token_before_does_not_renew_the_new_one() {
    let clock = ManualClock::default();
    let (issuer, tokens) = good(&clock);
    tokens.ready().await.unwrap();
    clock.advance(800 * SECOND);
    tokens.ready().await.unwrap();
    settle().await;
    assert_eq!(issuer.asked(), 2);
    clock.advance(60 * SECOND);
    tokens.0.rejected(1);
    tokens.ready().await.unwrap();
    settle().await;
    assert_eq!(issuer.asked(), 2);
    tokens.0.rejected(2);
    tokens.ready().await.unwrap();
    settle().await;
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn the_error_of_the_client_below_comes_through() {
    let (_, tokens) = good(&ManualClock::default());
    let layer = AttachTokenLayer::new(tokens, orders()).unwrap();
    let broken = service_fn(|_: Request<()>| async {
        Err::<Response<()>, BoxError>(std::io::Error::other("broken pipe").into())
    });
    let boxed = layer.layer(broken).map_err(AttachError::into_boxed);
    let error = boxed
        .clone()
        .oneshot(get("https://orders.internal/"))
        .await
        .unwrap_err();
    assert!(error.is::<std::io::Error>());
    let error = boxed
        .oneshot(get("https://evil.example/"))
        .await
        .unwrap_err();
    assert!(error.is::<AttachError<Infallible>>(), "{error}");
}

#[tokio::test]
async fn debug_shows_no_token() {
    let clock = ManualClock::default();
    let source = FixedToken::new(&"hunter2".into()).unwrap();
    let shown = format!("{source:?}");
    let tokens = tokens(source, &clock);
    let token = tokens.token().await.unwrap();
    let layer = AttachTokenLayer::new(tokens.clone(), orders()).unwrap();
    let (client, seen) = plain(&layer);
    client
        .oneshot(get("https://orders.internal/"))
        .await
        .unwrap();
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    let service = layer.layer(inner);
    let future = service.clone().call(get("https://orders.internal/"));
    let all = format!(
        "{shown} {tokens:?} {token:?} {:?} {layer:?} {future:?} {:?} {:?} {:?}",
        token.bearer(),
        seen.lock().unwrap(),
        tokens.status(),
        AttachableToken::new("hunter2 hunter2"),
    );
    assert!(all.contains("Sensitive"), "{all}");
    assert!(!all.contains("hunter2"), "{all}");
}

#[tokio::test]
async fn over_sockets_a_redirect_does_not_take_the_token_elsewhere() {
    let evil_saw = Seen::default();
    let keep = Arc::clone(&evil_saw);
    let evil = serve(move |request| {
        keep.lock().unwrap().push(request.headers().clone());
        Response::new(Full::default())
    })
    .await;
    let orders_saw = Seen::default();
    let keep = Arc::clone(&orders_saw);
    let orders = serve(move |request| {
        keep.lock().unwrap().push(request.headers().clone());
        let to = format!("http://{evil}/stolen");
        let response = Response::builder().status(302).header("location", to);
        response.body(Full::default()).unwrap()
    })
    .await;

    let (_, tokens) = good(&ManualClock::default());
    let only = Destinations::only([format!("http://{orders}")]).unwrap();
    let client = AttachTokenLayer::new(tokens, only)
        .unwrap()
        .layer(http_client());
    let ask = |uri: String| Request::get(uri).body(Full::<Bytes>::default()).unwrap();
    let response = client
        .clone()
        .oneshot(ask(format!("http://{orders}/")))
        .await
        .unwrap();
    assert_eq!(response.status(), 302);
    // What a layer above that follows redirects would do next.
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let error = client.clone().oneshot(ask(location)).await.unwrap_err();
    assert!(matches!(error, AttachError::Destination(_)));
    assert_eq!(orders_saw.lock().unwrap()[0]["authorization"], "Bearer t1");
    assert!(evil_saw.lock().unwrap().is_empty());

    let gone = client
        .oneshot(ask("http://127.0.0.1:1/".to_owned()))
        .await
        .unwrap_err();
    assert!(gone.into_inner().is_none());
}
