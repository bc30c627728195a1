use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, Method, Request, Response, StatusCode, Version, request::Builder,
};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::{
    body::{BoxError, RequestBody, ZtBody},
    clock::{Clock, ManualClock},
    context::{ClaimedNames, SecurityContext},
    decision::{Code, Denial},
    gate::{BodyLink, FnCheck, GateLayer, Link, Replace, Root, Settings},
    state::{RouteRule, Routes},
};

type Outcome = Result<Response<ZtBody<Full<Bytes>>>, Infallible>;

/// What the handler saw.
#[derive(Debug, Clone)]
struct Seen {
    headers: HeaderMap,
    body: Result<Bytes, String>,
    cx: SecurityContext,
}

/// Reads the body to its end, whatever it is, and answers 200.
async fn handler<B>(request: Request<RequestBody<B>>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await;
    let mut response = Response::new(Full::new(Bytes::from("ok")));
    response.extensions_mut().insert(Seen {
        headers: parts.headers,
        body: body
            .map(http_body_util::Collected::to_bytes)
            .map_err(|error| error.to_string()),
        cx: parts.extensions.get::<SecurityContext>().unwrap().clone(),
    });
    Ok(response)
}

async fn call<B>(config: ValidateRequestConfig, request: Request<B>) -> Response<()>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = ValidateRequestLayer::new(config)
        .unwrap()
        .layer(service_fn(handler::<B>));
    finish(service, request).await
}

async fn finish<S, B>(service: S, request: Request<B>) -> Response<()>
where
    S: Service<Request<B>, Response = Response<ZtBody<Full<Bytes>>>, Error = Infallible>,
{
    let outcome: Outcome = service.oneshot(request).await;
    outcome.unwrap().map(drop)
}

fn config() -> ValidateRequestConfig {
    ValidateRequestConfig::default()
}

/// A good request, to break in one place.
fn get(uri: &str) -> Builder {
    Request::get(uri).header("host", "shop.example")
}

fn empty(builder: Builder) -> Request<Full<Bytes>> {
    builder.body(Full::default()).unwrap()
}

async fn code_with(config: ValidateRequestConfig, builder: Builder) -> Option<Code> {
    let response = call(config, empty(builder)).await;
    let code = response.extensions().get::<Denial>().map(Denial::code);
    let expected = code.map_or(StatusCode::OK, Code::status);
    assert_eq!(response.status(), expected);
    code
}

async fn code(builder: Builder) -> Option<Code> {
    code_with(config(), builder).await
}

const MALFORMED: Option<Code> = Some(Code::RequestMalformed);

#[tokio::test]
async fn permits_an_ordinary_request() {
    assert_eq!(code(get("/orders/7?x=%2e%2e//")).await, None);
    assert_eq!(code(get("http://shop.example/orders/7")).await, None);
    let post = Request::post("/orders").header("host", "shop.example:8080");
    assert_eq!(
        code(post.header("content-length", "0").header("x-foo_bar", "1")).await,
        None
    );
}

// 1

#[tokio::test]
async fn refuses_a_target_past_the_bound() {
    let bound = || config().uri_bytes(32);
    for (uri, expected) in [
        (format!("/{}", "a".repeat(31)), None),
        (format!("/{}", "a".repeat(32)), Some(Code::UriTooLong)),
        (format!("/?{}", "a".repeat(31)), Some(Code::UriTooLong)),
        (format!("http://shop.example/{}", "a".repeat(12)), None),
        (
            format!("http://shop.example/{}", "a".repeat(13)),
            Some(Code::UriTooLong),
        ),
        // Whatever else is wrong with it.
        (format!("//../{}", "a".repeat(32)), Some(Code::UriTooLong)),
    ] {
        assert_eq!(code_with(bound(), get(&uri)).await, expected, "{uri}");
    }
}

// 2

#[tokio::test]
async fn refuses_trace_and_connect_and_what_is_not_listed() {
    let host = |method: &str, uri: &str| {
        Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "shop.example:443")
    };
    assert_eq!(code(host("TRACE", "/")).await, MALFORMED);
    assert_eq!(code(host("CONNECT", "shop.example:443")).await, MALFORMED);
    assert_eq!(code(host("PROPFIND", "/")).await, None);

    let listed = || config().methods([Method::GET, Method::CONNECT]);
    assert_eq!(code_with(listed(), host("GET", "/")).await, None);
    assert_eq!(code_with(listed(), host("POST", "/")).await, MALFORMED);
    // Methods are case-sensitive (RFC 9110 section 9.1).
    assert_eq!(code_with(listed(), host("get", "/")).await, MALFORMED);
    assert_eq!(
        code_with(listed(), host("CONNECT", "shop.example:443")).await,
        None
    );
}

