use futures_util::FutureExt;
use zt_core::state::Readiness;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_token_within_the_margin_of_its_end_is_not_given_out() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Good(100 * SECOND));
    let tokens = tokens(issuer.clone(), &clock);
    assert_eq!(text(&tokens).await, "t1");
    issuer.set(Mode::Down);
    clock.advance(94 * SECOND);
    assert_eq!(text(&tokens).await, "t1");
    settle().await;
    clock.advance(SECOND);
    let error = tokens.token().await.unwrap_err();
    assert!(matches!(error, Unavailable::Source { .. }), "{error}");
}

#[tokio::test]
async fn a_token_that_ends_at_once_is_worth_nothing() {
    let clock = ManualClock::default();
    let tokens = tokens(Issuer::new(Mode::Good(5 * SECOND)), &clock);
    let error = tokens.token().await.unwrap_err();
    let Unavailable::Source { cause, retry_after } = error else {
        panic!("{error}");
    };
    assert!(matches!(*cause, SourceError::EndsSoon(_)), "{cause}");
    assert_eq!(retry_after, SECOND);
}

#[tokio::test]
async fn many_callers_cause_one_question() {
    let clock = ManualClock::default();
    let issuer = Issuer::shut(Mode::Good(HOUR));
    let tokens = tokens(issuer.clone(), &clock);
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { text(&tokens).await })
        })
        .collect();
    settle().await;
    assert!(callers.iter().all(|caller| !caller.is_finished()));
    issuer.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "t1");
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_cancel_the_question() {
    let clock = ManualClock::default();
    let issuer = Issuer::shut(Mode::Good(HOUR));
    let tokens = tokens(issuer.clone(), &clock);
    {
        let mut caller = Box::pin(tokens.token());
        assert!((&mut caller).now_or_never().is_none());
        settle().await;
        assert_eq!(issuer.asked(), 1);
    }
    issuer.open();
    settle().await;
    assert!(tokens.status().usable);
    assert_eq!(text(&tokens).await, "t1");
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn renewal_slows_nobody_down() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Good(HOUR));
    let tokens = tokens(issuer.clone(), &clock);
    assert_eq!(text(&tokens).await, "t1");

    issuer.shut_again();
    clock.advance(HOUR * 4 / 5 - SECOND);
    assert_eq!(text(&tokens).await, "t1");
    settle().await;
    assert_eq!(issuer.asked(), 1, "not before it is due");

    clock.advance(SECOND);
    for _ in 0..100 {
        let mut caller = Box::pin(tokens.token());
        assert!(matches!((&mut caller).now_or_never(), Some(Ok(_))));
    }
    settle().await;
    assert_eq!(issuer.asked(), 2);
    issuer.open();
    settle().await;
    assert_eq!(text(&tokens).await, "t2");
}

#[tokio::test]
async fn while_the_issuer_is_down_the_old_token_is_used_until_its_end_and_then_none() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Good(1_000 * SECOND));
    let tokens = tokens(issuer.clone(), &clock);
    assert_eq!(text(&tokens).await, "t1");

    issuer.set(Mode::Down);
    clock.advance(800 * SECOND);
    let mut asked_at = Vec::new();
    for second in 800..995 {
        let before = issuer.asked();
        assert_eq!(text(&tokens).await, "t1");
        settle().await;
        if issuer.asked() > before {
            asked_at.push(second - 800);
        }
        clock.advance(SECOND);
    }
    // 1, 2, 4, 8, 16, 32 and 60 seconds apart.
    assert_eq!(asked_at, [0, 1, 3, 7, 15, 31, 63, 123, 183]);

    let before = issuer.asked();
    let error = tokens.token().await.unwrap_err();
    let Unavailable::Source { cause, retry_after } = &error else {
        panic!("{error}");
    };
    assert!(cause.to_string().contains("down"));
    assert_eq!(*retry_after, 48 * SECOND);
    assert_eq!(issuer.asked(), before, "the issuer is left alone");
    assert_eq!(tokens.status().failures, 9);
    assert!(!tokens.status().usable);

    issuer.set(Mode::Good(HOUR));
    clock.advance(48 * SECOND);
    assert_eq!(text(&tokens).await, "t11");
    let status = tokens.status();
    assert!(status.usable && status.last_error.is_none() && status.failures == 0);
}

