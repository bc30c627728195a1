//! Logs that ask back, health routes that nobody else calls, addresses with secrets.

use std::sync::mpsc;

use tower::{Layer, ServiceExt};
use zt_core::state::Readiness;

use super::*;
use crate::http::HttpService;

#[test]
fn a_log_that_asks_how_tokens_stand_gets_an_answer() {
    let (told, failures) = mpsc::channel();
    std::thread::spawn(move || {
        let clock = ManualClock::default();
        let runtime = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap()
        };
        // The line is known before anybody listens to it.
        let before = tokens(Issuer::new(Mode::Down), &clock);
        runtime().block_on(before.token()).unwrap_err();
        let tokens = tokens(Issuer::new(Mode::Down), &clock);
        let _here = crate::test_log::listen({
            let tokens = tokens.clone();
            // As one that exports metrics may.
            move |_| told.send(tokens.status().failures).unwrap_or_default()
        });
        runtime().block_on(tokens.token()).unwrap_err();
    });
    // Waits for ever where the log waits for itself.
    assert_eq!(failures.recv_timeout(60 * SECOND), Ok(1));
}

#[tokio::test]
async fn a_process_that_gets_requests_only_when_it_is_ready_becomes_ready() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Good(1_000 * SECOND));
    let tokens = tokens(issuer.clone(), &clock);
    let readiness = Readiness::default();
    tokens.register(&readiness, "outbound");
    assert!(!readiness.status().ready);
    settle().await;
    assert!(readiness.status().ready);

    // Nobody calls anybody for an hour.
    clock.advance(3_600 * SECOND);
    assert!(!readiness.status().ready);
    settle().await;
    assert!(readiness.status().ready);
    assert_eq!(issuer.asked(), 2);

    // However often it is asked, the issuer is not.
    issuer.set(Mode::RetryAfter(100 * SECOND));
    clock.advance(3_600 * SECOND);
    for _ in 0..1_000 {
        assert!(!readiness.status().ready);
        settle().await;
    }
    assert_eq!(issuer.asked(), 3);
}

#[test]
fn debug_shows_nothing_of_an_address_that_may_be_secret() {
    for address in [
        "https://login.example/token?code=s3cret",
        "https://u:s3cret@login.example/token",
    ] {
        let authentication = ClientAuthentication::SecretBasic {
            secret: "s3cret".into(),
        };
        let config = ClientCredentialsConfig::new(address, "billing", authentication);
        let mut shown = format!("{config:?}");
        assert!(shown.contains("billing"), "{shown}");
        let http = HttpService::new(http_client());
        match ClientCredentials::new(config, http) {
            Ok(source) => {
                shown.push_str(&format!("{source:?}"));
                shown.push_str(&format!("{:?}", Tokens::builder(source)));
            }
            Err(error) => shown.push_str(&format!("{error} {error:?}")),
        }
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_wall_clock_that_jumped_ahead_and_back_makes_no_token_last_longer() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Good(1_000 * SECOND));
    let tokens = tokens(issuer.clone(), &clock);
    let right = clock.now().unwrap();
    clock.set_wall(right + 86_400 * SECOND);
    assert_eq!(text(&tokens).await, "t1");
    clock.set_wall(right);
    issuer.set(Mode::Down);
    clock.advance(994 * SECOND);
    assert_eq!(text(&tokens).await, "t1");
    settle().await;
    clock.advance(SECOND);
    let error = tokens.token().await.unwrap_err();
    assert!(matches!(error, Unavailable::Source { .. }), "{error}");
    assert!(!tokens.status().usable);
}

/// As where a gateway passes on whatever method a stranger sends.
#[tokio::test]
async fn a_trace_does_not_have_the_token_sent_back_to_whoever_asks() {
    let tokens = tokens(
        Issuer::new(Mode::Good(1_000 * SECOND)),
        &ManualClock::default(),
    );
    let orders = Destinations::only(["https://orders.internal"]).unwrap();
    let layer = AttachTokenLayer::new(tokens, orders)
        .unwrap()
        .bare_elsewhere();
    let echo = tower::service_fn(|request: Request<()>| async move {
        Ok::<_, Infallible>(Response::new(request.headers().clone()))
    });
    let client = layer.layer(echo);
    let trace = |uri| Request::trace(uri).body(()).unwrap();
    let answer = client.clone().oneshot(trace("https://orders.internal/"));
    assert!(matches!(answer.await, Err(AttachError::Trace)));
    let answer = client.oneshot(trace("https://elsewhere.example/"));
    assert!(answer.await.unwrap().into_body().is_empty());
}