// 3

#[tokio::test]
async fn refuses_targets_whose_form_does_not_fit_the_method() {
    let all = || config().methods([Method::GET, Method::OPTIONS, Method::CONNECT]);
    let host = |method: &str, uri: &str| {
        Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "shop.example")
    };
    for (method, uri, expected) in [
        ("OPTIONS", "*", None),
        ("GET", "*", MALFORMED),
        ("CONNECT", "*", MALFORMED),
        ("GET", "shop.example", MALFORMED),
        ("OPTIONS", "shop.example", MALFORMED),
        ("CONNECT", "shop.example", None),
        ("CONNECT", "/", MALFORMED),
        ("GET", "http://shop.example", None),
    ] {
        assert_eq!(
            code_with(all(), host(method, uri)).await,
            expected,
            "{method} {uri}"
        );
    }
    // Extended CONNECT has a path, which is judged like any other.
    let extended = |path: &str| {
        host("CONNECT", &format!("https://shop.example{path}")).version(Version::HTTP_2)
    };
    assert_eq!(code_with(all(), extended("/chat")).await, None);
    assert_eq!(code_with(all(), extended("/a/../chat")).await, MALFORMED);
}

// 4

#[tokio::test]
async fn refuses_paths_that_are_not_canonical() {
    for path in [
        "//admin",
        "/a/./b",
        "/a/../b",
        "/%2e%2e/a",
        "/a%2Fb",
        "/a%5Cb",
        "/a%00",
        "/%252e%252e/a",
        "/%c0%ae",
        "/a%zz",
        "/..;/a",
        "/%61dmin",
        "/é",
    ] {
        assert_eq!(code(get(path)).await, MALFORMED, "{path}");
        let absolute = format!("http://shop.example{path}");
        assert_eq!(code(get(&absolute)).await, MALFORMED, "{absolute}");
    }
    let lenient = config().insecure_encoded_unreserved();
    assert_eq!(code_with(lenient, get("/%7Eada")).await, None);
}

#[tokio::test]
async fn the_route_on_the_raw_path_brings_its_allowances() {
    let routes = Routes::builder()
        .route(RouteRule::any("/projects/{name}").allow_encoded_slash())
        .route(RouteRule::any("/mirror/{*path}").allow_empty_segments())
        .route(RouteRule::any("/plain/{name}"))
        .build()
        .unwrap();
    for (path, expected) in [
        ("/projects/group%2Fname", None),
        ("/projects/group%2F..%2Fname", MALFORMED),
        ("/projects/a//b", MALFORMED),
        ("/mirror/a//b", None),
        ("/mirror/a%2Fb", MALFORMED),
        ("/plain/group%2Fname", MALFORMED),
        ("/elsewhere/group%2Fname", MALFORMED),
    ] {
        assert_eq!(
            code_with(config().routes(routes.clone()), get(path)).await,
            expected,
            "{path}"
        );
    }
    let response = call(config().routes(routes), empty(get("/plain/7"))).await;
    let seen: &Seen = response.extensions().get().unwrap();
    assert_eq!(seen.cx.route().unwrap().template(), "/plain/{name}");
}

// 5

#[tokio::test]
async fn refuses_header_sections_past_their_bounds() {
    let with = |count: usize, value: usize| {
        (0..count).fold(get("/"), |builder, index| {
            builder.header(format!("x-{index:02}"), "v".repeat(value))
        })
    };
    let large = Some(Code::HeadersTooLarge);
    // `host: shop.example` is one of them, and 20 bytes of the section with its line's end.
    assert_eq!(code_with(config().header_count(4), with(3, 1)).await, None);
    assert_eq!(code_with(config().header_count(4), with(4, 1)).await, large);
    let repeated = get("/").header("accept", "a").header("accept", "b");
    assert_eq!(code_with(config().header_count(2), repeated).await, large);
    assert_eq!(
        code_with(config().header_value_bytes(12), with(1, 12)).await,
        None
    );
    assert_eq!(
        code_with(config().header_value_bytes(12), with(1, 13)).await,
        large
    );
    assert_eq!(
        code_with(config().header_bytes(38), with(1, 10)).await,
        None
    );
    assert_eq!(
        code_with(config().header_bytes(37), with(1, 10)).await,
        large
    );
}

