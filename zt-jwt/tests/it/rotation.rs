//! Keys that change while requests come in, fetched over a socket.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use zt_core::{clock::ManualClock, decision::Code};
use zt_jwt::{
    Algorithm, Verifier,
    testing::{Behaviour, TestIssuer},
};

use crate::support::{AUDIENCE, COOLDOWN, Door, until};

const TASKS: usize = 8;
const REQUESTS: usize = 5_000;

struct World {
    clock: ManualClock,
    issuer: TestIssuer,
    verifier: Verifier,
    door: Door,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::default();
        // Of one algorithm: a set has a hundred keys at most, and many are published here.
        let issuer = TestIssuer::start().await.with_clock(clock.clone());
        let issuer = issuer.with_algorithms([Algorithm::Es256]);
        let verifier = Verifier::builder()
            .issuer(issuer.issuer(AUDIENCE))
            .clock(clock.clone())
            .build()
            .unwrap();
        let door = Door::new(&verifier, clock.clone());
        Self {
            clock,
            issuer,
            verifier,
            door,
        }
    }

    fn good(&self) -> String {
        self.issuer
            .token("ada")
            .audience(AUDIENCE)
            .lives(Duration::from_secs(3_600))
            .mint()
    }

    /// How long ago the issuer gave its keys, or confirmed them.
    fn age(&self) -> Option<Duration> {
        self.verifier.keys_status().remove(0).1.age
    }

    /// Asks for keys, when it is time to.
    async fn refresh(&self) {
        self.clock.advance(COOLDOWN);
        self.verifier.fetch_keys().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_with_a_good_token_is_refused_while_keys_rotate() {
    let world = Arc::new(World::new().await);
    let served = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (world, served) = (world.clone(), served.clone());
            tokio::spawn(async move {
                let mut token = world.good();
                while served.fetch_add(1, Ordering::SeqCst) < REQUESTS {
                    // Each token comes twice: cold, and then remembered unless keys have gone.
                    for _ in 0..2 {
                        let answer = world.door.bearer(&token).await;
                        assert!(answer.is_good(), "{answer:?}");
                    }
                    token = world.good();
                    // As a server would: others get their turn.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();

    let is_done = tokio::task::JoinHandle::<()>::is_finished;
    let (mut rotations, mut announced) = (0_u32, 0_u32);
    let mut next = REQUESTS / 60;
    loop {
        let enough = || served.load(Ordering::SeqCst) >= next || tasks.iter().any(is_done);
        until("more requests were served", enough).await;
        if served.load(Ordering::SeqCst) >= REQUESTS || tasks.iter().any(is_done) {
            break;
        }
        next += REQUESTS / 50;
        // The clock stands still as long as a fetch is on its way: it has a deadline.
        until("the keys are there", || world.age() == Some(Duration::ZERO)).await;
        if rotations.is_multiple_of(2) {
            // As it should be: published first, known everywhere, and then used.
            world.issuer.add_next_key();
            world.refresh().await;
            announced += 1;
        } else {
            // As it happens: used at the moment at which it is published.
            world.clock.advance(COOLDOWN);
        }
        world.issuer.use_next_key();
        rotations += 1;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(rotations >= 20, "{rotations}");
    let asked = world.issuer.jwks_requests();
    assert!(asked <= u64::from(rotations) + 2, "{asked} for {rotations}");
    println!(
        "{} good tokens served in {} requests, {rotations} rotations, {announced} of them \
         announced, {asked} fetches",
        world.door.reached() / 2,
        world.door.reached(),
    );
}

#[tokio::test]
async fn a_retired_key_takes_its_tokens_along_also_those_that_are_remembered() {
    let world = World::new().await;
    let (cold, remembered) = (world.good(), world.good());
    for _ in 0..3 {
        assert!(world.door.bearer(&remembered).await.is_good());
    }
    world.issuer.use_next_key();
    world.refresh().await;
    // Still published, so still good.
    for token in [&cold, &remembered, &world.good()] {
        assert!(world.door.bearer(token).await.is_good());
    }
    world.issuer.retire_old_keys();
    // The issuer has said so, and nobody has heard it yet.
    assert!(world.door.bearer(&remembered).await.is_good());
    world.refresh().await;
    for token in [&cold, &remembered] {
        for _ in 0..2 {
            let answer = world.door.bearer(token).await;
            answer.assert_refused(Code::CredentialInvalid);
        }
    }
    assert!(world.door.bearer(&world.good()).await.is_good());
}

#[tokio::test]
async fn a_key_that_is_swapped_under_its_id_takes_its_tokens_along() {
    let world = World::new().await;
    let old = world.good();
    assert!(world.door.bearer(&old).await.is_good());
    world.issuer.swap_key_under_same_kid();
    // Its id is known, so nobody asks; what it signs does not hold until the next refresh.
    let new = world.good();
    let answer = world.door.bearer(&new).await;
    answer.assert_refused(Code::CredentialInvalid);
    world.refresh().await;
    assert!(world.door.bearer(&new).await.is_good());
    let answer = world.door.bearer(&old).await;
    answer.assert_refused(Code::CredentialInvalid);
}

#[tokio::test]
async fn keys_that_come_back_do_not_bring_what_was_remembered_back() {
    let world = World::new().await;
    let token = world.good();
    assert!(world.door.bearer(&token).await.is_good());
    world
        .issuer
        .behave_at(zt_jwt::testing::Endpoint::Keys, Behaviour::EmptySet);
    world.clock.advance(COOLDOWN);
    assert!(world.verifier.fetch_keys().await.is_err());
    let answer = world.door.bearer(&token).await;
    answer.assert_unavailable(Code::KeysUnavailable);
    world.issuer.behave(Behaviour::Well);
    world.refresh().await;
    // Good again, since its key is: it was verified anew.
    assert!(world.door.bearer(&token).await.is_good());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_tokens_under_a_new_key_all_pass_however_many_come_at_once() {
    let world = Arc::new(World::new().await);
    world.verifier.fetch_keys().await.unwrap();
    for round in 0..60 {
        world.issuer.use_next_key();
        world.clock.advance(COOLDOWN);
        let go = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..64)
            .map(|number| {
                let (world, go) = (world.clone(), go.clone());
                tokio::spawn(async move {
                    let token = world.good();
                    while !go.load(Ordering::SeqCst) {
                        tokio::task::yield_now().await;
                    }
                    // One after the other, so that some come just when the fetch lands.
                    for _ in 0..number {
                        tokio::task::yield_now().await;
                    }
                    world.verifier.verify(&token, None).await
                })
            })
            .collect();
        go.store(true, Ordering::SeqCst);
        for task in tasks {
            let verified = task.await.unwrap();
            let status = world.verifier.keys_status();
            assert!(verified.is_ok(), "round {round}: {verified:?}, {status:?}");
        }
    }
}
