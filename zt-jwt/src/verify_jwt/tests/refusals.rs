//! One test for each numbered condition, and what passes.

use http::header::AUTHORIZATION;
use proptest::prelude::*;
use zt_core::authenticate::{Authenticate, any_of};

use super::*;

fn plain() -> VerifyJwtConfig {
    VerifyJwtConfig::new()
}

fn cookie() -> VerifyJwtConfig {
    VerifyJwtConfig::new().cookie("__Host-jwt")
}

async fn code(config: VerifyJwtConfig, request: impl Fn(&str) -> Builder) -> Option<Code> {
    let world = World::new();
    let token = world.token();
    world.ask(config, request(&token)).await.code()
}

#[tokio::test]
async fn condition_1_refuses_a_request_without_a_token() {
    assert_eq!(
        code(plain(), |_| get()).await,
        Some(Code::CredentialMissing)
    );
    let elsewhere = |token: &str| with_token(token);
    assert_eq!(
        code(cookie(), elsewhere).await,
        Some(Code::CredentialMissing)
    );
}

#[tokio::test]
async fn condition_1_refuses_another_kind_of_credential() {
    for value in ["Basic eDp5", "Bearer ztk_production_a", "ServiceToken x"] {
        let request = |_: &str| get().header("authorization", value);
        assert_eq!(
            code(plain(), request).await,
            Some(Code::CredentialInvalid),
            "{value}"
        );
    }
}

#[tokio::test]
async fn condition_1_refuses_two_credentials() {
    let both = || cookie().authorization();
    let twice = |token: &str| with_token(token).header("authorization", format!("Bearer {token}"));
    assert_eq!(code(plain(), twice).await, Some(Code::CredentialAmbiguous));
    let joined = |token: &str| with_token(&format!("{token}, Bearer {token}"));
    assert_eq!(code(plain(), joined).await, Some(Code::CredentialAmbiguous));
    let two = |token: &str| with_token(token).header("cookie", format!("__Host-jwt={token}"));
    assert_eq!(code(both(), two).await, Some(Code::CredentialAmbiguous));
    let planted = |token: &str| get().header("cookie", format!("__Host-jwt={token}; __Host-jwt=x"));
    assert_eq!(code(both(), planted).await, Some(Code::CredentialAmbiguous));
}

#[tokio::test]
async fn condition_2_refuses_what_has_not_the_characters_of_a_token() {
    for value in ["Bearer", "Bearer a b", "Bearer \"a.b.c\"", "Bearer\ta"] {
        let request = |_: &str| get().header("authorization", value);
        assert_eq!(
            code(plain(), request).await,
            Some(Code::CredentialMalformed),
            "{value}"
        );
    }
    let opaque = |_: &str| with_token("opaque");
    assert_eq!(code(plain(), opaque).await, Some(Code::CredentialMalformed));
    let prefixed = |token: &str| get().header("x-token", format!("Bearer {token}"));
    assert_eq!(
        code(plain().header("X-Token"), prefixed).await,
        Some(Code::CredentialMalformed)
    );
    let quoted = |token: &str| get().header("cookie", format!("__Host-jwt=\"{token}\""));
    assert_eq!(
        code(cookie(), quoted).await,
        Some(Code::CredentialMalformed)
    );
}

#[tokio::test]
async fn condition_3_refuses_the_scheme_dpop() {
    let world = World::new();
    let request = get().header("authorization", format!("DPoP {}", world.token()));
    let answer = world.ask(plain(), request).await;
    assert_eq!(answer.code(), Some(Code::CredentialInvalid));
    assert_eq!(
        answer.why(),
        "presented under `DPoP`, whose proofs are not verified here"
    );
}

#[tokio::test]
async fn condition_4_refuses_a_cookie_from_another_site() {
    let world = World::new();
    let post = || {
        Request::post("/orders")
            .header("host", "shop.example")
            .header("cookie", format!("__Host-jwt={}", world.token()))
    };
    for request in [
        post(),
        post().header("sec-fetch-site", "cross-site"),
        post().header("origin", "https://evil.example"),
        post().method(Method::GET).header("upgrade", "websocket"),
    ] {
        let answer = world.ask(cookie(), request).await;
        assert_eq!(answer.code(), Some(Code::PolicyDenied));
        assert!(answer.why().starts_with("a cookie on an unsafe request"));
        assert_eq!(answer.challenges(), [""; 0]);
    }
    for request in [
        post().method(Method::GET),
        post().header("sec-fetch-site", "same-origin"),
        post().header("origin", "https://shop.example"),
    ] {
        assert_eq!(world.ask(cookie(), request).await.code(), None);
    }
    // A page cannot set a header.
    let request =
        Request::post("/orders").header("authorization", format!("Bearer {}", world.token()));
    assert_eq!(
        world.ask(cookie().authorization(), request).await.code(),
        None
    );
}