#[tokio::test]
async fn an_issuer_may_ask_for_a_longer_pause_but_not_for_any() {
    for (asked, granted) in [(120, 120), (86_400, 300), (0, 1)] {
        let clock = ManualClock::default();
        let issuer = Issuer::new(Mode::RetryAfter(asked * SECOND));
        let tokens = tokens(issuer, &clock);
        let error = tokens.token().await.unwrap_err();
        let Unavailable::Source { retry_after, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(retry_after, granted * SECOND);
    }
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_its_deadline() {
    let clock = ManualClock::default();
    let issuer = Issuer::shut(Mode::Good(HOUR));
    let tokens = tokens(issuer.clone(), &clock);
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    settle().await;
    clock.advance(3 * SECOND);
    let error = caller.await.unwrap().unwrap_err();
    assert!(
        matches!(error, Unavailable::TooSlow(span) if span == 3 * SECOND),
        "{error}"
    );

    // The question goes on, but not for ever.
    clock.advance(7 * SECOND);
    settle().await;
    let last = tokens.status().last_error.unwrap();
    assert!(matches!(*last, SourceError::TooSlow(_)), "{last}");
    clock.advance(SECOND);
    issuer.open();
    assert_eq!(text(&tokens).await, "t2");
}

#[tokio::test]
async fn no_more_wait_than_may() {
    let clock = ManualClock::default();
    let issuer = Issuer::shut(Mode::Good(HOUR));
    let tokens = Tokens::builder(issuer.clone())
        .clock(clock)
        .settings(TokenSettings::default().max_waiting(2))
        .build()
        .unwrap();
    let (mut one, mut two) = (Box::pin(tokens.token()), Box::pin(tokens.token()));
    assert!((&mut one).now_or_never().is_none() && (&mut two).now_or_never().is_none());
    assert!(matches!(tokens.token().await, Err(Unavailable::Crowded)));
    drop(two);
    let mut three = Box::pin(tokens.token());
    assert!((&mut three).now_or_never().is_none());
    issuer.open();
    assert!(one.await.is_ok() && three.await.is_ok());
}

#[tokio::test]
async fn a_source_that_panics_is_asked_again() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Panics);
    let tokens = tokens(issuer.clone(), &clock);
    let error = tokens.token().await.unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
    issuer.set(Mode::Good(HOUR));
    clock.advance(SECOND);
    assert_eq!(text(&tokens).await, "t2");
}

#[test]
fn a_runtime_that_ends_does_not_take_the_tokens_along() {
    let clock = ManualClock::default();
    let issuer = Issuer::shut(Mode::Good(HOUR));
    let tokens = tokens(issuer.clone(), &clock);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        assert!(tokens.token().now_or_never().is_none());
        settle().await;
        assert_eq!(issuer.asked(), 1);
    });
    issuer.open();
    clock.advance(SECOND);
    assert_eq!(runtime().block_on(text(&tokens)), "t2");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let tokens = tokens(Issuer::new(Mode::Good(HOUR)), &ManualClock::default());
    let answer = tokens.token().now_or_never().unwrap();
    assert!(matches!(answer, Err(Unavailable::NoRuntime)));
}

#[tokio::test]
async fn a_clock_that_cannot_answer_gives_no_token() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Good(HOUR));
    let tokens = tokens(issuer, &clock);
    tokens.ready().await.unwrap();
    clock.fail();
    assert!(matches!(tokens.token().await, Err(Unavailable::Clock(_))));

    // One that never ends needs no clock.
    let fixed = FixedToken::new(&"ztk_test_abc".into()).unwrap();
    let fixed = super::tokens(fixed, &clock);
    assert_eq!(text(&fixed).await, "ztk_test_abc");
}

#[tokio::test]
async fn a_token_is_kept_fresh_without_requests_until_nobody_holds_it() {
    let clock = ManualClock::default();
    let issuer = Issuer::new(Mode::Good(100 * SECOND));
    let tokens = tokens(issuer.clone(), &clock);
    let readiness = Readiness::default();
    tokens.register(&readiness, "outbound");
    assert!(!readiness.status().ready);
    let keeper = tokio::spawn(tokens.keep_fresh());
    settle().await;
    assert!(readiness.status().ready);
    for _ in 0..200 {
        clock.advance(SECOND);
        settle().await;
        assert!(tokens.status().usable);
    }
    assert_eq!(issuer.asked(), 3);
    // Over an outage too.
    issuer.set(Mode::Down);
    clock.advance(100 * SECOND);
    settle().await;
    assert!(!readiness.status().ready);
    issuer.set(Mode::Good(100 * SECOND));
    for _ in 0..60 {
        clock.advance(SECOND);
        settle().await;
    }
    assert!(readiness.status().ready);
    drop(tokens);
    clock.advance(HOUR);
    settle().await;
    assert!(keeper.is_finished());
    assert!(!readiness.status().ready);
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let default = TokenSettings::default();
    for bad in [
        default.margin_seconds(301),
        default.wait_ms(0),
        default.wait_ms(60_001),
        default.attempt_ms(0),
        default.attempt_ms(60_001),
        default.max_waiting(0),
        default.cooldown_seconds(0),
    ] {
        let built = Tokens::builder(Issuer::new(Mode::Down))
            .settings(bad)
            .build();
        assert!(
            matches!(built, Err(ConfigError::OutOfBounds { .. })),
            "{bad:?}"
        );
    }
    assert!(serde_json::from_str::<TokenSettings>(r#"{"margin": 1}"#).is_err());
}
