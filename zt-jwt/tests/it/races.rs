//! Many tasks, one verifier.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use zt_core::clock::ManualClock;
use zt_jwt::{
    Algorithm, Refusal, TokenCache, Verifier,
    testing::{Behaviour, TestIssuer},
};

use crate::support::{AUDIENCE, COOLDOWN, until};

struct World {
    clock: ManualClock,
    issuer: TestIssuer,
    verifier: Verifier,
    cache: TokenCache,
}

impl World {
    async fn new() -> Arc<Self> {
        let clock = ManualClock::default();
        let issuer = TestIssuer::start().await.with_clock(clock.clone());
        let issuer = issuer.with_algorithms([Algorithm::Es256]);
        let cache = TokenCache::new(Default::default());
        let verifier = Verifier::builder()
            .issuer(issuer.issuer(AUDIENCE))
            .clock(clock.clone())
            .cache(cache.clone())
            .build()
            .unwrap();
        Arc::new(Self {
            clock,
            issuer,
            verifier,
            cache,
        })
    }

    fn token(&self, subject: &str) -> String {
        self.issuer
            .token(subject)
            .audience(AUDIENCE)
            .lives(Duration::from_secs(36_000))
            .mint()
    }

    async fn refresh(&self) {
        self.clock.advance(COOLDOWN);
        self.verifier.fetch_keys().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_with_the_same_cold_token_agree() {
    let world = World::new().await;
    for round in 0..40_usize {
        let subject = format!("ada-{round}");
        let good = world.token(&subject);
        let forged = format!("{}.{}", &good[..good.rfind('.').unwrap()], "A".repeat(86));
        let tasks: Vec<_> = (0..32)
            .map(|number| {
                let verifier = world.verifier.clone();
                let is_good = number % 4 != 0;
                let token = if is_good {
                    good.clone()
                } else {
                    forged.clone()
                };
                tokio::spawn(async move { (is_good, verifier.verify(&token, None).await) })
            })
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                (true, Ok(principal)) => assert_eq!(principal.subject(), subject),
                (false, Err(refused)) => assert_eq!(refused.refusal(), Refusal::Signature),
                other => panic!("{other:?}"),
            }
        }
        // The good one is there once, the forged one never.
        assert_eq!(world.cache.len(), round + 1);
    }
    assert_eq!(world.issuer.jwks_requests(), 1);
}

/// A token is verified with a key while that key is taken away: whatever comes of the race itself,
/// nothing may be remembered that passes afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_is_removed_leaves_nothing_behind_that_passes() {
    const ROTATIONS: usize = 60;
    let world = World::new().await;
    world.verifier.fetch_keys().await.unwrap();
    // Tokens of one generation each, and which generations are known to be gone.
    let tokens = Arc::new(std::sync::Mutex::new(vec![world.token("g0")]));
    let gone = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let (passed, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (world, tokens, gone) = (world.clone(), tokens.clone(), gone.clone());
            let (done, passed, refused) = (done.clone(), passed.clone(), refused.clone());
            tokio::spawn(async move {
                let mut turn = number;
                while !done.load(Ordering::SeqCst) {
                    turn += 1;
                    let (generation, token) = {
                        let tokens = tokens.lock().unwrap();
                        // The current one, or the one before.
                        let last = tokens.len() - 1;
                        let generation = last.saturating_sub(turn % 2);
                        (generation, tokens[generation].clone())
                    };
                    let before = gone.load(Ordering::SeqCst);
                    let verified = world.verifier.verify(&token, None).await;
                    if verified.is_ok() {
                        passed.fetch_add(1, Ordering::SeqCst);
                        assert!(generation >= before, "{generation} passed after {before}");
                    } else {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();

    for rotation in 1..=ROTATIONS {
        if rotation % 3 == 0 {
            world.issuer.swap_key_under_same_kid();
        } else {
            world.issuer.rotate();
        }
        let token = world.token(&format!("g{rotation}"));
        // The fetch begins while the old key's token is being verified everywhere.
        world.refresh().await;
        gone.store(rotation, Ordering::SeqCst);
        let before = tokens.lock().unwrap()[rotation - 1].clone();
        for _ in 0..20 {
            assert!(world.verifier.verify(&before, None).await.is_err());
        }
        assert!(world.verifier.verify(&token, None).await.is_ok());
        tokens.lock().unwrap().push(token);
        let target = passed.load(Ordering::SeqCst) + 16;
        until("the tasks have come round", || {
            passed.load(Ordering::SeqCst) >= target || tasks.iter().any(|task| task.is_finished())
        })
        .await;
    }
    done.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    for (generation, token) in tokens.lock().unwrap().iter().enumerate() {
        let verified = futures_util::FutureExt::now_or_never(world.verifier.verify(token, None));
        assert_eq!(verified.unwrap().is_ok(), generation == ROTATIONS);
    }
    let (passed, refused) = (
        passed.load(Ordering::SeqCst),
        refused.load(Ordering::SeqCst),
    );
    println!("{ROTATIONS} keys removed under {passed} good and {refused} refused verifications");
}

/// A request that goes away while keys are fetched takes nobody along.
#[tokio::test]
async fn whoever_gives_up_waiting_leaves_the_fetch_to_the_others() {
    let world = World::new().await;
    world.issuer.behave(Behaviour::Hanging);
    let token = world.token("ada");
    let spawn = || {
        let (verifier, token) = (world.verifier.clone(), token.clone());
        tokio::spawn(async move { verifier.verify(&token, None).await })
    };
    let (first, second) = (spawn(), spawn());
    until("it is asked", || world.issuer.discovery_requests() == 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    world.issuer.behave(Behaviour::Well);
    assert!(second.await.unwrap().is_ok());
    assert_eq!(world.issuer.jwks_requests(), 1);
}