#[tokio::test]
async fn condition_5_refuses_what_the_verifier_refuses() {
    let world = World::new();
    let with = |name: &str, value: Value| {
        let mut claims = world.claims();
        claims[name] = value;
        sign(&claims)
    };
    let expired = with("exp", json!(world.clock.now().unwrap().as_secs() - 31));
    let bound = with("cnf", json!({"jkt": "A".repeat(43)}));
    let forged = format!("{}A", world.token());
    for (token, code) in [
        (with("aud", json!("payments")), Code::CredentialInvalid),
        (
            with("iss", json!("https://evil.example")),
            Code::CredentialInvalid,
        ),
        (expired, Code::CredentialExpired),
        (bound, Code::BindingMismatch),
    ] {
        assert_eq!(
            world.ask(plain(), with_token(&token)).await.code(),
            Some(code)
        );
    }
    assert!(
        world
            .ask(plain(), with_token(&forged))
            .await
            .code()
            .is_some()
    );
}

#[tokio::test]
async fn optional_lets_missing_tokens_pass_and_nothing_else() {
    let world = World::new();
    let layer = || InLayer(world.layer(cookie().authorization()).optional());
    let nobody = world.ask_through(layer(), get()).await;
    assert_eq!(nobody.code(), None);
    assert!(nobody.principal().is_anonymous());
    let good = world.ask_through(layer(), with_token(&world.token())).await;
    assert_eq!(good.principal().subject(), "ada");
    for (request, code) in [
        (with_token("a.b.c"), Code::CredentialMalformed),
        (with_token(""), Code::CredentialMalformed),
        (
            get().header("authorization", "Basic eDp5"),
            Code::CredentialInvalid,
        ),
        (
            get().header("cookie", "__Host-jwt="),
            Code::CredentialMalformed,
        ),
        (
            with_token("x").header("cookie", "__Host-jwt=y"),
            Code::CredentialAmbiguous,
        ),
    ] {
        assert_eq!(world.ask_through(layer(), request).await.code(), Some(code));
    }
}

#[tokio::test]
async fn a_token_names_its_caller_from_each_place() {
    let world = World::new();
    let token = world.token();
    for (config, request) in [
        (plain(), with_token(&token)),
        (
            plain(),
            get().header("authorization", format!("bEARER   {token}")),
        ),
        (plain().header("X-Token"), get().header("x-token", &token)),
        (
            cookie(),
            get().header("cookie", format!("theme=dark; __Host-jwt={token}")),
        ),
        (
            cookie(),
            get()
                .header("cookie", "theme=dark")
                .header("cookie", format!("__Host-jwt={token}")),
        ),
        (
            cookie().authorization(),
            with_token(&token).header("cookie", "theme=dark"),
        ),
    ] {
        let answer = world.ask(config, request).await;
        assert_eq!(answer.code(), None);
        assert_eq!(answer.principal().subject(), "ada");
    }
    let layer = VerifyJwtLayer::new(world.verifier.clone());
    assert_eq!(
        world.ask_through(layer, with_token(&token)).await.code(),
        None
    );
}

#[tokio::test]
async fn a_header_that_claims_an_identity_is_read_as_it_came() {
    let world = World::new();
    let config = plain().header("X-Goog-Iap-Jwt-Assertion");
    let stack = tower::layer::layer_fn(|inner: Handler| {
        // As `ValidateRequest` does.
        let inner = world.layer(config.clone()).layer(inner);
        let strip = zt_core::gate::FnCheck::new(|parts: &mut http::request::Parts, _: &mut _| {
            parts.headers.remove("x-goog-iap-jwt-assertion");
            Ok(())
        });
        zt_core::gate::Gate::new(inner, zt_core::gate::Link::first(strip))
    });
    let present = |token: &str| get().header("x-goog-iap-jwt-assertion", token);
    let answer = world.ask_through(&stack, present(&world.token())).await;
    assert_eq!(answer.code(), None);
    let twice = present(&world.token()).header("x-goog-iap-jwt-assertion", "a");
    let answer = world.ask_through(&stack, twice).await;
    assert_eq!(answer.code(), Some(Code::CredentialAmbiguous));
}