// 6

#[tokio::test]
async fn refuses_repeated_fields_that_may_stand_once() {
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("content-type", "text/plain"),
        ("content-length", "0"),
        ("host", "shop.example"),
        ("transfer-encoding", "chunked"),
    ] {
        let twice = Request::get("/").header(name, value).header(name, value);
        let twice = if name == "host" {
            twice
        } else {
            twice.header("host", "shop.example")
        };
        assert_eq!(code(twice).await, MALFORMED, "{name}");
    }
    assert_eq!(
        code(get("/").header("accept", "a").header("accept", "b")).await,
        None
    );
}

#[tokio::test]
async fn refuses_content_lengths_that_are_not_one_number() {
    for value in ["", "+1", "-1", "0x1", "1,2", "1, 1", "1 ", "1.0", "one"] {
        let request = get("/").header("content-length", value);
        assert_eq!(code(request).await, MALFORMED, "{value:?}");
    }
    assert_eq!(code(get("/").header("content-length", "007")).await, None);
}

// 7

#[tokio::test]
async fn refuses_bodies_that_are_framed_in_two_ways() {
    let coded = |value: &str| get("/").header("transfer-encoding", value);
    assert_eq!(code(coded("chunked")).await, None);
    assert_eq!(code(coded("Chunked")).await, None);
    assert_eq!(
        code(coded("chunked").header("content-length", "0")).await,
        MALFORMED
    );
    for value in [
        "gzip, chunked",
        "chunked, identity",
        "identity",
        "xchunked",
        "",
        "chunked,",
    ] {
        assert_eq!(code(coded(value)).await, MALFORMED, "{value:?}");
    }
    for version in [Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        assert_eq!(
            code(coded("chunked").version(version)).await,
            MALFORMED,
            "{version:?}"
        );
    }
}

// 8

#[tokio::test]
async fn refuses_framing_headers_spelled_with_underscores() {
    for name in [
        "content_length",
        "Content_Length",
        "transfer_encoding",
        "TRANSFER_ENCODING",
    ] {
        assert_eq!(code(get("/").header(name, "0")).await, MALFORMED, "{name}");
    }
    assert_eq!(code(get("/").header("content_lengthy", "0")).await, None);
}

// 9

#[tokio::test]
async fn refuses_headers_that_override_the_method() {
    for known in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    ] {
        let variants = [
            known.to_owned(),
            known.to_ascii_uppercase(),
            known.replace('-', "_"),
            known.replacen('-', "_", 1),
        ];
        for name in variants {
            let request = Request::post("/")
                .header("host", "shop.example")
                .header(&name, "DELETE");
            assert_eq!(code(request).await, MALFORMED, "{name}");
        }
    }
}

// 10

#[tokio::test]
async fn refuses_requests_that_do_not_say_which_host_they_are_for() {
    assert_eq!(code(Request::get("/")).await, MALFORMED);
    assert_eq!(code(Request::get("http://shop.example/")).await, MALFORMED);
    assert_eq!(
        code(Request::get("/").version(Version::HTTP_10)).await,
        None
    );
    for version in [Version::HTTP_2, Version::HTTP_3] {
        assert_eq!(code(Request::get("/").version(version)).await, MALFORMED);
        assert_eq!(code(get("/").version(version)).await, None);
        let authority = Request::get("https://shop.example/").version(version);
        assert_eq!(code(authority).await, None);
    }
}

#[tokio::test]
async fn refuses_hosts_that_are_none() {
    for host in [
        "",
        " ",
        "a b",
        "a,b",
        "a/b",
        "user@shop.example",
        "shop.example:http",
        "shop.example:70000",
        "shop.example:80:80",
        ".",
        "..",
        "a..b",
        ".a",
        "[::1",
        "[::1]x",
        "[::g]",
        "[::1%25eth0]",
        "::1",
        "shop%2eexample",
        "shop.example#",
        "shöp",
    ] {
        let request = Request::get("/").header("host", host.as_bytes());
        assert_eq!(code(request).await, MALFORMED, "{host:?}");
    }
    let long = format!("{}.example", "a".repeat(250));
    assert_eq!(
        code(Request::get("/").header("host", long)).await,
        MALFORMED
    );
    for host in [
        "shop.example.",
        "SHOP",
        "a_b",
        "127.0.0.1:1",
        "[::1]",
        "[2001:db8::1]:443",
        "a:",
    ] {
        let request = Request::get("/").header("host", host);
        assert_eq!(code(request).await, None, "{host:?}");
    }
}

