//! Clocks that go back, stores that are down, requests that are dropped, strangers without number.

use std::{
    future::Future as _,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    signature::{
        key::{CachedKeys, Resolved},
        replay::{Recording, ReplayMemory, SharedReplays, Sighting, Verdict},
    },
    store::MemoryStore,
};

const DAY: Duration = Duration::from_secs(86_400);

fn with(keys: impl KeyResolver, replays: impl ReplayMemory) -> Server {
    Server::new(VerifySignatureLayer::new(SignaturePolicy::strict(), keys, replays).unwrap())
}

fn ring() -> KeyRing {
    KeyRing::new([entry("k1")]).unwrap()
}

#[tokio::test]
async fn a_clock_that_is_back_by_a_day_lets_nothing_pass_again() {
    let server = strict();
    let start = server.clock.now().unwrap();
    let params = ";created=NOW;keyid=\"k1\";nonce=\"n0\"";
    let request = Draft::default().params(params).signed();
    assert!(server.ask(request.clone()).await.passed());
    // A day later all of it is forgotten; then the clock is where it was.
    server.clock.set_wall(start + DAY);
    let later = format!(";created={};keyid=\"k1\";nonce=\"n1\"", now() + 86_400);
    assert!(
        server
            .ask(Draft::default().params(&later).signed())
            .await
            .passed()
    );
    let later = later
        .replace("n1", "n2")
        .replace(&format!("={}", now() + 86_400), "=NOW");
    server.clock.set_wall(start);
    let again = server.ask(request).await;
    assert!(!again.passed(), "{again:?}");
    // Seen from the day before, it is from the future.
    server.clock.set_wall(start.saturating_sub(DAY));
    server
        .ask(Draft::default().params(&later).signed())
        .await
        .invalid("in the future");
    server.clock.fail();
    let answer = server.ask(Draft::default().signed()).await;
    answer.is(Code::ClockUnavailable, "");
    assert_eq!(server.handled(), 2);
}

#[tokio::test]
async fn a_store_that_is_down_refuses_and_one_that_is_full_too() {
    let clock = ManualClock::default();
    let limits = crate::store::MemoryLimits {
        entries: 1,
        ..Default::default()
    };
    let store = Arc::new(MemoryStore::with_limits(clock.clone(), limits));
    let server = with(ring(), SharedReplays::new(store, clock));
    assert!(server.ask(Draft::default().signed()).await.passed());
    let second = Draft::default().params(";created=NOW;keyid=\"k1\";nonce=\"n2\"");
    server
        .ask(second.signed())
        .await
        .is(Code::ReplayUnavailable, "");
    server
        .ask(Draft::default().signed())
        .await
        .is(Code::Replayed, "");
    assert_eq!(server.handled(), 1);
}

/// Never answers, and counts how often it was asked.
#[derive(Debug, Clone, Default)]
struct Hangs(Arc<Mutex<usize>>);

impl KeyResolver for Hangs {
    fn resolve(&self, _: &KeyQuestion<'_>) -> Resolving {
        *self.0.lock().unwrap() += 1;
        Resolving::Later(Box::pin(std::future::pending::<Resolved>()))
    }
}

impl ReplayMemory for Hangs {
    fn record(&self, _: &Sighting<'_>) -> Recording {
        *self.0.lock().unwrap() += 1;
        Recording::Later(Box::pin(std::future::pending::<Verdict>()))
    }
}

/// Polls `request` once and drops it.
fn drop_half_way(server: &Server, request: Request<Full<Bytes>>) {
    let mut asked = Box::pin(server.response(request));
    let mut task = Context::from_waker(Waker::noop());
    assert!(matches!(asked.as_mut().poll(&mut task), Poll::Pending));
}

#[tokio::test]
async fn a_request_that_is_dropped_half_way_reaches_nothing_and_uses_up_nothing_unproved() {
    // While its key is fetched: its nonce is still good.
    let memory = MemoryReplays::for_new_keys(Duration::from_secs(65));
    let keys = Hangs::default();
    let waiting = with(keys.clone(), memory.clone());
    drop_half_way(&waiting, Draft::post("42").signed());
    assert_eq!((*keys.0.lock().unwrap(), memory.stats().entries), (1, 0));
    let server = with(ring(), memory);
    assert!(server.ask(Draft::post("42").signed()).await.passed());
    // While it is remembered: nobody knows whether it was.
    let far = Hangs::default();
    let waiting = with(ring(), far.clone());
    drop_half_way(&waiting, Draft::post("42").signed());
    assert_eq!((*far.0.lock().unwrap(), waiting.handled()), (1, 0));
}

#[tokio::test]
async fn strangers_who_each_name_a_key_leave_nothing_behind() {
    let memory = MemoryReplays::for_new_keys(Duration::from_secs(65));
    let asked = Arc::new(Mutex::new(0_usize));
    let counted = Arc::clone(&asked);
    let nobody = crate::signature::key::from_fn(move |_: String| {
        *counted.lock().unwrap() += 1;
        async { Ok(None) }
    });
    let keys = Arc::new(CachedKeys::new(nobody).capacity(64));
    let server = with(Arc::clone(&keys), memory.clone());
    for stranger in 0..5_000 {
        let params = format!(";created=NOW;keyid=\"stranger-{stranger}\";nonce=\"n\"");
        let request = Draft::default().params(&params).signed();
        server.ask(request).await.invalid("not known");
    }
    assert_eq!((memory.stats().entries, memory.stats().key_ids), (0, 0));
    assert!(keys.remembered_ids() <= 128);
    assert_eq!((*asked.lock().unwrap(), server.handled()), (5_000, 0));
}
