//! What every [`ReplayMemory`] must do, as tests that a memory of your own runs in one line:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use zt_core::signature::replay::{MemoryReplays, conformance::{self, ManualHarness}};
//!
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() {
//! let window = Duration::from_secs(70);
//! conformance::run(&ManualHarness::new(|_clock| Arc::new(MemoryReplays::for_new_keys(window)))).await;
//! # }
//! ```
//!
//! The memory must bear [`UNTIL`] and a thousand messages. Run the suite on a runtime with
//! several threads, or its races are none. Every case panics where the memory does not do what it
//! must.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{Recording, ReplayKey, ReplayMemory, Sighting, Verdict};
use crate::{
    clock::{Clock, ManualClock, Timestamp},
    store::BoxFuture,
};

/// How long the messages of the suite can be accepted.
pub const UNTIL: Duration = Duration::from_secs(60);

/// What the suite needs to know about a kind of memory.
pub trait Harness: Send + Sync {
    /// A memory that has seen nothing, that no other case uses, and that began long enough ago.
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn ReplayMemory>>;

    /// What the time is.
    fn now(&self) -> Timestamp;

    /// Lets `span` pass, up to two minutes. A harness that cannot move a clock may do nothing:
    /// the sightings say what their time is.
    fn pass(&self, span: Duration) -> BoxFuture<'_, ()>;
}

/// A [`Harness`] for memories over a [`ManualClock`].
pub struct ManualHarness<F> {
    clock: ManualClock,
    make: F,
}

impl<F: Fn(ManualClock) -> Arc<dyn ReplayMemory> + Send + Sync> ManualHarness<F> {
    /// `make` gives a fresh memory; whatever clock it needs is the one it gets.
    pub fn new(make: F) -> Self {
        Self {
            clock: ManualClock::default(),
            make,
        }
    }
}

impl<F> fmt::Debug for ManualHarness<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualHarness").finish_non_exhaustive()
    }
}

impl<F: Fn(ManualClock) -> Arc<dyn ReplayMemory> + Send + Sync> Harness for ManualHarness<F> {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn ReplayMemory>> {
        Box::pin(std::future::ready((self.make)(self.clock.clone())))
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap_or(Timestamp::EPOCH)
    }

    fn pass(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(span);
        Box::pin(std::future::ready(()))
    }
}

/// Runs every case.
///
/// # Panics
///
/// Where the memory does not do what it must.
pub async fn run(harness: &dyn Harness) {
    refuses_the_second_copy(harness).await;
    refuses_it_to_the_last_moment(harness).await;
    refuses_it_when_the_clock_has_gone_back(harness).await;
    refuses_what_is_accepted_for_longer_than_it_remembers(harness).await;
    accepts_one_of_many_copies_at_once(harness).await;
    accepts_other_messages(harness).await;
    forgets_nothing_among_many(harness).await;
}

/// The first copy is fresh; a second, a third are not.
pub async fn refuses_the_second_copy(harness: &dyn Harness) {
    let memory = harness.fresh().await;
    let first = Message::new("n", harness.now());
    assert_eq!(first.record(&memory, harness.now()).await, Verdict::Fresh);
    for _ in 0..3 {
        let again = first.record(&memory, harness.now()).await;
        assert_eq!(again, Verdict::Replayed);
    }
}

/// At `until` itself a message could still be accepted; other messages, seen meanwhile, do not
/// put it out.
pub async fn refuses_it_to_the_last_moment(harness: &dyn Harness) {
    let memory = harness.fresh().await;
    let first = Message::new("first", harness.now());
    assert_eq!(first.record(&memory, harness.now()).await, Verdict::Fresh);
    for step in 0..6 {
        harness.pass(UNTIL / 6).await;
        let now = first.made + UNTIL / 6 * (step + 1);
        let other = Message::new(&step.to_string(), now);
        assert_eq!(other.record(&memory, now).await, Verdict::Fresh);
        let again = first.record(&memory, now).await;
        assert_eq!(again, Verdict::Replayed, "after {step} steps");
    }
}

