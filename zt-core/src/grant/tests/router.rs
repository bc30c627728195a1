//! The workflow over a real socket.

use std::net::SocketAddr;

use axum::Router;
use http::{StatusCode, request::Parts};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    authenticate::{Authenticate, Presented},
    authorize::{AnyAuthenticated, AuthorizeLayer},
    context::SecurityContext,
    decision::Challenge,
    gate::{Settings, Step},
    stack::ZeroTrust,
};

/// The name in `X-Test-Name`, with the scopes in `X-Test-Scopes`; `bot` is a program.
#[derive(Clone)]
struct ByName;

impl Authenticate for ByName {
    const NAME: &'static str = "ByName";

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        match parts.headers.contains_key("x-test-name") {
            true => Presented::Mine,
            false => Presented::Absent,
        }
    }

    fn authenticate(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
        let text = |name: &str| {
            parts
                .headers
                .get(name)
                .map_or("", |it| it.to_str().unwrap())
        };
        let scopes: Vec<&str> = text("x-test-scopes").split_whitespace().collect();
        let who = match text("x-test-name") {
            "bot" => program("bot", &scopes),
            name => person(name, &scopes),
        };
        Step::pass(Arc::new(who))
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![Challenge::new("Bearer")]
    }
}

crate::impl_authenticate_layer!(ByName);

struct Served {
    world: World,
    address: SocketAddr,
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Status and code of a problem.
    fn problem(&self) -> (u16, &str) {
        let kind = self.header("content-type");
        assert_eq!(
            kind,
            Some("application/problem+json"),
            "{} {}",
            self.head,
            self.body
        );
        assert_eq!(self.body["status"], self.status);
        (self.status, self.body["code"].as_str().unwrap())
    }

    fn id(&self) -> &str {
        self.body["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{} {}", self.head, self.body))
    }
}

impl Served {
    async fn new() -> Self {
        Self::with(config()).await
    }

