//! What a stranger can write in the place of a path, a method and a host, over real sockets and a real
//! router: nothing passes that a plain reading of the policy denies.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails panics"
)]

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Request,
    response::IntoResponse,
    routing::{any, get},
};
use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use zt_core::{
    authenticate::InsecureAnonymous,
    authorize::AuthorizeLayer,
    gate::{GateLayer, Link, Settings},
    policy::{CompiledPolicy, PolicyOptions},
    stack::ZeroTrust,
    state::RouteRule,
    validate::ValidateRequestLayer,
};

const POLICY: &str = r#"
policy = "paths"
version = "1"

[[rule]]
id = "no-admin"
effect = "deny"
paths = ["/admin", "/admin/{rest..}", "/api/admin", "/api/admin/{rest..}"]

[[rule]]
id = "no-reading"
effect = "deny"
methods = ["GET"]
path = "/secret"

[[rule]]
id = "open"
effect = "allow"
methods = ["GET", "HEAD", "POST"]
paths = ["/open", "/open/{id}", "/files/{rest..}", "/api/{rest..}", "/secret", "/shop.Orders/{call}"]

[[rule]]
id = "readonly"
effect = "allow"
methods = ["GET"]
path = "/readonly"
"#;

/// The policy, as somebody reads it who has not seen the code.
fn plainly_denied(method: &str, path: &str) -> bool {
    let below = |folder: &str| {
        path == folder
            || path
                .strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    below("/admin")
        || below("/api/admin")
        || (path == "/secret" && ["GET", "HEAD"].contains(&method))
}

fn plainly_allowed(method: &str, path: &str) -> bool {
    let one_below = |folder: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
    };
    let open = path == "/open"
        || path == "/secret"
        || one_below("/open/")
        || one_below("/shop.Orders/")
        || path.starts_with("/files/")
        || path.starts_with("/api/");
    (open && ["GET", "HEAD", "POST"].contains(&method)) || (method == "GET" && path == "/readonly")
}

/// Every path that somebody might take a target for: decoded, decoded again, backslashes as slashes, dots
/// resolved, empty segments left out, in any combination.
fn readings(target: &str) -> Vec<String> {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let path = path.split(['?', '#']).next().unwrap();
    let mut all = Vec::new();
    let mut decoded = path.as_bytes().to_vec();
    for _ in 0..4 {
        let text = String::from_utf8_lossy(&decoded).into_owned();
        for slashes in [text.clone(), text.replace('\\', "/")] {
            for merged in [false, true] {
                for resolved in [false, true] {
                    all.push(read_as(&slashes, merged, resolved));
                }
            }
        }
        decoded = decode(&decoded);
    }
    all
}

fn read_as(path: &str, merged: bool, resolved: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "" if merged => {}
            "." if resolved => {}
            ".." if resolved => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut left = bytes;
    while let Some((first, rest)) = left.split_first() {
        let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                decoded.push(byte);
                left = &rest[2..];
            }
            _ => {
                decoded.push(*first);
                left = rest;
            }
        }
    }
    // What takes overlong forms for what they stand for, and NUL for the end.
    let text: Vec<u8> = decoded.split(|byte| *byte == 0).next().unwrap().to_vec();
    let text = replace(&text, &[0xc0, 0xae], b".");
    replace(&text, &[0xc0, 0xaf], b"/")
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut left = text;
    while !left.is_empty() {
        if let Some(rest) = left.strip_prefix(from) {
            replaced.extend_from_slice(to);
            left = rest;
        } else {
            replaced.push(left[0]);
            left = &left[1..];
        }
    }
    replaced
}

async fn handle(name: &'static str, request: Request) -> impl IntoResponse {
    let method = request.method().to_string();
    [("x-handler", name.to_owned()), ("x-method", method)]
}

fn says(name: &'static str) -> axum::routing::MethodRouter {
    any(move |request: Request| handle(name, request))
}

