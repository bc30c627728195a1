//! Strangers who invent ids of keys.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use zt_core::clock::{Clock, ManualClock};
use zt_jwt::{
    Refusal, TokenCache, Verifier,
    jwks::RefreshSettings,
    testing::{Behaviour, TestIssuer},
};

use crate::support::{AUDIENCE, COOLDOWN, base64url, unsigned, until};

const KIDS: usize = 100_000;
const SPRAYERS: usize = 2;

struct World {
    clock: ManualClock,
    issuer: TestIssuer,
    verifier: Verifier,
    cache: TokenCache,
}

impl World {
    async fn new(settings: RefreshSettings) -> Self {
        let clock = ManualClock::default();
        let issuer = TestIssuer::start().await.with_clock(clock.clone());
        let cache = TokenCache::new(Default::default());
        let verifier = Verifier::builder()
            .issuer(issuer.issuer(AUDIENCE).refresh(settings))
            .clock(clock.clone())
            .cache(cache.clone())
            .build()
            .unwrap();
        Self {
            clock,
            issuer,
            verifier,
            cache,
        }
    }

    fn good(&self) -> String {
        self.issuer.token("ada").audience(AUDIENCE).mint()
    }

    /// Sprays `kids` ids that nobody has used before, and says how many were answered how.
    async fn spray(&self, kids: std::ops::Range<usize>) {
        let tail = format!("e30.{}", base64url([0x5a; 64]));
        for number in kids {
            let header = base64url(format!(
                r#"{{"alg":"ES256","kid":"{:x}-{number}"}}"#,
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ));
            let token = format!("{header}.{tail}");
            let refused = self.verifier.verify(&token, None).await.unwrap_err();
            assert_eq!(refused.refusal(), Refusal::UnknownKey);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_kids_cause_one_fetch_in_each_cooldown() {
    let world = std::sync::Arc::new(World::new(RefreshSettings::default()).await);
    world.verifier.fetch_keys().await.unwrap();
    assert_eq!(world.issuer.jwks_requests(), 1);
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let good = tokio::spawn({
        let (world, done) = (world.clone(), done.clone());
        async move {
            let mut passed = 0;
            while !done.load(Ordering::SeqCst) || passed < 100 {
                let verified = world.verifier.verify(&world.good(), None).now_or_never();
                assert!(verified.expect("its key is known").is_ok());
                passed += 1;
                tokio::task::yield_now().await;
            }
            passed
        }
    });

    let (mut moved, half) = (0, KIDS / 2 / SPRAYERS);
    for phase in 0..2 {
        let sprayers: Vec<_> = (0..SPRAYERS)
            .map(|sprayer| {
                let world = world.clone();
                let first = (phase * SPRAYERS + sprayer) * half;
                tokio::spawn(async move { world.spray(first..first + half).await })
            })
            .collect();
        for sprayer in sprayers {
            sprayer.await.unwrap();
        }
        // No time has passed since the last fetch, or one cooldown has.
        assert_eq!(world.issuer.jwks_requests(), 1 + moved);
        world.clock.advance(COOLDOWN);
        moved += 1;
    }
    done.store(true, Ordering::SeqCst);
    let passed = good.await.unwrap();
    assert_eq!(world.issuer.discovery_requests(), 1);
    // Nothing of what strangers invent is remembered.
    assert_eq!(world.cache.len(), passed);
    let (_, status) = world.verifier.keys_status().remove(0);
    assert_eq!(status.waiting, 0);
    println!("{KIDS} unknown ids: 2 fetches, 1 of them the first; {passed} good tokens passed");
}

#[tokio::test]
async fn a_spray_while_nothing_is_known_yet_is_one_fetch_too() {
    let world = World::new(RefreshSettings::default()).await;
    let asked: FuturesUnordered<_> = (0..2_000)
        .map(|number| {
            let verifier = world.verifier.clone();
            async move {
                verifier
                    .verify(&unsigned(&format!("k{number}")), None)
                    .await
            }
        })
        .collect();
    let answers: Vec<_> = asked.collect().await;
    assert_eq!(answers.len(), 2_000);
    for answer in answers {
        assert_eq!(answer.unwrap_err().refusal(), Refusal::UnknownKey);
    }
    assert_eq!(
        (
            world.issuer.discovery_requests(),
            world.issuer.jwks_requests()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn while_the_issuer_is_slow_a_spray_waits_in_a_room_of_bounded_size() {
    let seats = 500;
    let world = World::new(RefreshSettings::default().max_waiting(seats)).await;
    world.verifier.fetch_keys().await.unwrap();
    world.issuer.behave(Behaviour::Hanging);
    world.clock.advance(COOLDOWN);

    let mut waiting = FuturesUnordered::new();
    let mut crowded = 0;
    for number in 0..5_000 {
        let verifier = world.verifier.clone();
        let token = unsigned(&format!("k{number}"));
        let mut asked = Box::pin(async move { verifier.verify(&token, None).await });
        match (&mut asked).now_or_never() {
            None => waiting.push(asked),
            Some(answer) => {
                let refused = answer.unwrap_err();
                assert_eq!(refused.refusal(), Refusal::Crowded);
                let denial = refused.denial();
                assert_eq!(denial.status(), 503);
                assert!(denial.retry_after_secs().is_some());
                crowded += 1;
            }
        }
        // Good tokens, new or seen before, do not queue behind any of them.
        if number % 50 == 0 {
            let good = world.good();
            for _ in 0..2 {
                let verified = world.verifier.verify(&good, None).now_or_never();
                assert!(verified.expect("its key is known").is_ok());
            }
        }
    }
    assert_eq!((waiting.len(), crowded), (seats, 4_500));
    let status = || world.verifier.keys_status().remove(0).1;
    assert_eq!(status().waiting, seats);
    until("the one fetch has come", || {
        world.issuer.jwks_requests() == 2
    })
    .await;

    // Somebody who goes away leaves a seat.
    let gone: Vec<_> = std::mem::take(&mut waiting).into_iter().collect();
    let mut gone = gone.into_iter();
    drop(gone.next());
    assert_eq!(status().waiting, seats - 1);
    let waiting: FuturesUnordered<_> = gone.collect();

    // The fetch is given up on after five seconds; then everybody is told to come back.
    let given_up = world.clock.monotonic() + Duration::from_secs(5);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.clock.monotonic(), given_up);
    let answers: Vec<_> = waiting.collect().await;
    assert_eq!(answers.len(), seats - 1);
    for answer in answers {
        assert_eq!(answer.unwrap_err().refusal(), Refusal::Keys);
    }
    assert_eq!(status().waiting, 0);
    assert_eq!(world.issuer.jwks_requests(), 2);
}
