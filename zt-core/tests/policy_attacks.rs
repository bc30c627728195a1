//! What a stranger can send, and what can happen to a file, against policies in the place where they
//! stand: over real sockets, before a handler that reads what it was sent.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::Request, routing::any};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use zt_core::{
    authorize::AuthorizeLayer,
    clock::{Clock, SystemClock},
    policy::{CompiledPolicy, LivePolicy, PolicyOptions, Question},
    stack::ZeroTrust,
    validate::ValidateRequestLayer,
};

/// An application behind `policy`, which looks at nothing else; the handler answers with what it was
/// sent.
async fn guarded(policy: &str) -> SocketAddr {
    let policy = CompiledPolicy::from_toml(policy, &PolicyOptions::new()).unwrap();
    let stack = ZeroTrust::builder()
        .without_audit()
        .validate(ValidateRequestLayer::insecure_accept_anything())
        .insecure_anonymous()
        .authorize(AuthorizeLayer::new(policy))
        .build()
        .unwrap();
    let echo = |request: Request| async {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
        body.unwrap_or_default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = stack.wrap(Router::new().fallback(any(echo)));
    let service = service.into_make_service_with_connect_info();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Sends the bytes as they are; the status, and what the handler was sent.
async fn send(address: SocketAddr, request: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(60), read)
        .await
        .unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.unwrap_or(answer.len()));
    let head = String::from_utf8_lossy(head);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = body.strip_prefix(b"\r\n\r\n").unwrap_or_default();
    (status.unwrap_or_else(|| panic!("{head:?}")), body.to_vec())
}

const HOSTS: &str = r#"
[[rule]]
id = "no-admin"
effect = "deny"
hosts = ["admin.example", "*.admin.example"]

[[rule]]
id = "open"
effect = "allow"
path = "/{rest..}"
"#;

#[tokio::test]
async fn a_host_field_beside_another_authority_slips_by_no_rule_over_http2() {
    let address = guarded(HOSTS).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    for (authority, host, expected) in [
        ("shop.example", None, 200),
        ("shop.example", Some("shop.example"), 200),
        ("shop.example:8080", None, 200),
        ("admin.example", None, 403),
        ("ADMIN.example", None, 403),
        ("admin.example:80", None, 403),
        ("admin.example.", None, 403),
        ("a.b.admin.example", None, 403),
        ("shop.example", Some("admin.example"), 400),
        ("admin.example", Some("shop.example"), 400),
        ("shop.example", Some(""), 400),
        ("shop.example", Some("admin.example, shop.example"), 400),
    ] {
        let mut request = http::Request::get(format!("http://{authority}/x"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), expected, "{authority} {host:?}");
    }
}

#[tokio::test]
async fn a_host_in_an_odd_spelling_slips_by_no_rule() {
    let address = guarded(HOSTS).await;
    for (target, hosts, expected) in [
        ("/x", &["shop.example"][..], 200),
        ("/x", &["Admin.Example"], 403),
        ("/x", &["admin.example:443"], 403),
        ("/x", &["admin.example."], 403),
        ("/x", &["admin.example.:80"], 403),
        ("/x", &["x.admin.example"], 403),
        ("/x", &["admin.example.."], 400),
        ("/x", &["admin.example:"], 400),
        ("/x", &["admin%2eexample"], 400),
        ("/x", &["shop.example@admin.example"], 400),
        ("/x", &["admin.example#shop.example"], 400),
        ("/x", &["admin.example/shop.example"], 400),
        ("/x", &["shop.example", "admin.example"], 400),
        ("/x", &["admin.example", "admin.example"], 400),
        ("/x", &[], 400),
        ("http://admin.example/x", &["admin.example"], 403),
        ("http://admin.example/x", &["shop.example"], 400),
        ("http://shop.example/x", &["admin.example"], 400),
        ("http://user@admin.example/x", &["shop.example"], 400),
    ] {
        let mut request = format!("GET {target} HTTP/1.1\r\nconnection: close\r\n");
        for host in hosts {
            request.push_str(&format!("host: {host}\r\n"));
        }
        let (status, _) = send(address, format!("{request}\r\n").as_bytes()).await;
        // `name:` is an empty port, which is no port (RFC 3986 section 3.2.3).
        let expected: &[u16] = match hosts {
            ["admin.example:"] => &[400, 403],
            _ => &[expected],
        };
        assert!(expected.contains(&status), "{target} {hosts:?}: {status}");
    }
}