fn inner() -> Router {
    Router::new()
        .route("/open", says("api open"))
        .route("/admin", says("api admin"))
        .route("/admin/{*rest}", says("api admin"))
        .fallback(|request: Request| handle("api fallback", request))
}

fn application() -> Router {
    Router::new()
        .route("/open", says("open"))
        .route("/open/{id}", says("open"))
        .route("/files/{*rest}", says("files"))
        .route("/admin", says("admin"))
        .route("/admin/{*rest}", says("admin"))
        .route("/secret", says("secret"))
        .route(
            "/readonly",
            get(|request: Request| handle("readonly", request)),
        )
        .route("/shop.Orders/{call}", says("orders"))
        .nest("/api", inner())
        .fallback(|request: Request| handle("fallback", request))
}

fn policy(text: &str) -> CompiledPolicy {
    CompiledPolicy::from_toml(text, &PolicyOptions::new()).unwrap()
}

macro_rules! alone {
    ($text:expr) => {
        GateLayer::new(
            Link::first(InsecureAnonymous).then(AuthorizeLayer::new(policy($text))),
            Settings::shared_default(),
        )
    };
}

macro_rules! stack {
    ($text:expr, $validate:expr) => {
        ZeroTrust::builder()
            .without_audit()
            .validate($validate)
            .insecure_anonymous()
            .authorize(AuthorizeLayer::new(policy($text)))
            .build()
            .unwrap()
    };
}

macro_rules! serve {
    ($service:expr) => {{
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = $service.into_make_service_with_connect_info();
        tokio::spawn(async move { axum::serve(listener, service).await });
        address
    }};
}

/// The application, guarded in different places; the last one guards what is nested under `/api` alone.
async fn guarded(text: &str) -> Vec<(&'static str, SocketAddr)> {
    let open = ValidateRequestLayer::insecure_accept_anything;
    vec![
        (
            "wrapped, requests validated",
            serve!(stack!(text, ValidateRequestLayer::default()).wrap(application())),
        ),
        (
            "wrapped, nothing validated",
            serve!(stack!(text, open()).wrap(application())),
        ),
        (
            "Router::layer, last",
            plainly(application().layer(alone!(text))).await,
        ),
        (
            "Router::layer with a whole stack",
            plainly(application().layer(stack!(text, open()))).await,
        ),
        (
            "inside a nested router",
            plainly(Router::new().nest("/api", inner().layer(alone!(text)))).await,
        ),
        (
            "nested twice, guarded inside",
            plainly(Router::new().nest(
                "/api",
                Router::new().nest("/admin", inner().layer(alone!(text))),
            ))
            .await,
        ),
        (
            // `Router::layer` does not see them; what wraps the whole does.
            "wrapped, with a route behind a layer",
            serve!(
                stack!(text, open()).wrap(
                    application()
                        .layer(tower::layer::util::Identity::new())
                        .route("/late", says("late"))
                )
            ),
        ),
    ]
}

async fn plainly(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Which handler ran, and which method it saw.
    handler: Option<String>,
    method: Option<String>,
}

/// Sends the bytes as they are.
async fn send(address: SocketAddr, method: &str, target: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n").into_bytes();
    for header in headers {
        request.extend_from_slice(header.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // A server that refuses a head may reset the connection behind its answer.
    let _ = tokio::time::timeout(Duration::from_secs(60), read)
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(": ")?.1.to_owned())
    };
    Answer {
        status: text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{method} {target}: {text:?}")),
        handler: field("x-handler"),
        method: field("x-method"),
    }
}

const HOST: &[&str] = &["host: shop.example"];

/// Asserts that what passed may pass, however the target is read.
fn check(at: &str, method: &str, target: &str, answer: &Answer) {
    let Some(handler) = &answer.handler else {
        assert_ne!(answer.status, 200, "{at}: {method} {target}");
        return;
    };
    let what = format!("{at}: {method} {target} reached `{handler}`");
    assert!(!handler.contains("admin") && handler != "late", "{what}");
    let readings = readings(target);
    assert!(plainly_allowed(method, &readings[0]), "{what}");
    for reading in readings {
        assert!(
            !plainly_denied(method, &reading),
            "{what}, read as {reading}"
        );
    }
    assert_eq!(answer.method.as_deref(), Some(method), "{what}");
}

