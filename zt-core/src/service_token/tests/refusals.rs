use http::{HeaderValue, Request};

use super::*;
use crate::service_token::digest::work;

#[tokio::test]
async fn a_good_token_names_its_caller() {
    let world = World::new().await;
    let request = world
        .request()
        .scopes(["orders.read"])
        .roles(["exporter"])
        .tenant("acme");
    let minted = world.tokens.mint(request).await.unwrap();
    let answer = world.present(minted.clear.expose()).await;
    let principal = answer.passed();
    assert_eq!(principal.kind().as_str(), "service");
    assert_eq!(principal.subject(), "billing");
    assert_eq!(principal.issuer(), Some("service-tokens"));
    assert!(principal.proved_by(crate::identity::AuthMethod::ServiceToken));
    assert!(principal.has_scope("orders.read") && principal.has_role("exporter"));
    assert_eq!(principal.tenant(), Some("acme"));
    assert_eq!(principal.token(), Some(minted.id.as_str()));
    assert_eq!(principal.issued_at(), Some(world.now()));
    assert_eq!(principal.expires_at(), Some(world.now() + HOUR));
}

// Condition 1.
#[tokio::test]
async fn refuses_a_request_without_a_token() {
    let world = World::new().await;
    let answer = world.ask(Request::get("/orders/7")).await;
    assert_eq!(answer.refused(), Code::CredentialMissing);
    assert_eq!(answer.challenges, [r#"ServiceToken realm="services""#]);
}

#[tokio::test]
async fn refuses_two_tokens_even_if_they_are_the_same() {
    let world = World::new().await;
    let minted = world.mint().await;
    let twice = with_token(minted.clear.expose()).header("x-service-token", minted.clear.expose());
    assert_eq!(world.ask(twice).await.refused(), Code::CredentialAmbiguous);
}

#[tokio::test]
async fn refuses_tokens_in_both_places_at_once() {
    let world = World::with(ServiceTokenConfig::new("test").source(TokenSource::Either)).await;
    let minted = world.mint().await;
    let bearer = format!("Bearer {}", minted.clear.expose());
    let one = Request::get("/").header("authorization", &bearer);
    world.ask(one).await.passed();
    let both = with_token(minted.clear.expose()).header("authorization", &bearer);
    assert_eq!(world.ask(both).await.refused(), Code::CredentialAmbiguous);
    // Somebody else's credential is not a second one of ours.
    let jwt = with_token(minted.clear.expose()).header("authorization", "Bearer eyJ.e30.x");
    world.ask(jwt).await.passed();
}

#[tokio::test]
async fn takes_a_token_only_from_where_it_is_configured() {
    let header = World::new().await;
    let minted = header.mint().await;
    let bearer = format!("bearer  {}", minted.clear.expose());
    let asked = Request::get("/").header("authorization", &bearer);
    assert_eq!(
        header.ask(asked).await.refused(),
        Code::CredentialMissing,
        "in Authorization, but X-Service-Token is configured"
    );
    let config = ServiceTokenConfig::new("test").source(TokenSource::Authorization);
    let world = World::with(config).await;
    let minted = world.mint().await;
    let answer = world.present(minted.clear.expose()).await;
    assert_eq!(answer.refused(), Code::CredentialMissing);
    assert_eq!(answer.challenges, [r#"Bearer realm="services""#]);
    let bearer = format!("bearer  {}", minted.clear.expose());
    world
        .ask(Request::get("/").header("authorization", &bearer))
        .await
        .passed();
}

#[tokio::test]
async fn other_credentials_in_authorization_are_foreign() {
    let config = ServiceTokenConfig::new("test").source(TokenSource::Authorization);
    let world = World::with(config).await;
    let own = config_of_own_scheme();
    let own = World::with(own).await;
    let token = world.mint().await;
    for (world, values, expected) in [
        (&world, &["Basic eDp5"][..], Code::CredentialInvalid),
        (&world, &["Bearer eyJ.e30.x"], Code::CredentialInvalid),
        (&world, &["Bearer"], Code::CredentialInvalid),
        (&world, &["Bearer a", "Basic b"], Code::CredentialInvalid),
        (&world, &["Bearer ztk_x"], Code::CredentialInvalid),
        (
            &world,
            &["Basic b", "Bearer ztk_x"],
            Code::CredentialAmbiguous,
        ),
        (&world, &["Bearer ztk_x y"], Code::CredentialMalformed),
        (&own, &["Bearer ztk_x"], Code::CredentialInvalid),
        (&own, &["ServiceToken"], Code::CredentialMalformed),
    ] {
        let mut request = Request::get("/");
        for value in values {
            request = request.header("authorization", *value);
        }
        assert_eq!(world.ask(request).await.refused(), expected, "{values:?}");
    }
    let scheme = format!("servicetoken {}", own.mint().await.clear.expose());
    own.ask(Request::get("/").header("authorization", scheme))
        .await
        .passed();
    let other = format!("ServiceToken {}", token.clear.expose());
    let answer = world.ask(Request::get("/").header("authorization", other));
    assert_eq!(answer.await.refused(), Code::CredentialInvalid);
}

fn config_of_own_scheme() -> ServiceTokenConfig {
    ServiceTokenConfig::new("test")
        .source(TokenSource::Authorization)
        .scheme(TokenScheme::ServiceToken)
}

#[tokio::test]
async fn imported_values_are_bearer_tokens_only_where_that_is_configured() {
    let value = "legacy-value-0123456789abcdef";
    let asked = || Request::get("/").header("authorization", format!("Bearer {value}"));
    for (allowed, passes) in [(false, false), (true, true)] {
        let config = ServiceTokenConfig::new("test").source(TokenSource::Authorization);
        let config = if allowed {
            config.opaque_bearer()
        } else {
            config
        };
        let world = World::with(config).await;
        let request = world.request();
        world
            .tokens
            .import_opaque(&value.into(), request)
            .await
            .unwrap();
        assert_eq!(world.ask(asked()).await.status == 200, passes);
    }
}

// Condition 2.
#[tokio::test]
async fn refuses_a_value_that_is_not_text() {
    let world = World::new().await;
    for value in [
        &b""[..],
        b"\xff\xfe",
        b"two words",
        b"tab\there",
        b"ztk_\xc3\xa4",
    ] {
        let value = HeaderValue::from_bytes(value).unwrap();
        let asked = Request::get("/").header("x-service-token", value.clone());
        let answer = world.ask(asked).await;
        assert_eq!(answer.refused(), Code::CredentialMalformed, "{value:?}");
        assert_eq!(answer.status, 400);
    }
}

// Condition 4.
#[tokio::test]
async fn refuses_a_value_of_another_form_without_hashing_it() {
    let world = World::new().await;
    let minted = world.mint().await;
    let mut mistyped = minted.clear.expose().to_owned();
    mistyped.pop();
    mistyped.push('-');
    work::take();
    for value in [
        "ztk_",
        "ztk_test_x_y",
        &mistyped,
        &minted.clear.expose().replace("ztk_", "").repeat(5),
    ] {
        let answer = world.present(value).await;
        assert_eq!(answer.refused(), Code::CredentialInvalid, "{value}");
        assert_eq!(
            answer.challenges,
            [r#"ServiceToken realm="services", error="invalid_token""#]
        );
    }
    assert_eq!(work::take(), (0, 0));
}

// Condition 5.
#[tokio::test]
async fn refuses_an_unknown_id_and_a_wrong_secret_alike() {
    let world = World::new().await;
    let minted = world.mint().await;
    let rotated = world.mint().await;
    world.tokens.rotate(&rotated.id, "ada", HOUR).await.unwrap();
    let mut seen = Vec::new();
    for id in ["AAAAAAAAAAAA", minted.id.as_str(), rotated.id.as_str()] {
        work::take();
        let answer = world.present(&forged("test", id, b'x')).await;
        assert_eq!(answer.refused(), Code::CredentialInvalid);
        assert!(answer.detail.contains(id), "{}", answer.detail);
        seen.push((work::take(), answer.status, answer.challenges));
    }
    assert!(seen.iter().all(|it| *it == seen[0]), "{seen:?}");
    assert_eq!(seen[0].0, (1, 2), "one hash, two comparisons");
}

#[tokio::test]
async fn the_work_is_the_same_under_several_peppers_too() {
    let peppers = || {
        Peppers::new(2, crate::secret::Secret::new(vec![2; 32]))
            .unwrap()
            .previous(1, crate::secret::Secret::new(vec![1; 32]))
            .unwrap()
            .also_without()
            .unwrap()
    };
    let world = World::with(ServiceTokenConfig::new("test").peppers(peppers())).await;
    let minted = world.mint().await;
    let good = minted.clear.expose().to_owned();
    for value in [
        forged("test", "AAAAAAAAAAAA", b'x'),
        forged("test", &minted.id, b'x'),
        good,
        "an-opaque-value-that-is-unknown".to_owned(),
    ] {
        work::take();
        world.present(&value).await;
        assert_eq!(work::take(), (3, 2), "{value}");
    }
}

#[tokio::test]
async fn refuses_the_secret_of_one_token_under_the_id_of_another() {
    let world = World::new().await;
    let (a, b) = (world.mint().await, world.mint().await);
    let secret: [u8; 43] = a.clear.expose().as_bytes()[22..65].try_into().unwrap();
    let id = crate::service_token::format::TokenId::from_text(&b.id).unwrap();
    let crossed = crate::service_token::format::compose("test", id, &secret);
    let answer = world.present(std::str::from_utf8(&crossed).unwrap()).await;
    assert_eq!(answer.refused(), Code::CredentialInvalid);
    world.present(a.clear.expose()).await.passed();
}

// Condition 6.
#[tokio::test]
async fn refuses_a_token_made_for_another_environment() {
    let world = World::new().await;
    let staging = world.other(ServiceTokenConfig::new("staging")).await;
    let minted = staging.mint(world.request()).await.unwrap();
    world.tokens.refresh().await.unwrap();
    work::take();
    let answer = world.present(minted.clear.expose()).await;
    assert_eq!(answer.refused(), Code::CredentialInvalid);
    assert!(answer.detail.contains("environment"), "{}", answer.detail);
    assert_eq!(work::take(), (1, 2));
    ask(&staging, &world.clock, with_token(minted.clear.expose()))
        .await
        .passed();
}

// Condition 7.
#[tokio::test]
async fn refuses_a_revoked_token() {
    let world = World::new().await;
    let minted = world.mint().await;
    world
        .tokens
        .revoke(&minted.id, "ada", "laptop lost")
        .await
        .unwrap();
    let answer = world.present(minted.clear.expose()).await;
    assert_eq!(answer.refused(), Code::CredentialRevoked);
    assert_eq!(answer.status, 401);
    // Without the secret nobody learns that it is revoked.
    let guess = world.present(&forged("test", &minted.id, b'x')).await;
    assert_eq!(guess.refused(), Code::CredentialInvalid);
}

// Condition 8.
#[tokio::test]
async fn refuses_a_token_from_its_end_on() {
    let world = World::new().await;
    let minted = world.mint().await;
    world.clock.advance(HOUR - Duration::from_micros(1));
    world.present(minted.clear.expose()).await.passed();
    world.clock.advance(Duration::from_micros(1));
    let answer = world.present(minted.clear.expose()).await;
    assert_eq!(answer.refused(), Code::CredentialExpired);
}

#[tokio::test]
async fn refuses_a_secret_that_was_rotated_out_once_its_overlap_is_over() {
    let world = World::new().await;
    let old = world.mint().await;
    let new = world.tokens.rotate(&old.id, "ada", HOUR / 2).await.unwrap();
    assert_eq!(old.id, new.id);
    let through_old = world.present(old.clear.expose()).await;
    assert_eq!(
        through_old.passed().expires_at(),
        Some(world.now() + HOUR / 2),
        "a response does not outlive the secret"
    );
    let through_new = world.present(new.clear.expose()).await;
    assert_eq!(through_new.passed().expires_at(), Some(world.now() + HOUR));
    world.clock.advance(HOUR / 2);
    let answer = world.present(old.clear.expose()).await;
    assert_eq!(answer.refused(), Code::CredentialExpired);
    world.present(new.clear.expose()).await.passed();
}

// Condition 9.
#[tokio::test]
async fn refuses_another_method() {
    let world = World::new().await;
    let request = world.request().methods(["GET"]);
    let minted = world.tokens.mint(request).await.unwrap();
    world.present(minted.clear.expose()).await.passed();
    let post = with_token(minted.clear.expose()).method("POST");
    let answer = world.ask(post).await;
    assert_eq!(answer.refused(), Code::ScopeInsufficient);
    assert_eq!(answer.status, 403);
}

// Condition 10.
#[tokio::test]
async fn refuses_another_path_and_one_that_is_not_canonical() {
    let world = World::new().await;
    let request = world.request().paths(["/orders/**"]);
    let minted = world.tokens.mint(request).await.unwrap();
    let asked = |path: &str| with_token(minted.clear.expose()).uri(path);
    world.ask(asked("/orders/7?x=/../..")).await.passed();
    for path in [
        "/refunds",
        "/ordersx",
        "/orders/../refunds",
        "/orders/%2e%2e/refunds",
        "/orders//7",
        "/orders/a%2fb",
        "/orders/a%5Cb",
        "/orders/a%00",
    ] {
        let answer = world.ask(asked(path)).await;
        assert_eq!(answer.refused(), Code::ScopeInsufficient, "{path}");
    }
}

// Condition 11.
#[tokio::test]
async fn refuses_another_address_and_one_that_nobody_knows() {
    let world = World::new().await;
    let request = world.request().networks(["10.0.0.0/8".parse().unwrap()]);
    let minted = world.tokens.mint(request).await.unwrap();
    let asked = || with_token(minted.clear.expose());
    world
        .ask(asked().extension(from("10.1.2.3")))
        .await
        .passed();
    let mapped = asked().extension(from("::ffff:10.1.2.3"));
    world.ask(mapped).await.passed();
    for request in [asked().extension(from("192.0.2.1")), asked()] {
        let answer = world.ask(request).await;
        assert_eq!(answer.refused(), Code::ScopeInsufficient);
    }
}

#[tokio::test]
async fn a_refused_token_is_not_a_missing_one() {
    use crate::authenticate::{Authenticate, Authenticated};
    use crate::gate::{Gate, Link};
    let world = World::new().await;
    let layer = VerifyServiceTokenLayer::new(world.tokens.clone()).optional();
    let handler = tower::service_fn(|_: Request<String>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let gate = Gate::new(handler, Link::first(Authenticated::new(layer)));
    let missing = Request::get("/").body(String::new()).unwrap();
    assert_eq!(gate.clone().oneshot(missing).await.unwrap().status(), 200);
    let unknown = with_token(&forged("test", "AAAAAAAAAAAA", b'x'));
    let unknown = unknown.body(String::new()).unwrap();
    assert_eq!(gate.oneshot(unknown).await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_handler_gets_the_token_as_a_sensitive_header() {
    let world = World::new().await;
    let minted = world.mint().await;
    let handler = tower::service_fn(|request: Request<String>| async move {
        assert!(request.headers()["x-service-token"].is_sensitive());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let settings = Settings::default().with_clock(world.clock.clone());
    let service = OpenContextLayer::new(settings)
        .layer(VerifyServiceTokenLayer::new(world.tokens.clone()).layer(handler));
    let request = with_token(minted.clear.expose())
        .body(String::new())
        .unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
}