#[tokio::test]
async fn a_method_in_small_letters_slips_by_no_rule_that_denies_it() {
    const POLICY: &str = r#"
[[rule]]
id = "no-deleting"
effect = "deny"
methods = ["DELETE", "GET"]
path = "/orders/{id}"

[[rule]]
id = "orders"
effect = "allow"
path = "/orders/{rest..}"
"#;
    let address = guarded(POLICY).await;
    for (method, expected) in [
        ("PUT", 200),
        ("PURGE", 200),
        ("DELETE", 403),
        ("GET", 403),
        ("HEAD", 403),
        ("delete", 400),
        ("Delete", 400),
        ("DELETe", 400),
        ("get", 400),
        ("head", 400),
        ("put", 400),
    ] {
        let request =
            format!("{method} /orders/7 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let (status, _) = send(address, request.as_bytes()).await;
        assert_eq!(status, expected, "{method}");
    }
}

const CHARGE: &str = r#"
[[rule]]
id = "charge"
effect = "allow"
methods = ["POST"]
path = "/charge"
body = { amount = "integer" }
when = "context.body.amount > 0 && context.body.amount < 10000"
"#;

/// A head, and what stands behind it, as they are.
fn charge(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /charge HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n{fields}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn chunked(chunks: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

#[tokio::test]
async fn however_a_body_is_sent_the_handler_gets_the_amount_that_was_decided_about() {
    let address = guarded(CHARGE).await;
    let utf16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let small: &[u8] = br#"{"amount":9999}"#;
    let json = "content-type: application/json";
    let length = |fields: &str, body: &[u8]| {
        charge(&format!("{fields}\r\ncontent-length: {}", body.len()), body)
    };
    let in_chunks = |chunks: &[&[u8]]| {
        charge(
            &format!("{json}\r\ntransfer-encoding: chunked"),
            &chunked(chunks),
        )
    };
    let with = |fields: &str| length(&format!("{json}\r\n{fields}"), small);
    let typed = |kind: &str| length(&format!("content-type: {kind}"), small);
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("plainly", length(json, small), 200),
        (
            "in chunks, without a length",
            in_chunks(&[b"{\"amo", b"unt\":9", b"999}"]),
            200,
        ),
        (
            "in chunks that add a digit",
            in_chunks(&[b"{\"amount\":999", b"9", b"9}"]),
            403,
        ),
        (
            "a second text in another chunk",
            in_chunks(&[small, br#"{"amount":99999}"#]),
            400,
        ),
        ("no chunks at all", in_chunks(&[]), 400),
        (
            "a length of nothing",
            charge(&format!("{json}\r\ncontent-length: 0"), b""),
            400,
        ),
        ("neither length nor chunks", charge(json, small), 400),
        (
            "more than its length",
            charge(
                &format!("{json}\r\ncontent-length: 15"),
                br#"{"amount":9999}99"#,
            ),
            200,
        ),
        ("an exponent", length(json, br#"{"amount":1e4}"#), 422),
        ("a small exponent", length(json, br#"{"amount":1e1}"#), 422),
        ("minus nothing", length(json, br#"{"amount":-0}"#), 422),
        ("below nothing", length(json, br#"{"amount":-1}"#), 403),
        ("too much", length(json, br#"{"amount":10000}"#), 403),
        (
            "twice",
            length(json, br#"{"amount":1,"amount":99999}"#),
            400,
        ),
        (
            "twice, escaped",
            length(json, br#"{"amount":99999,"\u0061mount":1}"#),
            400,
        ),
        (
            "behind a mark",
            length(json, b"\xef\xbb\xbf{\"amount\":1}"),
            400,
        ),
        ("in UTF-16", length(json, &utf16(r#"{"amount":1}"#)), 400),
        ("in UTF-7", length(json, b"+AHsAIg-amount+ACI:1+AH0-"), 400),
        ("with NUL behind it", length(json, b"{\"amount\":1}\0"), 400),
        (
            "a comment",
            length(json, br#"{"amount":1/*,"amount":99999*/}"#),
            400,
        ),
        ("a list of it", length(json, br#"[{"amount":1}]"#), 400),
        ("encoded", with("content-encoding: gzip"), 400),
        ("encoded as itself", with("content-encoding: identity"), 400),
        ("two types", with("content-type: text/plain"), 400),
        (
            "the same type twice",
            with("content-type: application/json"),
            400,
        ),
        ("no type", length("x: y", small), 400),
        ("an empty type", typed(""), 400),
        ("a form", typed("application/x-www-form-urlencoded"), 400),
        ("a text", typed("text/json"), 400),
        (
            "a list of types",
            typed("application/json, text/plain"),
            400,
        ),
        (
            "in parts",
            typed("multipart/form-data; boundary=amount"),
            400,
        ),
        (
            "with its charset",
            typed("Application/JSON; Charset=\"UTF-8\""),
            200,
        ),
        (
            "another charset",
            typed("application/json; charset=utf-16"),
            400,
        ),
        (
            "two charsets",
            typed("application/json; charset=utf-8; charset=utf-7"),
            400,
        ),
        (
            "another parameter",
            typed("application/json; profile=x"),
            400,
        ),
        ("a problem", typed("application/problem+json"), 200),
    ];
    for (what, request, expected) in cases {
        let (status, seen) = send(address, &request).await;
        assert_eq!(
            status,
            expected,
            "{what}: {}",
            String::from_utf8_lossy(&seen)
        );
        if status == 200 {
            let seen = String::from_utf8(seen).unwrap();
            assert!(seen.contains("{\"amount\":9999}"), "{what}: {seen}");
        }
    }
}

/// A folder that is gone after its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zt-policy-attacks-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn edition(version: u32, dry_run: bool) -> String {
    format!(
        "policy = \"shop\"\nversion = \"{version}\"\n\
         [[rule]]\nid = \"read\"\neffect = \"allow\"\ndry_run = {dry_run}\npath = \"/v{version}\"\n\
         [cedar]\nfiles = [\"shop.cedar\"]\n"
    )
}

const NO_PUT: &str = "@id(\"no-put\") forbid(principal, action, resource) \
                      when { context.request.method == \"PUT\" };";

async fn permits(policy: &LivePolicy, request: &str) -> bool {
    let answer = policy.current().ask(&Question::new(request)).await;
    answer.unwrap().is_permitted()
}

/// Each is something that happens to files, and what is in force afterwards: `None` is what was.
#[cfg(unix)]
#[tokio::test]
async fn whatever_happens_to_its_files_the_last_good_policy_decides() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    let place = |name: &str| folder.0.join(name);
    let lay = |folder: &Path, version: u32| {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("policy.toml"), edition(version, false)).unwrap();
        fs::write(folder.join("shop.cedar"), NO_PUT).unwrap();
    };
    // As an orchestrator mounts them: links to a link to a folder, which is swapped at once.
    let swap = |to: &str| {
        let _ = fs::remove_file(place("next"));
        symlink(to, place("next")).unwrap();
        fs::rename(place("next"), place("now")).unwrap();
    };
    for version in 1..=3 {
        lay(&place(&format!("v{version}")), version);
    }
    swap("v1");
    for name in ["policy.toml", "shop.cedar"] {
        symlink(Path::new("now").join(name), place(name)).unwrap();
    }
    let policy = LivePolicy::open(place("policy.toml"), PolicyOptions::new()).unwrap();
    let mut in_force = 1;
    let (main, beside) = (|| place("v2/policy.toml"), || place("v2/shop.cedar"));
    let again = || lay(&place("v2"), 2);
    type Happens<'a> = Box<dyn Fn() + 'a>;
    let happens: Vec<(&str, Happens<'_>, Option<u32>)> = vec![
        ("another folder", Box::new(|| swap("v2")), Some(2)),
        (
            "it is gone",
            Box::new(|| fs::remove_file(main()).unwrap()),
            None,
        ),
        ("it is back", Box::new(again), Some(2)),
        (
            "what it names is gone",
            Box::new(|| fs::remove_file(beside()).unwrap()),
            None,
        ),
        ("the link leads nowhere", Box::new(|| swap("v9")), None),
        ("the folder before", Box::new(|| swap("v1")), Some(1)),
        (
            "the other one again",
            Box::new(|| (again(), swap("v2")).1),
            Some(2),
        ),
        (
            "it is empty",
            Box::new(|| fs::write(main(), "").unwrap()),
            None,
        ),
        (
            "nothing but dry run",
            Box::new(|| {
                fs::write(
                    main(),
                    edition(7, true).replace("[cedar]\nfiles = [\"shop.cedar\"]\n", ""),
                )
                .unwrap()
            }),
            None,
        ),
        (
            "half of it",
            Box::new(|| {
                let text = edition(7, false);
                let half = text.split("/v7").next().unwrap();
                fs::write(main(), half).unwrap();
            }),
            None,
        ),
        (
            "not UTF-8",
            Box::new(|| fs::write(main(), b"policy = \"\xff\"").unwrap()),
            None,
        ),
        (
            "larger than it may be",
            Box::new(|| {
                fs::write(main(), edition(7, false)).unwrap();
                let file = fs::File::options().write(true).open(main()).unwrap();
                file.set_len(1 << 40).unwrap();
            }),
            None,
        ),
        (
            "a folder in its place",
            Box::new(|| {
                fs::remove_file(main()).unwrap();
                fs::create_dir(main()).unwrap();
            }),
            None,
        ),
        (
            "a device in its place",
            Box::new(|| {
                fs::remove_dir(main()).unwrap();
                symlink("/dev/zero", main()).unwrap();
            }),
            None,
        ),
        (
            "a loop",
            Box::new(|| {
                fs::remove_file(main()).unwrap();
                symlink("policy.toml", main()).unwrap();
            }),
            None,
        ),
        (
            "it is back once more",
            Box::new(|| (fs::remove_file(main()).unwrap(), again()).1),
            Some(2),
        ),
        (
            "a forbid without its end",
            Box::new(|| fs::write(beside(), "@id(\"a\") forbid(").unwrap()),
            None,
        ),
        (
            "a Cedar file elsewhere",
            Box::new(|| {
                fs::remove_file(beside()).unwrap();
                symlink("/etc/hostname", beside()).unwrap();
            }),
            None,
        ),
        ("the third", Box::new(|| swap("v3")), Some(3)),
    ];
    for (what, happens, expected) in happens {
        happens();
        let looked = policy.reload().await;
        assert_eq!(looked.is_ok(), expected.is_some(), "{what}: {looked:?}");
        assert_eq!(
            policy.status().last_error.is_some(),
            expected.is_none(),
            "{what}"
        );
        in_force = expected.unwrap_or(in_force);
        for version in [1, 2, 3, 7] {
            let get = permits(&policy, &format!("GET /v{version}")).await;
            assert_eq!(get, version == in_force, "{what}: {version}");
        }
        assert!(
            !permits(&policy, &format!("PUT /v{in_force}")).await,
            "{what}"
        );
    }
}

#[tokio::test]
async fn an_address_in_the_form_of_the_other_family_slips_by_no_network() {
    const RULES: &str = r#"
[[rule]]
id = "no-strangers"
effect = "deny"
caller = { networks = ["203.0.113.0/24"] }

[[rule]]
id = "no-neighbours"
effect = "deny"
when = 'context.client has address && context.client.address.isInRange(ip("198.51.100.0/24"))'

[[rule]]
id = "office"
effect = "allow"
caller = { networks = ["192.0.2.0/24", "203.0.113.7", "198.51.100.7", "2001:db8::/32"] }
"#;
    let policy = CompiledPolicy::from_toml(RULES, &PolicyOptions::new()).unwrap();
    for (client, rule, permitted) in [
        ("192.0.2.1", Some("office"), true),
        ("::ffff:192.0.2.1", Some("office"), true),
        ("2001:db8::1", Some("office"), true),
        ("203.0.113.7", Some("no-strangers"), false),
        ("::ffff:203.0.113.7", Some("no-strangers"), false),
        ("::ffff:cb00:7107", Some("no-strangers"), false),
        ("198.51.100.7", Some("no-neighbours"), false),
        ("::ffff:198.51.100.7", Some("no-neighbours"), false),
        // Neither the address of the office nor one in its form.
        ("::192.0.2.1", None, false),
        ("64:ff9b::192.0.2.1", None, false),
        ("::ffff:0:192.0.2.1", None, false),
    ] {
        let question = Question::new("GET /").client(client.parse().unwrap());
        let answer = policy.ask(&question).await.unwrap();
        assert_eq!(
            (answer.rule(), answer.is_permitted()),
            (rule, permitted),
            "{client}"
        );
    }
    // Whose address nobody knows is in every network that is denied, and in none that is allowed.
    let answer = policy.ask(&Question::new("GET /")).await.unwrap();
    assert_eq!(
        (answer.rule(), answer.is_permitted()),
        (Some("no-strangers"), false)
    );
}

#[tokio::test]
async fn a_path_of_many_segments_costs_no_more_than_the_templates_are_long() {
    // Each step has a literal and a parameter, so that a search could go both ways each time.
    let mut rules = String::new();
    for at in 0..500_u32 {
        let segments = (0..60).map(|step| match (at >> (step % 9)) & 1 {
            0 => "a".to_owned(),
            _ => format!("{{p{step}}}"),
        });
        let path: Vec<String> = segments.collect();
        rules.push_str(&format!(
            "[[rule]]\nid = \"{at}\"\neffect = \"allow\"\npath = \"/{}/b{at}\"\n",
            path.join("/")
        ));
    }
    let policy = CompiledPolicy::from_toml(&rules, &PolicyOptions::new()).unwrap();
    let begin = SystemClock.monotonic();
    for segments in [59, 60, 61, 4_000] {
        let target = format!("GET {}", "/a".repeat(segments));
        for _ in 0..100 {
            let answer = policy.ask(&Question::new(&*target)).await.unwrap();
            assert!(!answer.is_permitted());
        }
    }
    // A search through all ways of the 60 steps would outlast everybody.
    let took = SystemClock.monotonic() - begin;
    assert!(took < Duration::from_secs(60), "{took:?}");
}