// 11

#[tokio::test]
async fn refuses_a_host_that_differs_from_the_target_s_authority() {
    let request = |version: Version, uri: &str, host: &str| {
        Request::get(uri).version(version).header("host", host)
    };
    for version in [Version::HTTP_11, Version::HTTP_2, Version::HTTP_3] {
        for (uri, host, expected) in [
            ("http://shop.example/", "shop.example", None),
            ("http://Shop.Example/", "shop.EXAMPLE", None),
            ("http://shop.example/", "shop.example:80", None),
            ("http://shop.example:80/", "shop.example", None),
            ("https://shop.example/", "shop.example:443", None),
            ("https://[::1]/", "[::1]:443", None),
            ("https://shop.example/", "shop.example:80", MALFORMED),
            ("http://shop.example/", "shop.example:443", MALFORMED),
            ("http://shop.example/", "admin.example", MALFORMED),
            ("http://shop.example/", "shop.example.", MALFORMED),
            ("http://shop.example:8080/", "shop.example:8081", MALFORMED),
            // User information (RFC 9110 section 4.2.4).
            (
                "http://shop.example@admin.example/",
                "admin.example",
                MALFORMED,
            ),
            ("http://a:b@shop.example/", "shop.example", MALFORMED),
        ] {
            let found = code(request(version, uri, host)).await;
            assert_eq!(found, expected, "{version:?} {uri} {host}");
        }
    }
}

// 12

#[tokio::test]
async fn refuses_hosts_that_the_service_does_not_answer_for() {
    let hosts = || config().hosts(["shop.example", "[::1]:8443", "admin.example:443"]);
    let misdirected = Some(Code::Misdirected);
    for (uri, host, expected) in [
        ("/", "shop.example", None),
        ("/", "SHOP.example:8080", None),
        ("/", "[::1]:8443", None),
        ("/", "[::1]", misdirected),
        ("/", "evil.example", misdirected),
        ("/", "shop.example.evil.example", misdirected),
        ("/", "admin.example:443", None),
        ("/", "admin.example:80", misdirected),
        ("https://admin.example/", "admin.example", None),
        ("http://admin.example/", "admin.example", misdirected),
    ] {
        let request = Request::get(uri).header("host", host);
        assert_eq!(code_with(hosts(), request).await, expected, "{uri} {host}");
    }
    let none = Request::get("/").version(Version::HTTP_10);
    assert_eq!(code_with(hosts(), none).await, misdirected);
}

#[tokio::test]
async fn refuses_targets_of_other_schemes() {
    assert_eq!(
        code(get("ftp://shop.example/")).await,
        Some(Code::Misdirected)
    );
    assert_eq!(
        code(get("ws://shop.example/")).await,
        Some(Code::Misdirected)
    );
}

// 13

const TOO_LARGE: Option<Code> = Some(Code::BodyTooLarge);

fn post(path: &str) -> Builder {
    Request::post(path).header("host", "shop.example")
}

#[tokio::test]
async fn refuses_a_declared_length_past_the_limit_before_anything_is_read() {
    let body = || {
        let never = stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
                panic!("the body was read")
            },
        );
        StreamBody::new(never)
    };
    for (declared, limit) in [("11", 10), ("99999999999999999999999", u64::MAX), ("1", 0)] {
        let request = post("/")
            .header("content-length", declared)
            .body(body())
            .unwrap();
        let response = call(config().body_bytes(limit), request).await;
        assert_eq!(response.status(), 413, "{declared}");
    }
    // No header, but the server has counted.
    let request = post("/")
        .body(Full::new(Bytes::from("12345678901")))
        .unwrap();
    assert_eq!(call(config().body_bytes(10), request).await.status(), 413);
    let request = post("/")
        .body(Full::new(Bytes::from("1234567890")))
        .unwrap();
    let response = call(config().body_bytes(10), request).await;
    let seen: &Seen = response.extensions().get().unwrap();
    assert_eq!(seen.body.as_deref(), Ok(&b"1234567890"[..]));
}

