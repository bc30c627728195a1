//! Several instances over one store and one feed.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::{
    state::{Cursor, Entry, Feed, FeedError, HEARTBEAT, MAX_VIEW_AGE, Subscription, Topic},
    store::BoxFuture,
};

/// A feed in memory, that can be cut and can forget.
#[derive(Debug, Clone)]
struct TestFeed(Arc<FeedState>);

#[derive(Debug)]
struct FeedState {
    clock: ManualClock,
    entries: Mutex<Vec<Bytes>>,
    forgotten: Mutex<u64>,
    is_down: AtomicBool,
    news: Notify,
}

impl TestFeed {
    fn new(clock: &ManualClock) -> Self {
        Self(Arc::new(FeedState {
            clock: clock.clone(),
            entries: Mutex::default(),
            forgotten: Mutex::default(),
            is_down: AtomicBool::new(false),
            news: Notify::new(),
        }))
    }

    fn set_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::SeqCst);
    }

    fn len(&self) -> usize {
        self.0.entries.lock().unwrap().len()
    }

    fn forget(&self) {
        *self.0.forgotten.lock().unwrap() = self.len() as u64;
    }

    fn check(&self) -> Result<(), FeedError> {
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(FeedError::Unavailable("cut".into()));
        }
        Ok(())
    }
}

impl Feed for TestFeed {
    fn publish(&self, _: Topic, payload: Bytes) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        Box::pin(async move {
            self.check()?;
            let mut entries = self.0.entries.lock().unwrap();
            entries.push(payload);
            self.0.news.notify_waiters();
            Ok(Cursor(entries.len() as u64))
        })
    }

    fn newest(&self, _: Topic) -> BoxFuture<'_, Result<Cursor, FeedError>> {
        Box::pin(async move { self.check().map(|()| Cursor(self.len() as u64)) })
    }

    fn subscribe(&self, _: Topic, from: Cursor) -> Box<dyn Subscription> {
        Box::new(TestSubscription(self.clone(), from))
    }
}

struct TestSubscription(TestFeed, Cursor);

impl Subscription for TestSubscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, FeedError>> {
        Box::pin(async move {
            let feed = self.0.clone();
            let woken = feed.0.news.notified();
            feed.check()?;
            if self.1.0 < *feed.0.forgotten.lock().unwrap() {
                return Err(FeedError::Lost);
            }
            if feed.len() as u64 == self.1.0 {
                tokio::select! {
                    () = woken => {}
                    () = feed.0.clock.sleep(HEARTBEAT) => {}
                }
                feed.check()?;
            }
            let entries = feed.0.entries.lock().unwrap();
            let news: Vec<Entry> = entries
                .iter()
                .zip(1..)
                .map(|(payload, cursor)| Entry {
                    cursor: Cursor(cursor),
                    payload: payload.clone(),
                })
                .filter(|entry| entry.cursor > self.1)
                .collect();
            self.1 = Cursor(entries.len() as u64);
            Ok(news)
        })
    }
}

/// Two instances, of which both follow.
struct Shared {
    feed: TestFeed,
    clock: ManualClock,
    store: Arc<dyn Store>,
    a: ServiceTokens,
    b: ServiceTokens,
}

impl Shared {
    async fn new() -> Self {
        let clock = ManualClock::default();
        let feed = TestFeed::new(&clock);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
        let (a, b) = (
            opened(&store, &clock, &feed, 1).await,
            opened(&store, &clock, &feed, 2).await,
        );
        tokio::spawn(a.clone().follow());
        tokio::spawn(b.clone().follow());
        settle().await;
        Self {
            feed,
            clock,
            store,
            a,
            b,
        }
    }

    async fn mint(&self) -> MintedToken {
        let request = MintRequest::new("billing", "x").insecure_never_expires();
        self.a.mint(request).await.unwrap()
    }

    async fn present(&self, tokens: &ServiceTokens, token: &MintedToken) -> Answer {
        ask(tokens, &self.clock, with_token(token.clear.expose())).await
    }

    /// Time passes, and everybody gets their turn.
    async fn pass(&self, span: Duration) {
        let step = Duration::from_millis(100);
        let mut passed = Duration::ZERO;
        while passed < span {
            self.clock.advance(step);
            settle().await;
            passed += step;
        }
    }
}

async fn opened(
    store: &Arc<dyn Store>,
    clock: &ManualClock,
    feed: &TestFeed,
    seed: u64,
) -> ServiceTokens {
    let options =
        ServiceTokenOptions::new(ServiceTokenConfig::new("test")).feed(Arc::new(feed.clone()));
    ServiceTokens::open(Arc::clone(store), clock.clone(), seeded(options, seed))
        .await
        .unwrap()
}

/// On one thread: everything that can run has run.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn instances_hear_of_each_other() {
    let shared = Shared::new().await;
    let minted = shared.mint().await;
    settle().await;
    shared.present(&shared.b, &minted).await.passed();
    let rotated = shared.b.rotate(&minted.id, "ada", HOUR).await.unwrap();
    settle().await;
    shared.present(&shared.a, &rotated).await.passed();
    shared.a.revoke(&minted.id, "ada", "lost").await.unwrap();
    settle().await;
    for secret in [&minted, &rotated] {
        let answer = shared.present(&shared.b, secret).await;
        assert_eq!(answer.refused(), Code::CredentialRevoked);
    }
}