#[tokio::test]
async fn the_token_is_marked_and_on_request_taken_away() {
    let world = World::new();
    let token = world.token();
    let request = || {
        with_token(&token)
            .header("cookie", "a=b")
            .header("cookie", "c=d")
    };
    let kept = world.ask(cookie().authorization(), request()).await;
    let headers = kept.headers_seen();
    assert_eq!(headers[AUTHORIZATION], format!("Bearer {token}"));
    assert!(headers[AUTHORIZATION].is_sensitive());
    assert!(
        headers
            .get_all("cookie")
            .iter()
            .all(http::HeaderValue::is_sensitive)
    );

    let stripped = world
        .ask(cookie().authorization().strip_token(), request())
        .await;
    let headers = stripped.headers_seen();
    assert!(!headers.contains_key(AUTHORIZATION));
    assert_eq!(headers.get_all("cookie").iter().count(), 2);

    let request = get().header("cookie", format!("a=b; __Host-jwt={token}; c=d"));
    let stripped = world
        .ask(cookie().authorization().strip_token(), request)
        .await;
    assert_eq!(stripped.headers_seen()["cookie"], "a=b; c=d");
}

#[tokio::test]
async fn beside_service_tokens_the_prefix_tells_whose_a_value_is() {
    use zt_core::{
        service_token::{
            MintRequest, ServiceTokenConfig, ServiceTokens, TokenSource, VerifyServiceTokenLayer,
        },
        store::MemoryStore,
    };

    let world = World::new();
    let tokens = |config: ServiceTokenConfig| {
        let store = Arc::new(MemoryStore::new(world.clock.clone()));
        ServiceTokens::open(store, world.clock.clone(), config)
    };
    let config = || ServiceTokenConfig::new("test").source(TokenSource::Authorization);
    let registry = tokens(config()).await.unwrap();
    let end = world.clock.now().unwrap() + std::time::Duration::from_secs(60);
    let minted = registry
        .mint(MintRequest::new("billing", "export").expires(end))
        .await
        .unwrap();
    let both = |registry: &ServiceTokens| {
        any_of(
            world.layer(plain()),
            VerifyServiceTokenLayer::new(registry.clone()),
        )
    };
    let service = std::str::from_utf8(minted.clear.expose().as_bytes())
        .unwrap()
        .to_owned();
    let answer = world
        .ask_through(InLayer(both(&registry)), with_token(&service))
        .await;
    assert_eq!(answer.principal().subject(), "billing");
    let answer = world
        .ask_through(InLayer(both(&registry)), with_token(&world.token()))
        .await;
    assert_eq!(answer.principal().subject(), "ada");
    for (request, code) in [
        (with_token("opaque"), Code::CredentialMalformed),
        (with_token("ztk_test_x"), Code::CredentialInvalid),
        (
            with_token(&service).header("authorization", format!("Bearer {}", world.token())),
            Code::CredentialAmbiguous,
        ),
        (
            with_token(&format!("{service}, Bearer x")),
            Code::CredentialAmbiguous,
        ),
        (get(), Code::CredentialMissing),
    ] {
        let answer = world.ask_through(InLayer(both(&registry)), request).await;
        assert_eq!(answer.code(), Some(code));
    }
    // A registry that takes every `Bearer` value cannot stand beside this layer.
    let greedy = tokens(config().opaque_bearer()).await.unwrap();
    let answer = world
        .ask_through(InLayer(both(&greedy)), with_token(&world.token()))
        .await;
    assert_eq!(answer.code(), Some(Code::CredentialAmbiguous));
}

/// A combined authenticator as a layer.
struct InLayer<A>(A);

impl<A: Authenticate> Layer<Handler> for InLayer<A> {
    type Service = zt_core::gate::Gate<
        Handler,
        zt_core::gate::Link<zt_core::gate::Root, zt_core::authenticate::Authenticated<A>>,
    >;

    fn layer(&self, inner: Handler) -> Self::Service {
        let check = zt_core::authenticate::Authenticated::new(self.0.clone());
        zt_core::gate::Gate::new(inner, zt_core::gate::Link::first(check))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is done to the value of a good request, it passes only where the very token is
    /// presented.
    #[test]
    fn nothing_passes_by_accident(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let world = World::new();
        let good = format!("Bearer {}", world.token());
        let mut value = good.clone().into_bytes();
        let at = at.index(value.len());
        if cut {
            value.truncate(at);
        } else {
            value[at] = byte;
        }
        let Ok(header) = http::HeaderValue::from_bytes(&value) else {
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(world.ask(plain(), get().header("authorization", header)));
        let same = value.len() == good.len()
            && value[..6].eq_ignore_ascii_case(b"bearer")
            && value[6..] == good.as_bytes()[6..];
        prop_assert_eq!(answer.code().is_none(), same);
    }
}