fn streamed(
    path: &str,
    chunks: &[&'static str],
) -> Request<impl Body<Data = Bytes, Error = BoxError> + Send + 'static> {
    let frames: Vec<_> = chunks
        .iter()
        .map(|chunk| Ok::<_, BoxError>(Frame::data(Bytes::from_static(chunk.as_bytes()))))
        .collect();
    let request = post(path).header("transfer-encoding", "chunked");
    request.body(StreamBody::new(stream::iter(frames))).unwrap()
}

#[tokio::test]
async fn refuses_a_streamed_body_that_grows_past_the_limit_whatever_the_handler_answers() {
    let response = call(
        config().body_bytes(10),
        streamed("/", &["12345", "67890", "1"]),
    )
    .await;
    assert_eq!(response.status(), 413);
    let denial: &Denial = response.extensions().get().unwrap();
    assert_eq!(denial.code(), Code::BodyTooLarge);
    let response = call(config().body_bytes(10), streamed("/", &["12345", "67890"])).await;
    let seen: &Seen = response.extensions().get().unwrap();
    assert_eq!(seen.body.as_deref(), Ok(&b"1234567890"[..]));
}

#[tokio::test]
async fn the_route_s_own_body_limit_holds() {
    let routes = || {
        Routes::builder()
            .route(RouteRule::new(Method::POST, "/upload").body_limit(20))
            .route(RouteRule::any("/ping").body_limit(0))
            .build()
            .unwrap()
    };
    let limited = || config().body_bytes(10).routes(routes());
    let status = |path: &'static str, chunks: &'static [&'static str]| async move {
        call(limited(), streamed(path, chunks)).await.status()
    };
    assert_eq!(status("/upload", &["1234567890", "1234567890"]).await, 200);
    assert_eq!(
        status("/upload", &["1234567890", "1234567890", "1"]).await,
        413
    );
    assert_eq!(status("/ping", &["1"]).await, 413);
    assert_eq!(status("/ping", &[]).await, 200);
    assert_eq!(status("/else", &["1234567890", "1"]).await, 413);
    assert_eq!(
        code_with(limited(), post("/upload").header("content-length", "20")).await,
        None
    );
    assert_eq!(
        code_with(limited(), post("/upload").header("content-length", "21")).await,
        TOO_LARGE
    );
}

// Claimed identities

#[tokio::test]
async fn claimed_identities_are_taken_off_and_kept_in_the_trail() {
    let names = [
        "X-Forwarded-User",
        "x_forwarded_user",
        "X-Forwarded-Client-Cert",
        "client_cert",
        "X-Auth-Request-Email",
        "x-service-name",
        "Forwarded",
        "REMOTE_USER",
    ];
    let request = names
        .iter()
        .fold(get("/"), |builder, name| builder.header(*name, "mallory"));
    let request = request
        .header("x-forwarded-user", "eve")
        .header("authorization", "Bearer x")
        .header("x-request-id", "7");
    let response = call(config(), empty(request)).await;
    let seen: &Seen = response.extensions().get().unwrap();
    let mut left: Vec<_> = seen.headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["authorization", "host", "x-request-id"]);
    let claimed = seen.cx.trail().claimed();
    assert_eq!(claimed.all("x-forwarded-user").count(), 2);
    assert_eq!(claimed.names().count(), names.len() + 1);
}

#[tokio::test]
async fn names_that_the_stack_adds_are_taken_off_too() {
    let names = ClaimedNames::default()
        .insecure_without("x-user-id")
        .with("acting-as");
    let settings = Arc::new(Settings::default().with_claimed_names(names));
    let layer = ValidateRequestLayer::new(config()).unwrap();
    let gate = GateLayer::<_, Replace>::with_mode(BodyLink::new(Root, layer), settings);
    let request = get("/")
        .header("acting_as", "root")
        .header("x-user-id", "7");
    let response = finish(
        gate.layer(service_fn(handler::<Full<Bytes>>)),
        empty(request),
    )
    .await;
    let seen: &Seen = response.extensions().get().unwrap();
    let mut left: Vec<_> = seen.headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["host", "x-user-id"]);
}

// Observing

