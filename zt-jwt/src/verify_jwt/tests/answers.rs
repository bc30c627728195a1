//! What refusals look like, to the letter.

use std::time::Duration;

use futures_util::future::BoxFuture;
use zt_core::{authenticate::Authenticate, gate::Step};

use super::*;
use crate::{
    jwks::{FetchError, FetchRequest, Fetched, KeySource},
    refusal::{Refusal, Refused},
    verifier::Progress,
};

fn config() -> VerifyJwtConfig {
    VerifyJwtConfig::new()
        .realm("orders")
        .resource_metadata("https://api.example/.well-known/oauth-protected-resource")
        .scopes(["orders.read", "orders.write"])
}

const BASE: &str = "Bearer realm=\"orders\", \
    resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\"";
const SCOPE: &str = ", scope=\"orders.read orders.write\"";

async fn challenge(request: Builder) -> (u16, String) {
    let answer = World::new().ask(config(), request).await;
    assert_eq!(answer.challenges().len(), 1);
    (answer.status.as_u16(), answer.challenges()[0].to_owned())
}

#[tokio::test]
async fn where_nothing_was_presented_there_is_no_error() {
    // RFC 6750 section 3.1.
    let bare = (401, format!("{BASE}{SCOPE}"));
    assert_eq!(challenge(get()).await, bare);
    assert_eq!(
        challenge(get().header("authorization", "Basic eDp5")).await,
        bare
    );
    let answer = World::new().ask(VerifyJwtConfig::new(), get()).await;
    assert_eq!(answer.challenges(), ["Bearer realm=\"api\""]);
}