    async fn with(config: GrantConfig) -> Self {
        let world = World::with(config).await;
        let zt = ZeroTrust::builder()
            .without_audit()
            .authenticate(ByName)
            .authorize(AuthorizeLayer::new(AnyAuthenticated))
            .settings(Settings::default().with_clock(world.clock.clone()))
            .build()
            .unwrap();
        let app = Router::new().nest("/admin", super::router(world.grants.clone()));
        let app = zt.wrap(app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { world, address }
    }

    /// As curl would: one request, byte by byte what is written here.
    async fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    async fn get(&self, who: (&str, &str), path: &str) -> Answer {
        let (name, scopes) = who;
        self.raw(&format!(
            "GET /admin{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             x-test-name: {name}\r\nx-test-scopes: {scopes}\r\n\r\n"
        ))
        .await
    }

    async fn post(&self, who: (&str, &str), path: &str, body: &str) -> Answer {
        self.post_as(who, path, body, "application/json").await
    }

    async fn post_as(&self, who: (&str, &str), path: &str, body: &str, kind: &str) -> Answer {
        let ((name, scopes), length) = (who, body.len());
        self.raw(&format!(
            "POST /admin{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             x-test-name: {name}\r\nx-test-scopes: {scopes}\r\n\
             content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    async fn asked(&self) -> String {
        let body = r#"{"scope":"refunds.write","reason":"ticket 7","seconds":3600}"#;
        self.post(ADA, "/grants", body).await.id().to_owned()
    }
}

const ADA: (&str, &str) = ("ada", "");
const GRACE: (&str, &str) = ("grace", "grant.approve");
const OFFICER: (&str, &str) = ("officer", "grant.revoke grant.review grant.list");
const EVE: (&str, &str) = ("eve", "orders:read");
const WANTED: &str = r#"{"scope":"refunds.write","reason":"x","seconds":60}"#;

#[tokio::test]
async fn refuses_without_a_credential_or_a_stack() {
    let served = Served::new().await;
    let answer = served
        .raw("POST /admin/grants HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(answer.problem(), (401, "credential-missing"));
    // Without a stack around it nothing is reached.
    let bare = super::router(served.world.grants.clone());
    let request = http::Request::get("/grants").body(axum::body::Body::empty());
    let response = tower::ServiceExt::oneshot(bare, request.unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn refuses_bodies_that_are_not_exactly_what_is_asked_for() {
    let served = Served::new().await;
    let long = format!(
        r#"{{"scope":"refunds.write","reason":"{}","seconds":60}}"#,
        "x".repeat(5000)
    );
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    for (body, expected) in [
        ("", (422, "request-invalid")),
        ("{}", (422, "request-invalid")),
        ("null", (422, "request-invalid")),
        ("[]", (422, "request-invalid")),
        ("{", (422, "request-invalid")),
        (
            r#"{"scope":"refunds.write","reason":"x"}"#,
            (422, "request-invalid"),
        ),
        (
            r#"{"scope":"refunds.write","reason":"x","seconds":60,"for":"eve"}"#,
            (422, "request-invalid"),
        ),
        (
            r#"{"scope":"refunds.write","scope":"orders","reason":"x","seconds":60}"#,
            (422, "request-invalid"),
        ),
        (
            r#"{"scope":"refunds.write","reason":"x","seconds":-1}"#,
            (422, "request-invalid"),
        ),
        (
            r#"{"scope":"refunds.write","reason":"x","seconds":1e3}"#,
            (422, "request-invalid"),
        ),
        (
            r#"{"scope":"refunds.write","reason":"x","seconds":18446744073709551616}"#,
            (422, "request-invalid"),
        ),
        (
            r#"{"scope":"nothing","reason":"x","seconds":60}"#,
            (422, "request-invalid"),
        ),
        (
            r#"{"scope":"refunds.write","reason":"x\u0000","seconds":60}"#,
            (422, "request-invalid"),
        ),
        (long.as_str(), (413, "body-too-large")),
        (deep.as_str(), (422, "request-invalid")),
    ] {
        let answer = served.post(ADA, "/grants", body).await;
        assert_eq!(answer.problem(), expected, "{body}");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json2",
        "",
    ] {
        let answer = served.post_as(ADA, "/grants", WANTED, kind).await;
        assert_eq!(answer.problem(), (400, "request-malformed"), "{kind}");
    }
    assert!(served.world.grants.is_empty());
    let id = served.asked().await;
    // Nor with nothing to say.
    let path = format!("/grants/{id}/approve");
    for (body, kind, expected) in [
        (
            r#"{"as":"eve"}"#,
            "application/json",
            (422, "request-invalid"),
        ),
        ("", "text/plain", (400, "request-malformed")),
    ] {
        let answer = served.post_as(GRACE, &path, body, kind).await;
        assert_eq!(answer.problem(), expected);
    }
    assert_eq!(served.world.log.count("approved"), 0);
}

#[tokio::test]
async fn strangers_are_not_told_which_ids_exist() {
    let served = Served::new().await;
    let there = served.asked().await;
    let not_there = "0123456789abcdef0123456789abcdef";
    for verb in ["", "/approve", "/reject", "/withdraw", "/revoke", "/review"] {
        let body = match verb {
            "/reject" | "/revoke" => r#"{"reason":"x"}"#,
            "/review" => r#"{"note":"x"}"#,
            _ => "{}",
        };
        let mut told = Vec::new();
        for id in [&there, not_there, "x", "..%2fx"] {
            let path = format!("/grants/{id}{verb}");
            let mut answer = match verb {
                "" => served.get(EVE, &path).await,
                _ => served.post(EVE, &path, body).await,
            };
            if id.starts_with("..") {
                // The stack itself refuses such paths.
                assert_eq!(answer.status, 400, "{path}");
                continue;
            }
            assert_eq!(answer.problem(), (404, "grant-unknown"), "{path}");
            answer.body["request_id"] = Value::Null;
            told.push(answer.body);
        }
        assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:?}");
    }
    let listed = served.get(EVE, "/grants").await;
    assert_eq!(listed.body, json!({"grants": [], "next": null}));
}

#[tokio::test]
async fn refusals_have_codes() {
    let served = Served::new().await;
    let id = served.asked().await;
    let at = |verb: &str| format!("/grants/{id}/{verb}");
    let self_made = ("ada", "grant.approve");
    for (who, path, body, expected) in [
        (self_made, at("approve"), "", (403, "grant-same-person")),
        (
            ("bot", "grant.approve"),
            at("approve"),
            "",
            (403, "policy-denied"),
        ),
        (OFFICER, at("approve"), "", (403, "grant-not-allowed")),
        (GRACE, at("withdraw"), "", (403, "grant-not-allowed")),
        (
            GRACE,
            at("reject"),
            r#"{"reason":""}"#,
            (422, "request-invalid"),
        ),
        (
            ADA,
            at("revoke"),
            r#"{"reason":"x"}"#,
            (409, "grant-decided"),
        ),
        (
            OFFICER,
            at("review"),
            r#"{"note":"x"}"#,
            (422, "request-invalid"),
        ),
        (
            ADA,
            "/grants/break-glass".into(),
            r#"{"scope":"database.admin","reason":"x"}"#,
            (403, "grant-not-allowed"),
        ),
    ] {
        let answer = served.post(who, &path, body).await;
        assert_eq!(answer.problem(), expected, "{path} by {who:?}");
    }
    for query in [
        "?x=1",
        "?limit=0",
        "?limit=101",
        "?limit=1&limit=2",
        "?state=open",
        "?unreviewed=1",
    ] {
        let answer = served.get(OFFICER, &format!("/grants{query}")).await;
        assert_eq!(answer.problem(), (422, "request-invalid"), "{query}");
    }
    served.world.log.set_down(true);
    let answer = served.post(GRACE, &at("approve"), "").await;
    assert_eq!(answer.problem(), (503, "audit-unavailable"));
    assert!(answer.header("retry-after").is_some());
    served.world.log.set_down(false);
    served.world.store.set_down(true);
    let answer = served.post(GRACE, &at("approve"), "").await;
    assert_eq!(answer.problem(), (503, "store-unavailable"));
    served.world.store.set_down(false);
    for _ in 0..4 {
        served.asked().await;
    }
    let answer = served.post(ADA, "/grants", WANTED).await;
    assert_eq!(answer.problem(), (429, "grant-too-many"));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn the_whole_way() {
    let served = Served::new().await;
    let body = r#"{"scope":"refunds.write","reason":"ticket 7","seconds":3600}"#;
    let made = served.post(ADA, "/grants", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let place = format!("/admin/grants/{}", made.id());
    assert_eq!(made.header("location"), Some(place.as_str()));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert_eq!(made.body["state"], "requested");
    let path = place.trim_start_matches("/admin").to_owned();

    let listed = served
        .get(GRACE, "/grants?state=requested&scope=refunds.write")
        .await;
    assert_eq!(listed.body["grants"][0]["reason"], "ticket 7");
    let approved = served.post(GRACE, &format!("{path}/approve"), "").await;
    assert_eq!(
        (approved.status, &approved.body["state"]),
        (200, &json!("approved"))
    );
    assert_eq!(approved.body["decided"]["by"]["subject"], "grace");
    assert!(served.world.holds(&ada()));
    let again = served
        .post(("gus", "grant.approve"), &format!("{path}/approve"), "")
        .await;
    assert_eq!(again.problem(), (409, "grant-decided"));
    assert_eq!(again.body["state"], "approved");

    let revoked = served
        .post(OFFICER, &format!("{path}/revoke"), r#"{"reason":"left"}"#)
        .await;
    assert_eq!(
        (revoked.status, &revoked.body["state"]),
        (200, &json!("revoked"))
    );
    assert!(!served.world.holds(&ada()));
    let shown = served.get(ADA, &path).await;
    assert_eq!(shown.body["ended"]["note"], "left");
    assert_eq!(
        served.world.log.actions(),
        ["requested", "approved", "revoked"]
    );
}

#[tokio::test]
async fn broken_glass_is_listed_until_it_is_reviewed() {
    let served = Served::new().await;
    let gus = ("gus", "grant.break-glass grant.review");
    let body = r#"{"scope":"database.admin","reason":"the primary is down"}"#;
    let taken = served.post(gus, "/grants/break-glass", body).await;
    assert_eq!(taken.status, 201, "{}", taken.body);
    let place = format!("/admin/grants/{}", taken.id());
    assert_eq!(taken.header("location"), Some(place.as_str()));
    let listed = served.get(OFFICER, "/grants?unreviewed=true").await;
    assert_eq!(listed.body["grants"][0]["id"], taken.body["id"]);
    let review = format!("/grants/{}/review", taken.id());
    let note = r#"{"note":"it was down"}"#;
    let answer = served.post(gus, &review, note).await;
    assert_eq!(answer.problem(), (403, "grant-same-person"));
    assert_eq!(served.post(OFFICER, &review, note).await.status, 200);
    let answer = served.post(OFFICER, &review, note).await;
    assert_eq!(answer.problem(), (409, "grant-reviewed"));
    let listed = served.get(OFFICER, "/grants?unreviewed=true").await;
    assert_eq!(listed.body["grants"], json!([]));
}

#[tokio::test]
async fn of_many_who_approve_at_once_one_does() {
    let served = Served::new().await;
    let path = format!("/grants/{}/approve", served.asked().await);
    let names: Vec<String> = (0..12).map(|number| format!("approver {number}")).collect();
    let tries = names
        .iter()
        .map(|name| served.post((name, "grant.approve"), &path, ""));
    let answers = futures_util::future::join_all(tries).await;
    let won = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!(won.count(), 1);
    let lost = answers.iter().filter(|answer| answer.status != 200);
    for answer in lost {
        assert_eq!(answer.problem(), (409, "grant-decided"));
    }
    assert_eq!(served.world.log.count("approved"), 1);
}