#[tokio::test]
async fn a_token_can_be_revoked_before_its_news_has_arrived() {
    let shared = Shared::new().await;
    let minted = shared.mint().await;
    shared.b.revoke(&minted.id, "ada", "lost").await.unwrap();
    let answer = shared.present(&shared.b, &minted).await;
    assert_eq!(answer.refused(), Code::CredentialRevoked);
}

// Condition 3.
#[tokio::test]
async fn refuses_when_the_view_is_too_old() {
    let shared = Shared::new().await;
    let minted = shared.mint().await;
    shared.pass(MAX_VIEW_AGE * 3).await;
    shared.present(&shared.a, &minted).await.passed();
    shared.feed.set_down(true);
    shared.pass(MAX_VIEW_AGE - HEARTBEAT * 2).await;
    shared.present(&shared.a, &minted).await.passed();
    shared.pass(HEARTBEAT * 4).await;
    for tokens in [&shared.a, &shared.b] {
        let answer = shared.present(tokens, &minted).await;
        assert_eq!(answer.refused(), Code::StoreUnavailable);
        assert_eq!(answer.status, 503);
    }
    // What is no token at all is refused as unavailable too: nothing is decided by an old view.
    let guess = ask(&shared.a, &shared.clock, with_token("x")).await;
    assert_eq!(guess.refused(), Code::StoreUnavailable);
    shared.feed.set_down(false);
    shared.pass(HEARTBEAT * 2).await;
    shared.present(&shared.a, &minted).await.passed();
}

#[tokio::test]
async fn refuses_when_nobody_follows() {
    let clock = ManualClock::default();
    let feed = TestFeed::new(&clock);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
    let tokens = opened(&store, &clock, &feed, 1).await;
    let request = MintRequest::new("billing", "x").insecure_never_expires();
    let minted = tokens.mint(request).await.unwrap();
    let asked = || with_token(minted.clear.expose());
    clock.advance(MAX_VIEW_AGE);
    ask(&tokens, &clock, asked()).await.passed();
    clock.advance(Duration::from_micros(1));
    let answer = ask(&tokens, &clock, asked()).await;
    assert_eq!(answer.refused(), Code::StoreUnavailable);
    // Reading everything again is as good as hearing.
    tokens.refresh().await.unwrap();
    ask(&tokens, &clock, asked()).await.passed();
}

#[tokio::test]
async fn a_revocation_that_cannot_be_announced_says_so_and_is_announced_later() {
    let shared = Shared::new().await;
    let minted = shared.mint().await;
    settle().await;
    shared.feed.set_down(true);
    let revoked = shared.a.revoke(&minted.id, "ada", "lost").await;
    assert!(
        matches!(revoked, Err(TokenError::Unannounced(_))),
        "{revoked:?}"
    );
    let answer = shared.present(&shared.a, &minted).await;
    assert_eq!(answer.refused(), Code::CredentialRevoked, "in force here");
    shared.feed.set_down(false);
    shared.pass(Duration::from_secs(2)).await;
    let answer = shared.present(&shared.b, &minted).await;
    assert_eq!(answer.refused(), Code::CredentialRevoked, "and there");
}

#[tokio::test]
async fn whoever_has_lost_the_thread_reads_everything_again() {
    let shared = Shared::new().await;
    let late = opened(&shared.store, &shared.clock, &shared.feed, 3).await;
    let minted = shared.mint().await;
    shared.feed.forget();
    tokio::spawn(late.clone().follow());
    shared.pass(Duration::from_secs(1)).await;
    shared.present(&late, &minted).await.passed();
    // And goes on from there.
    shared.a.revoke(&minted.id, "ada", "lost").await.unwrap();
    shared.pass(Duration::from_secs(1)).await;
    let answer = shared.present(&late, &minted).await;
    assert_eq!(answer.refused(), Code::CredentialRevoked);
}

#[tokio::test]
async fn news_that_are_no_keys_are_passed_over() {
    let shared = Shared::new().await;
    let minted = shared.mint().await;
    for payload in [
        &b"\xff"[..],
        b"",
        b"service-token/used/x",
        b"nonce/7",
        b"service-token/id/",
    ] {
        shared
            .feed
            .publish("service-tokens", Bytes::copy_from_slice(payload))
            .await
            .unwrap();
    }
    shared.pass(MAX_VIEW_AGE * 2).await;
    shared.present(&shared.b, &minted).await.passed();
}

#[tokio::test]
async fn a_token_that_was_taken_out_of_the_store_is_unknown() {
    let shared = Shared::new().await;
    let minted = shared.mint().await;
    settle().await;
    let key = format!("service-token/id/{}", minted.id);
    let version = shared.store.get(&key).await.unwrap().unwrap().version;
    let removed = shared.store.remove(&key, version).await;
    assert!(matches!(removed, Ok(crate::store::Swap::Done(_))));
    shared
        .feed
        .publish("service-tokens", key.into())
        .await
        .unwrap();
    settle().await;
    let answer = shared.present(&shared.b, &minted).await;
    assert_eq!(answer.refused(), Code::CredentialInvalid);
}

#[tokio::test]
async fn following_ends_with_the_registry() {
    let clock = ManualClock::default();
    let feed = TestFeed::new(&clock);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
    let tokens = opened(&store, &clock, &feed, 1).await;
    let follower = tokio::spawn(tokens.clone().follow());
    settle().await;
    assert!(!follower.is_finished());
    drop(tokens);
    clock.advance(HEARTBEAT);
    settle().await;
    assert!(follower.is_finished());
}