#[tokio::test]
async fn each_way_to_write_a_path_is_answered_as_the_table_says() {
    const PASS: &[u16] = &[200];
    const DENY: &[u16] = &[403];
    // Not canonical: by validation, by the policy, or by the server before both.
    const BAD: &[u16] = &[400];
    let guarded = guarded(POLICY).await;
    for (method, target, expected) in [
        ("GET", "/open", PASS),
        ("GET", "/open/7", PASS),
        ("GET", "/open?next=/../admin", PASS),
        ("GET", "/files/a/b.txt", PASS),
        ("GET", "/files/admin", PASS),
        ("GET", "/files/caf%C3%A9", PASS),
        ("POST", "/shop.Orders/List", PASS),
        ("GET", "/api/open", PASS),
        ("GET", "/api/anything/else", PASS),
        // Cases are different names, and no handler of `/admin`.
        ("GET", "/api/ADMIN/x", PASS),
        // What stands behind `;` is a part of the name, as it is for routers.
        ("GET", "/api/admin;v=1/x", PASS),
        ("GET", "http://shop.example/open", PASS),
        ("GET", "http://shop.example/admin", DENY),
        ("GET", "http://shop.example/api/admin/x", DENY),
        ("GET", "http://shop.example", DENY),
        ("GET", "/", DENY),
        ("GET", "/admin", DENY),
        ("GET", "/admin?x", DENY),
        ("GET", "/admin/", DENY),
        ("GET", "/admin/x/y", DENY),
        ("GET", "/admin;v=1", DENY),
        ("GET", "/ADMIN", DENY),
        ("GET", "/api/admin", DENY),
        ("GET", "/api/admin/", DENY),
        ("GET", "/api/admin/x", DENY),
        ("GET", "/open/", DENY),
        ("GET", "/open/7/", DENY),
        ("GET", "/open/7/x", DENY),
        ("GET", "/files", DENY),
        ("GET", "/Open", DENY),
        ("GET", "/late", DENY),
        ("GET", "/nowhere", DENY),
        ("PUT", "/open", DENY),
        // Some readers take it for GET.
        ("get", "/open", BAD),
        ("Post", "/open", BAD),
        ("BREW", "/open", DENY),
        // HEAD runs the handlers of GET: what denies GET denies it; what allows GET does not allow it.
        ("HEAD", "/open", PASS),
        ("GET", "/secret", DENY),
        ("HEAD", "/secret", DENY),
        ("POST", "/secret", PASS),
        ("GET", "/readonly", PASS),
        ("HEAD", "/readonly", DENY),
        ("TRACE", "/open", &[400, 403]),
        ("CONNECT", "shop.example:443", BAD),
        ("OPTIONS", "*", BAD),
        ("GET", "*", BAD),
        ("GET", "//admin", BAD),
        ("GET", "//open", BAD),
        ("GET", "/open//7", BAD),
        ("GET", "/api//admin/x", BAD),
        ("GET", "/./admin", BAD),
        ("GET", "/open/../admin", BAD),
        ("GET", "/open/..", BAD),
        ("GET", "/open/..;/admin", BAD),
        ("GET", "/files/..", BAD),
        ("GET", "/files/%2e%2e/admin", BAD),
        ("GET", "/files/%2E%2E/admin", BAD),
        ("GET", "/files/.%2e/admin", BAD),
        ("GET", "/files/..%2fadmin", BAD),
        ("GET", "/files/..%5cadmin", BAD),
        ("GET", "/files/..\\admin", BAD),
        ("GET", "\\admin", BAD),
        ("GET", "/open%2f..%2fadmin", BAD),
        ("GET", "/open%2F7", BAD),
        ("GET", "/open/%00", BAD),
        ("GET", "/open%00/../admin", BAD),
        ("GET", "/open/%0d%0a", BAD),
        ("GET", "/%61dmin", BAD),
        ("GET", "/api/%61dmin/x", BAD),
        ("GET", "/files/%252e%252e/admin", BAD),
        ("GET", "/files/%252fadmin", BAD),
        ("GET", "/files/%25%32%65%25%32%65/admin", BAD),
        ("GET", "/files/%c0%ae%c0%ae/admin", BAD),
        ("GET", "/files/%c0%afadmin", BAD),
        ("GET", "/files/%e0%80%af", BAD),
        ("GET", "/files/%ff", BAD),
        ("GET", "/files/%", BAD),
        ("GET", "/files/%2", BAD),
        ("GET", "/files/%zz", BAD),
        ("GET", "/files/\u{e9}", BAD),
    ] {
        for (at, address) in &guarded {
            if at.contains("nested") {
                continue;
            }
            let answer = send(*address, method, target, HOST).await;
            check(at, method, target, &answer);
            assert!(
                expected.contains(&answer.status),
                "{at}: {method} {target}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_layer_inside_a_nested_router_reads_the_url_that_was_asked_for() {
    let guarded = guarded(POLICY).await;
    let inside = guarded.iter().filter(|(at, _)| at.contains("nested"));
    for (at, address) in inside {
        for target in [
            "/api/admin/x",
            "/api/admin/open",
            "/api/admin/admin/x",
            "/api/admin/",
        ] {
            let answer = send(*address, "GET", target, HOST).await;
            assert!(
                [403, 404].contains(&answer.status),
                "{at}: {target}: {answer:?}"
            );
            check(at, "GET", target, &answer);
        }
    }
    let (_, nested) = guarded
        .iter()
        .find(|(at, _)| *at == "inside a nested router")
        .unwrap();
    for (target, expected) in [
        ("/api/open", 200),
        ("/api/x", 200),
        ("/api/admin/x", 403),
        ("/open", 404),
    ] {
        let answer = send(*nested, "GET", target, HOST).await;
        assert_eq!(answer.status, expected, "{target}");
    }
    // `/open` is what the router leaves of it; asked for was what is denied.
    let (_, twice) = guarded.iter().find(|(at, _)| at.contains("twice")).unwrap();
    assert_eq!(
        send(*twice, "GET", "/api/admin/open", HOST).await.status,
        403
    );
}

#[tokio::test]
async fn a_method_that_a_header_claims_is_not_read() {
    for (at, address) in guarded(POLICY).await {
        if at.contains("nested") {
            continue;
        }
        let with = |header| [HOST, &[header]].concat();
        for header in [
            "x-http-method-override: POST",
            "x-http-method: POST",
            "x-method-override: POST",
        ] {
            let answer = send(address, "GET", "/secret", &with(header)).await;
            assert!([400, 403].contains(&answer.status), "{at}: {header}");
        }
        // Validation refuses such headers altogether.
        if at.contains("validated") && !at.contains("nothing") {
            continue;
        }
        let answer = send(
            address,
            "POST",
            "/secret?_method=GET",
            &with("x-http-method-override: GET"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.method.as_deref()),
            (200, Some("POST")),
            "{at}"
        );
    }
}

#[tokio::test]
async fn nothing_that_is_pieced_together_passes_against_a_plain_reading() {
    let guarded = guarded(POLICY).await;
    let (mut passed, mut refused) = (0, 0);
    let starts = [
        "/",
        "/open",
        "/files/x",
        "/api",
        "/api/x",
        "http://shop.example/files",
    ];
    let between = [
        "/",
        "//",
        "/./",
        "/../",
        "/x/../",
        "/%2e/",
        "/%2e%2e/",
        "%2f",
        "%2F..%2F",
        "\\",
        "%5c..%5c",
        "/;/",
        "/..;/",
        "/%252e%252e/",
        "/%c0%ae%c0%ae/",
        "%00/",
    ];
    let ends = [
        "admin", "admin/", "Admin", "%61dmin", "admin%20", "admin;x", "secret", "7",
    ];
    for start in starts {
        for between in between {
            for end in ends {
                let target = format!("{start}{between}{end}");
                // One after another: each place guards the same application.
                let (at, address) = &guarded[(passed + refused) % guarded.len()];
                let method = ["GET", "HEAD", "POST"][(passed + refused) % 3];
                let answer = send(*address, method, &target, HOST).await;
                check(at, method, &target, &answer);
                match answer.handler {
                    Some(_) => passed += 1,
                    None => refused += 1,
                }
            }
        }
    }
    assert!(
        passed > 20 && refused > 500,
        "{passed} passed, {refused} refused"
    );
}

const HOSTS: &str = r#"
policy = "hosts"
version = "1"

[[rule]]
id = "not-here"
effect = "deny"
hosts = ["admin.example", "*.admin.example", "[::1]"]

[[rule]]
id = "open"
effect = "allow"
methods = ["GET"]
path = "/open"
"#;

#[tokio::test]
async fn a_host_that_nobody_can_read_does_not_pass_a_rule_that_denies_hosts() {
    for (at, address) in guarded(HOSTS).await {
        if at.contains("nested") {
            continue;
        }
        for (target, headers, expected) in [
            ("/open", &["host: shop.example"][..], 200),
            ("/open", &["host: shop.example:8080"], 200),
            ("/open", &["host: admin.example"], 403),
            ("/open", &["host: ADMIN.example"], 403),
            ("/open", &["host: admin.example:443"], 403),
            ("/open", &["host: admin.example."], 403),
            ("/open", &["host: x.y.admin.example"], 403),
            ("/open", &["host: [::1]"], 403),
            ("/open", &["host: [::1]:80"], 403),
            ("http://admin.example/open", &["host: admin.example"], 403),
            ("http://admin.example/open", &["host: shop.example"], 400),
            ("http://shop.example/open", &["host: admin.example"], 400),
            ("http://x@admin.example/open", &["host: admin.example"], 400),
            ("/open", &[], 400),
            ("/open", &["host:"], 400),
            ("/open", &["host: [0:0:0:0:0:0:0:1]"], 400),
            ("/open", &["host: admin.example, shop.example"], 400),
            ("/open", &["host: x@admin.example"], 400),
            ("/open", &["host: admin.example/x"], 400),
            ("/open", &["host: admin..example"], 400),
            ("/open", &["host: shop.example", "host: admin.example"], 400),
            ("/open", &["host: shop.example", "host: shop.example"], 400),
        ] {
            let answer = send(address, "GET", target, headers).await;
            assert_eq!(answer.status, expected, "{at}: {target} {headers:?}");
        }
    }
}

#[tokio::test]
async fn what_a_route_lets_pass_passes_the_policy_too() {
    let text = r#"
policy = "projects"
version = "1"

[[rule]]
id = "projects"
effect = "allow"
path = "/projects/{id}"
"#;
    let router = Router::new().route("/projects/{id}", says("project"));
    let zt = ZeroTrust::builder()
        .without_audit()
        .route(RouteRule::new(Method::GET, "/projects/{id}").allow_encoded_slash())
        .insecure_anonymous()
        .authorize(AuthorizeLayer::new(policy(text)))
        .build()
        .unwrap();
    let address = serve!(zt.wrap(router));
    for (method, target, expected) in [
        ("GET", "/projects/group%2Fname", 200),
        ("GET", "/projects/..%2Fname", 400),
        ("GET", "/projects/a%5Cname", 400),
        ("POST", "/projects/group%2Fname", 400),
        ("GET", "/projects//name", 400),
    ] {
        let answer = send(address, method, target, HOST).await;
        assert_eq!(answer.status, expected, "{method} {target}");
    }
}