#[tokio::test]
async fn a_stack_that_observes_strips_claims_and_cuts_nothing() {
    let clock = ManualClock::default();
    let until = clock.now().unwrap() + Duration::from_secs(60);
    let settings = Settings::default()
        .with_clock(clock)
        .insecure_observe_only(until);
    let layer = ValidateRequestLayer::new(config().body_bytes(2)).unwrap();
    let gate = GateLayer::<_, Replace>::with_mode(BodyLink::new(Root, layer), Arc::new(settings));

    let mut request = streamed("/a/../b", &["123"]);
    request
        .headers_mut()
        .insert("x-forwarded-user", "mallory".parse().unwrap());
    let response = finish(gate.layer(service_fn(handler)), request).await;
    assert_eq!(response.status(), 200);
    let seen: &Seen = response.extensions().get().unwrap();
    assert_eq!(
        seen.cx.trail().would_deny().unwrap().code(),
        Code::RequestMalformed
    );
    assert!(!seen.headers.contains_key("x-forwarded-user"));

    let response = finish(gate.layer(service_fn(handler)), streamed("/b", &["123"])).await;
    let seen: &Seen = response.extensions().get().unwrap();
    assert_eq!(seen.body.as_deref(), Ok(&b"123"[..]));
}

// Order and configuration

#[tokio::test]
async fn refuses_to_stand_after_authentication() {
    let layer = ValidateRequestLayer::new(config()).unwrap();
    let chain = Link::first(crate::authenticate::InsecureAnonymous);
    let gate =
        GateLayer::<_, Replace>::with_mode(BodyLink::new(chain, layer), Settings::shared_default());
    let response = finish(
        gate.layer(service_fn(handler::<Full<Bytes>>)),
        empty(get("/")),
    )
    .await;
    let denial: &Denial = response.extensions().get().unwrap();
    assert_eq!(denial.code(), Code::StackMisordered);
    // A function may stand before it.
    let layer = ValidateRequestLayer::new(config()).unwrap();
    let chain = Link::first(FnCheck::new(
        |_: &mut http::request::Parts, _: &mut SecurityContext| Ok(()),
    ));
    let gate =
        GateLayer::<_, Replace>::with_mode(BodyLink::new(chain, layer), Settings::shared_default());
    let response = finish(
        gate.layer(service_fn(handler::<Full<Bytes>>)),
        empty(get("/")),
    )
    .await;
    assert_eq!(response.status(), 200);
}

#[test]
fn configurations_that_refuse_everything_are_errors() {
    let error = |config: ValidateRequestConfig| ValidateRequestLayer::new(config).unwrap_err();
    assert_eq!(
        error(config().uri_bytes(0)),
        ValidateRequestError::ZeroLimit("uri_bytes")
    );
    assert_eq!(
        error(config().header_count(0)),
        ValidateRequestError::ZeroLimit("header_count")
    );
    assert_eq!(
        error(config().header_bytes(0)),
        ValidateRequestError::ZeroLimit("header_bytes")
    );
    assert_eq!(
        error(config().header_value_bytes(0)),
        ValidateRequestError::ZeroLimit("header_value_bytes")
    );
    assert_eq!(
        error(config().methods([])),
        ValidateRequestError::EmptyList("methods")
    );
    assert_eq!(
        error(config().hosts::<&str>([])),
        ValidateRequestError::EmptyList("hosts")
    );
    assert_eq!(
        error(config().hosts(["https://a"])),
        ValidateRequestError::Host("https://a".to_owned())
    );
    let read = |json: &str| serde_json::from_str::<ValidateRequestConfig>(json);
    assert_eq!(
        error(read(r#"{"methods": ["GE T"]}"#).unwrap()),
        ValidateRequestError::Method("GE T".to_owned())
    );
    assert!(read(r#"{"body_byte": 1}"#).is_err());
    assert!(ValidateRequestLayer::new(read("{}").unwrap()).is_ok());
}

/// axum's own routes take the body that the layer hands on.
#[tokio::test]
async fn wraps_an_axum_router() {
    let router = axum::Router::new()
        .route(
            "/echo",
            axum::routing::post(|body: String| async move { body }),
        )
        .layer(ValidateRequestLayer::new(config().body_bytes(4)).unwrap());
    let send = |body: &'static str| {
        let frames = [Ok::<_, BoxError>(Bytes::from(body))];
        let body = axum::body::Body::from_stream(stream::iter(frames));
        router.clone().oneshot(post("/echo").body(body).unwrap())
    };
    let response = send("1234").await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "1234"
    );
    assert_eq!(send("12345").await.unwrap().status(), 413);
}
