//! What is taken back in one instance is refused in the other, whether it was verified before or
//! not.

use std::{sync::Arc, time::Duration};

use zt_core::{
    clock::{Clock, ManualClock},
    decision::Code,
    state::{MemoryFeed, Sanction, SanctionAction, SanctionTarget, Sanctions},
    store::MemoryStore,
};
use zt_jwt::{
    Algorithm, Refusal, TokenCache, Verifier,
    testing::{TestIssuer, TestToken},
};

use crate::support::{AUDIENCE, Door};

/// What all instances share.
struct Cluster {
    clock: ManualClock,
    issuer: TestIssuer,
    store: Arc<MemoryStore>,
    feed: MemoryFeed,
}

/// One process: a verifier of its own, a view of its own.
struct Instance {
    sanctions: Sanctions,
    verifier: Verifier,
    cache: TokenCache,
    door: Door,
}

impl Cluster {
    fn new() -> Self {
        let clock = ManualClock::default();
        Self {
            issuer: TestIssuer::offline().with_clock(clock.clone()),
            store: Arc::new(MemoryStore::new(clock.clone())),
            feed: MemoryFeed::new(clock.clone()),
            clock,
        }
    }

    async fn join(&self) -> Instance {
        let sanctions = Sanctions::builder(self.clock.clone())
            .store(self.store.clone())
            .feed(Arc::new(self.feed.clone()))
            .open()
            .await
            .unwrap();
        tokio::spawn(sanctions.follow());
        let cache = TokenCache::new(Default::default());
        let verifier = Verifier::builder()
            .issuer(self.issuer.issuer(AUDIENCE))
            .clock(self.clock.clone())
            .sanctions(sanctions.clone())
            .cache(cache.clone())
            .build()
            .unwrap();
        settle().await;
        Instance {
            door: Door::new(&verifier, self.clock.clone()),
            sanctions,
            verifier,
            cache,
        }
    }

    fn token(&self) -> TestToken {
        self.issuer
            .token("ada")
            .audience(AUDIENCE)
            .lives(Duration::from_secs(3_600))
    }

    /// Lets time pass, and heartbeats be heard.
    async fn pass(&self, span: Duration) {
        let step = Duration::from_millis(100);
        let mut left = span;
        while !left.is_zero() {
            self.clock.advance(step.min(left));
            left = left.saturating_sub(step);
            settle().await;
        }
    }
}

/// Lets every task go on for as long as it can without time moving.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn revoke(target: SanctionTarget) -> Sanction {
    Sanction {
        target,
        action: SanctionAction::Revoke,
        reason: "stolen".into(),
        author: "root".into(),
        expires: None,
    }
}

/// What is struck by each target: the first token, and not the second.
fn cases(cluster: &Cluster) -> Vec<(SanctionTarget, String, String)> {
    let now = cluster.clock.now().unwrap();
    let later = |token: TestToken| token.claim("iat", now.as_secs() + 20);
    let kid = cluster.issuer.kid(Algorithm::EdDsa);
    vec![
        (
            SanctionTarget::Token("t-1".into()),
            cluster.token().id("t-1").mint(),
            cluster.token().id("t-2").mint(),
        ),
        (
            SanctionTarget::Session("s-1".into()),
            cluster.token().session("s-1").mint(),
            cluster.token().session("s-2").mint(),
        ),
        (
            SanctionTarget::Subject {
                issuer: Some(cluster.issuer.name().into()),
                subject: "ada".into(),
                before: now + Duration::from_secs(10),
            },
            cluster.token().mint(),
            // Issued after that, within the leeway.
            later(cluster.token()).mint(),
        ),
        (
            SanctionTarget::Key(kid.into()),
            cluster.token().algorithm(Algorithm::EdDsa).mint(),
            cluster.token().mint(),
        ),
    ]
}