#[tokio::test]
async fn a_bad_token_is_an_invalid_token() {
    let world = World::new();
    let with = |name: &str, value: Value| {
        let mut claims = world.claims();
        claims[name] = value;
        with_token(&sign(&claims))
    };
    let now = world.clock.now().unwrap().as_secs();
    for (request, description) in [
        (with("aud", json!("payments")), "the token is not valid"),
        (with("exp", json!(now - 31)), "the token has expired"),
        (
            with("cnf", json!({"jkt": "A".repeat(43)})),
            "the token is bound to a key that was not proved",
        ),
        (
            get().header("authorization", "DPoP a.b.c"),
            "the scheme DPoP is not accepted",
        ),
    ] {
        let expected =
            format!("{BASE}{SCOPE}, error=\"invalid_token\", error_description=\"{description}\"");
        assert_eq!(challenge(request).await, (401, expected));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_an_invalid_request() {
    let twice = with_token("a.b.c").header("authorization", "Bearer d.e.f");
    for (request, description) in [
        (with_token("a b"), "the credential cannot be read"),
        (with_token("opaque"), "the credential cannot be read"),
        (
            with_token("a, Bearer b"),
            "more than one credential was presented",
        ),
        (twice, "more than one credential was presented"),
    ] {
        let expected =
            format!("{BASE}, error=\"invalid_request\", error_description=\"{description}\"");
        assert_eq!(challenge(request).await, (400, expected));
    }
}

/// What the layer makes of the verifier's answer.
async fn answer_to(progress: Progress) -> Result<Arc<Principal>, Denial> {
    let layer = World::new().layer(config());
    let (mut parts, ()) = with_token("a.b.c").body(()).unwrap().into_parts();
    let mut cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
    match layer.go_on(progress, 0, &mut parts) {
        Step::Now(result) => result,
        Step::Later(mut later) => {
            std::future::poll_fn(|task| later.poll(task, &mut parts, &mut cx)).await
        }
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_nobodys_fault() {
    for waits in [false, true] {
        let refused = || Refused {
            refusal: Refusal::Keys,
            retry_after: Some(Duration::from_millis(6500)),
            denial: None,
        };
        let progress = if waits {
            Progress::Waiting(Box::pin(async move {
                tokio::task::yield_now().await;
                Err(refused())
            }))
        } else {
            Progress::Done(Err(refused()))
        };
        let denial = answer_to(progress).await.unwrap_err();
        assert_eq!(denial.status(), 503);
        assert_eq!(denial.code(), Code::KeysUnavailable);
        assert_eq!(denial.retry_after_secs(), Some(7));
        assert!(denial.challenges().is_empty());
        assert_eq!(
            denial.private_detail(),
            Some("the issuer's keys cannot be had")
        );
    }
}

#[derive(Debug)]
struct Down;

impl KeySource for Down {
    fn fetch(&self, _: FetchRequest) -> BoxFuture<'_, Result<Fetched, FetchError>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            Err(FetchError::Other("down".into()))
        })
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_is_503_and_asks_for_no_other_token() {
    let world = World::new();
    let verifier = Verifier::builder()
        .clock(world.clock.clone())
        .issuer(Issuer::source(ISSUER, "orders", Down))
        .build()
        .unwrap();
    let layer = VerifyJwtLayer::with_config(verifier, config()).unwrap();
    let b64 = |text: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = b64(br#"{"alg":"ES256","kid":"a"}"#);
    let claims = b64(world.claims().to_string().as_bytes());
    let token = [header, claims, b64(&[1; 64])].join(".");
    let answer = world.ask_through(layer, with_token(&token)).await;
    assert_eq!(answer.code(), Some(Code::KeysUnavailable));
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(answer.challenges(), [""; 0]);
}

#[tokio::test]
async fn who_waited_for_keys_is_named() {
    let ada = Arc::new(Principal::anonymous());
    let progress = Progress::Waiting(Box::pin(std::future::ready(Ok(Arc::clone(&ada)))));
    assert!(Arc::ptr_eq(&answer_to(progress).await.unwrap(), &ada));
}

#[tokio::test]
async fn every_refusal_of_the_verifier_has_its_challenge_and_keeps_its_reason() {
    let mut told = std::collections::BTreeSet::new();
    for &refusal in Refusal::ALL {
        let denial = answer_to(Progress::Done(Err(refusal.into())))
            .await
            .unwrap_err();
        assert_eq!(denial.code(), refusal.code());
        assert_eq!(denial.private_detail(), Some(refusal.why()));
        let texts: Vec<_> = denial
            .challenges()
            .iter()
            .map(|challenge| challenge.header_value().to_str().unwrap())
            .collect();
        let error = match denial.status().as_u16() {
            400 => "error=\"invalid_request\"",
            401 => "error=\"invalid_token\"",
            403 | 503 => {
                assert_eq!(texts, [""; 0], "{refusal:?}");
                continue;
            }
            status => panic!("{refusal:?} is {status}"),
        };
        assert_eq!(texts.len(), 1);
        assert!(
            texts[0].starts_with(BASE) && texts[0].contains(error),
            "{refusal:?}"
        );
        told.insert(texts[0].to_owned());
    }
    // As many descriptions as codes, however many reasons there are.
    assert_eq!(told.len(), 5);
}

#[tokio::test]
async fn what_sanctions_say_stands_and_gets_a_challenge() {
    let revoked = Denial::new(Code::CredentialRevoked).detail("revoked: session");
    let denial = answer_to(Progress::Done(Err(revoked.into())))
        .await
        .unwrap_err();
    assert_eq!(denial.private_detail(), Some("revoked: session"));
    let text = denial.challenges()[0].header_value().to_str().unwrap();
    assert!(
        text.ends_with("error=\"invalid_token\", error_description=\"the token has been revoked\"")
    );
    let quarantined = Denial::new(Code::Quarantined);
    let denial = answer_to(Progress::Done(Err(quarantined.into())))
        .await
        .unwrap_err();
    assert!(denial.challenges().is_empty());
}

#[tokio::test]
async fn grpc_is_told_unauthenticated() {
    let grpc = |request: Builder| request.header("content-type", "application/grpc+proto");
    let world = World::new();
    for (request, status) in [
        (grpc(get()), "16"),
        (grpc(with_token(&format!("{}A", world.token()))), "16"),
        (grpc(with_token("opaque")), "3"),
    ] {
        let answer = world.ask(config(), request).await;
        assert!(answer.denial.is_some());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["grpc-status"], status);
    }
}

#[tokio::test]
async fn nothing_of_the_token_is_shown() {
    let world = World::new();
    let token = sign(&json!({"iss": ISSUER, "sub": "ada", "aud": "payments"}));
    let answer = world.ask(config(), with_token(&token)).await;
    let denial = answer.denial.as_ref().unwrap();
    let shown = format!(
        "{denial:?} {denial} {:?} {:?} {:?}",
        denial.private_detail(),
        answer.headers,
        world.layer(config()),
    );
    for segment in token.split('.') {
        assert!(!shown.contains(segment));
    }
    assert!(!shown.contains("payments") && !shown.contains("thirty-two"));
}

#[test]
fn settings_that_cannot_work_are_errors() {
    let world = World::new();
    let try_with = |config| VerifyJwtLayer::with_config(world.verifier.clone(), config).map(drop);
    let new = VerifyJwtConfig::new;
    let cookie = || new().cookie("jwt");
    let cases = [
        (
            new().header("no header"),
            ConfigError::Header("no header".into()),
        ),
        (new().header("Cookie"), ConfigError::Header("Cookie".into())),
        (
            new().header("AUTHORIZATION"),
            ConfigError::Header("AUTHORIZATION".into()),
        ),
        (
            new().header("X-Service-Token"),
            ConfigError::Header("X-Service-Token".into()),
        ),
        (new().cookie(""), ConfigError::Cookie(String::new())),
        (new().cookie("a=b"), ConfigError::Cookie("a=b".into())),
        (new().cookie("a b"), ConfigError::Cookie("a b".into())),
        (new().cookie("a;b"), ConfigError::Cookie("a;b".into())),
        (
            new().authorization().authorization(),
            ConfigError::Twice("authorization".into()),
        ),
        (
            new().header("X-A").header("x-a"),
            ConfigError::Twice("x-a".into()),
        ),
        (
            new().cookie("a").cookie("a"),
            ConfigError::Twice("a".into()),
        ),
        (new().origins(["https://a.example"]), ConfigError::NoCookie),
        (new().insecure_same_site(), ConfigError::NoCookie),
        (new().realm(""), ConfigError::Realm(String::new())),
        (new().realm("a\r\nb"), ConfigError::Realm("a\r\nb".into())),
        (new().scopes(["a b"]), ConfigError::Scope("a b".into())),
        (new().scopes([""]), ConfigError::Scope(String::new())),
        (
            new().resource_metadata("http://api.example/x"),
            ConfigError::ResourceMetadata("http://api.example/x".into()),
        ),
    ];
    for (config, error) in cases {
        assert_eq!(try_with(config), Err(error));
    }
    for origin in [
        "",
        "null",
        "*",
        "app.example",
        "https://",
        "https://app.example/",
        "https://app.example/x",
        "https://app.example?x",
        "https://app.example:443",
        "https://app.example:",
        "https://App.example",
        "HTTPS://app.example",
        "https://a@app.example",
        "http://app.example",
        "http://localhost:80",
        "ftp://app.example",
        "https://*.example",
        "https://b\u{fc}cher.example",
    ] {
        let error = ConfigError::Origin(origin.to_owned());
        assert_eq!(try_with(cookie().origins([origin])), Err(error), "{origin}");
    }
    for origin in [
        "https://app.example",
        "https://app.example:8443",
        "https://xn--bcher-kva.example",
        "http://localhost:3000",
        "http://localhost",
        "https://[2001:db8::1]",
    ] {
        assert_eq!(try_with(cookie().origins([origin])), Ok(()), "{origin}");
    }
}

#[test]
fn a_configuration_file_says_the_same_and_nothing_unknown() {
    let world = World::new();
    let read = |json: &str| serde_json::from_str::<VerifyJwtConfig>(json);
    let config = read(
        r#"{"places": ["authorization", {"header": "X-Token"}, {"cookie": "__Host-jwt"}],
            "realm": "orders", "scopes": ["orders.read"], "strip_token": true,
            "origins": ["https://app.example"], "insecure_same_site": true}"#,
    );
    let layer = world.layer(config.unwrap());
    let text = layer.challenges()[0].header_value().clone();
    assert_eq!(text, "Bearer realm=\"orders\", scope=\"orders.read\"");
    assert!(read("{}").is_ok());
    assert!(read(r#"{"source": "authorization"}"#).is_err());
    assert!(read(r#"{"places": ["query"]}"#).is_err());
    assert!(read(r#"{"places": ["header"]}"#).is_err());
}