/// Whatever time it is said to be, no copy is fresh again.
pub async fn refuses_it_when_the_clock_has_gone_back(harness: &dyn Harness) {
    let memory = harness.fresh().await;
    let first = Message::new("first", harness.now());
    assert_eq!(first.record(&memory, first.made).await, Verdict::Fresh);
    let ahead = first.made + UNTIL / 2;
    let other = Message::new("other", ahead);
    assert_eq!(other.record(&memory, ahead).await, Verdict::Fresh);
    let back = first.made.saturating_sub(Duration::from_secs(2));
    for now in [first.made, back, ahead, first.made] {
        let again = first.record(&memory, now).await;
        assert_ne!(again, Verdict::Fresh, "at {now:?}");
    }
}

/// One that names its window holds to it.
pub async fn refuses_what_is_accepted_for_longer_than_it_remembers(harness: &dyn Harness) {
    let memory = harness.fresh().await;
    let Some(window) = memory.window() else {
        return;
    };
    let made = harness.now();
    let message = Message {
        key: ReplayKey::of_nonce("k", "n"),
        made,
        until: made + window + Duration::from_micros(1),
    };
    let verdict = message.record(&memory, made).await;
    assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    let message = Message {
        until: made + window,
        ..message
    };
    assert_eq!(message.record(&memory, made).await, Verdict::Fresh);
}

/// Of copies that race, exactly one is fresh, and the others know that it was.
pub async fn accepts_one_of_many_copies_at_once(harness: &dyn Harness) {
    let memory = harness.fresh().await;
    let now = harness.now();
    let mut racers = JoinSet::new();
    for round in 0..25 {
        for _ in 0..8 {
            let memory = Arc::clone(&memory);
            let message = Message::new(&round.to_string(), now);
            racers.spawn(async move { (round, message.record(&memory, now).await) });
        }
    }
    let mut fresh: BTreeMap<u32, u32> = BTreeMap::new();
    while let Some(racer) = racers.join_next().await {
        match racer {
            Ok((round, Verdict::Fresh)) => *fresh.entry(round).or_default() += 1,
            Ok((_, verdict)) => assert_eq!(verdict, Verdict::Replayed),
            Err(error) => assert!(!error.is_panic(), "a racer panicked"),
        }
    }
    assert_eq!(fresh, (0..25).map(|round| (round, 1)).collect());
}

/// Another nonce, key id or kind is another message.
pub async fn accepts_other_messages(harness: &dyn Harness) {
    let memory = harness.fresh().await;
    let made = harness.now();
    for key in [
        ReplayKey::of_nonce("k", "n"),
        ReplayKey::of_nonce("k", "m"),
        ReplayKey::of_nonce("l", "n"),
        ReplayKey::of_base("k", b"n"),
    ] {
        let message = Message {
            key,
            made,
            until: made + UNTIL,
        };
        assert_eq!(message.record(&memory, made).await, Verdict::Fresh);
        assert_eq!(message.record(&memory, made).await, Verdict::Replayed);
    }
}

/// A thousand messages in a window are all remembered.
pub async fn forgets_nothing_among_many(harness: &dyn Harness) {
    let memory = harness.fresh().await;
    let made = harness.now();
    let messages: Vec<_> = (0..1000)
        .map(|index| Message::new(&format!("m{index}"), made))
        .collect();
    for verdict in [Verdict::Fresh, Verdict::Replayed] {
        for message in &messages {
            assert_eq!(message.record(&memory, made).await, verdict);
        }
    }
}

#[derive(Clone, Copy)]
struct Message {
    key: ReplayKey,
    made: Timestamp,
    until: Timestamp,
}

impl Message {
    fn new(nonce: &str, made: Timestamp) -> Self {
        Self {
            key: ReplayKey::of_nonce("k", nonce),
            made,
            until: made + UNTIL,
        }
    }

    async fn record(&self, memory: &Arc<dyn ReplayMemory>, now: Timestamp) -> Verdict {
        let recording: Recording = memory.record(&Sighting {
            key: self.key,
            keyid: "k",
            created: self.made,
            until: self.until,
            now,
        });
        recording.verdict().await
    }
}