#[tokio::test]
async fn what_is_revoked_in_one_instance_is_refused_in_the_other_within_a_second() {
    for case in 0..4 {
        for remembered in [true, false] {
            let cluster = Cluster::new();
            let (one, two) = (cluster.join().await, cluster.join().await);
            let (target, struck, spared) = cases(&cluster).swap_remove(case);
            if remembered {
                for instance in [&one, &two] {
                    for token in [&struck, &spared] {
                        assert!(instance.door.bearer(token).await.is_good());
                    }
                    assert_eq!(instance.cache.len(), 2);
                }
            }

            one.sanctions.impose(revoke(target.clone())).await.unwrap();
            // Here at once.
            let answer = one.door.bearer(&struck).await;
            answer.assert_refused(Code::CredentialRevoked);
            // There as soon as it was heard, and no time has to pass for that.
            settle().await;
            let answer = two.door.bearer(&struck).await;
            answer.assert_refused(Code::CredentialRevoked);
            let refused = two.verifier.verify(&struck, None).await.unwrap_err();
            assert_eq!(refused.refusal(), Refusal::Revoked);
            for instance in [&one, &two] {
                assert!(instance.door.bearer(&spared).await.is_good(), "{target:?}");
            }

            // One that starts afterwards knows it too.
            let three = cluster.join().await;
            let answer = three.door.bearer(&struck).await;
            answer.assert_refused(Code::CredentialRevoked);

            two.sanctions
                .lift(&target, "root", "a mistake")
                .await
                .unwrap();
            settle().await;
            for instance in [&one, &two, &three] {
                assert!(instance.door.bearer(&struck).await.is_good(), "{target:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_that_does_not_say_when_it_was_issued_is_struck_with_its_subject() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    let token = cluster.token().without("iat").mint();
    assert!(one.door.bearer(&token).await.is_good());
    let target = SanctionTarget::Subject {
        issuer: None,
        subject: "ada".into(),
        before: cluster.clock.now().unwrap(),
    };
    one.sanctions.impose(revoke(target)).await.unwrap();
    let answer = one.door.bearer(&token).await;
    answer.assert_refused(Code::CredentialRevoked);
}

#[tokio::test]
async fn a_view_that_has_heard_nothing_for_five_seconds_refuses_what_it_remembers() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    let token = cluster.token().mint();
    assert!(one.door.bearer(&token).await.is_good());
    cluster.pass(Duration::from_secs(60)).await;
    assert!(one.door.bearer(&token).await.is_good());

    cluster.feed.fail();
    settle().await;
    cluster.pass(Duration::from_secs(4)).await;
    assert!(one.door.bearer(&token).await.is_good());
    cluster.pass(Duration::from_millis(1_100)).await;
    for token in [&token, &cluster.token().mint()] {
        let answer = one.door.bearer(token).await;
        answer.assert_unavailable(Code::StoreUnavailable);
    }
    // A token that is bad in itself is still its bearer's fault.
    let expired = cluster.token().claim("exp", 1).mint();
    let answer = one.door.bearer(&expired).await;
    answer.assert_refused(Code::CredentialExpired);

    cluster.feed.heal();
    cluster.pass(Duration::from_millis(1_100)).await;
    assert!(one.door.bearer(&token).await.is_good());
}

#[tokio::test]
async fn what_was_revoked_while_nobody_could_be_told_strikes_as_soon_as_the_view_is_fresh() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.join().await, cluster.join().await);
    let token = cluster.token().session("s-1").mint();
    for instance in [&one, &two] {
        assert!(instance.door.bearer(&token).await.is_good());
    }
    cluster.feed.fail();
    settle().await;
    let target = SanctionTarget::Session("s-1".into());
    // It holds here, and says that others may not know.
    assert!(one.sanctions.impose(revoke(target)).await.is_err());
    let answer = one.door.bearer(&token).await;
    answer.assert_refused(Code::CredentialRevoked);

    cluster.feed.heal();
    cluster.pass(Duration::from_secs(3)).await;
    let answer = two.door.bearer(&token).await;
    answer.assert_refused(Code::CredentialRevoked);
}

#[tokio::test]
async fn a_quarantine_is_403_and_tells_nobody_to_get_another_token() {
    let cluster = Cluster::new();
    let one = cluster.join().await;
    let token = cluster.token().id("t-1").mint();
    assert!(one.door.bearer(&token).await.is_good());
    let mut sanction = revoke(SanctionTarget::Token("t-1".into()));
    sanction.action = SanctionAction::Quarantine;
    one.sanctions.impose(sanction).await.unwrap();
    let answer = one.door.bearer(&token).await;
    answer.assert_refused(Code::Quarantined);
    assert!(!answer.headers.contains_key("www-authenticate"));
}
