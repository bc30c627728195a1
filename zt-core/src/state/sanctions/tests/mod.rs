mod races;
mod strikes;
mod together;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::{
    clock::{ManualClock, SystemClock},
    identity::{AuthMethod, PeerSource, PrincipalKind},
    state::{
        Durable, DurableProgress, Event, Events, Feed, FeedError, FeedLimits, HEARTBEAT,
        MemoryFeed, MemoryRecorder, RecordError,
    },
    store::{BoxFuture, Expect, Store, StoreError, Swap, Version, Versioned},
};

const ID: &str = "spiffe://example.test/orders";

fn clock() -> ManualClock {
    ManualClock::default()
}

fn now(clock: &ManualClock) -> Timestamp {
    clock.now().unwrap()
}

fn sanction(target: SanctionTarget, action: SanctionAction) -> Sanction {
    Sanction {
        target,
        action,
        reason: "a reason".to_owned(),
        author: "root".into(),
        expires: None,
    }
}

fn revoke(token: &str) -> Sanction {
    sanction(SanctionTarget::Token(token.into()), SanctionAction::Revoke)
}

fn subject(issuer: Option<&str>, subject: &str, before: u64) -> SanctionTarget {
    SanctionTarget::Subject {
        issuer: issuer.map(Into::into),
        subject: subject.into(),
        before: Timestamp::from_secs(before),
    }
}

fn ada() -> crate::identity::Assertion {
    Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
        .issuer("https://id.test")
        .session("s-1")
        .token("t-1")
        .key("k-1")
        .issued_at(Timestamp::from_secs(1000))
}

fn holder(token: &str) -> Principal {
    Principal::assertion(PrincipalKind::User, "somebody", AuthMethod::Jwt)
        .token(token)
        .finish()
}

fn workload(id: &str) -> PeerIdentity {
    PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls)
        .spiffe_id(id)
        .finish()
}

fn code(sanctions: &Sanctions, who: &Principal, clock: &ManualClock) -> Option<Code> {
    let checked = sanctions.check(Some(who), None, now(clock));
    checked.err().map(|denial| denial.code())
}

/// Lets every task go on for as long as it can without time moving.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

async fn pass(clock: &ManualClock, span: Duration) {
    let step = Duration::from_millis(100);
    let mut left = span;
    while !left.is_zero() {
        clock.advance(step.min(left));
        left = left.saturating_sub(step);
        settle().await;
    }
}

/// A store that can be told to fail, to hang, or to let others go first.
#[derive(Debug, Default)]
struct TestStore {
    values: Mutex<BTreeMap<String, Versioned>>,
    versions: AtomicU64,
    fails: AtomicBool,
    hangs: AtomicBool,
    conflicts: AtomicU64,
}

impl TestStore {
    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    fn put(&self, key: &str, value: &'static [u8]) {
        let version = Version(self.versions.fetch_add(1, Ordering::SeqCst));
        let value = Versioned {
            value: Bytes::from_static(value),
            version,
            expires: None,
        };
        self.values.lock().unwrap().insert(key.to_owned(), value);
    }

    fn act<'a, T: Send + 'a>(
        &'a self,
        act: impl FnOnce(&mut BTreeMap<String, Versioned>) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.fails.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("told to fail".into()));
            }
            Ok(act(&mut self.values.lock().unwrap()))
        })
    }

    fn conflicts(&self) -> bool {
        self.conflicts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

impl Store for TestStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        self.act(|values| values.get(key).cloned())
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.act(move |values| {
            let found = values.get(key).map(|found| found.version);
            let holds = match expect {
                Expect::Absent => found.is_none(),
                Expect::Version(version) => found == Some(version),
            };
            if !holds || self.conflicts() {
                return Swap::Conflict;
            }
            let version = Version(self.versions.fetch_add(1, Ordering::SeqCst));
            values.insert(
                key.to_owned(),
                Versioned {
                    value,
                    version,
                    expires,
                },
            );
            Swap::Done(version)
        })
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.act(move |values| match values.get(key) {
            Some(found) if found.version == version && !self.conflicts() => {
                values.remove(key);
                Swap::Done(version)
            }
            _ => Swap::Conflict,
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        // Small pages, so that there are several.
        let limit = limit.min(2);
        self.act(move |values| {
            values
                .iter()
                .filter(|(key, _)| {
                    key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
                })
                .take(limit)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        })
    }
}

/// A recorder whose answer comes when it is told.
#[derive(Debug, Default)]
struct SlowRecorder {
    answer: Arc<Answer>,
    taken: AtomicU64,
}

#[derive(Debug, Default)]
struct Answer(Mutex<Option<Result<(), RecordError>>>);

impl DurableProgress for Answer {
    fn poll_durable(&self, _: u64, task: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        match &*self.0.lock().unwrap() {
            Some(answer) => Poll::Ready(answer.clone()),
            None => {
                task.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Recorder for SlowRecorder {
    fn record(&self, _: Event) -> Durable {
        self.taken.fetch_add(1, Ordering::SeqCst);
        Durable::waiting(self.answer.clone(), 0)
    }

    fn subscribe(&self, _: usize) -> Events {
        unreachable!("nobody listens")
    }
}

struct Cluster {
    clock: ManualClock,
    store: Arc<TestStore>,
    feed: MemoryFeed,
}

impl Cluster {
    fn new() -> Self {
        Self::with_limits(FeedLimits::default())
    }

    fn with_limits(limits: FeedLimits) -> Self {
        let clock = clock();
        Self {
            store: Arc::default(),
            feed: MemoryFeed::with_limits(clock.clone(), limits),
            clock,
        }
    }

    fn builder(&self) -> SanctionsBuilder {
        Sanctions::builder(self.clock.clone())
            .store(self.store.clone())
            .feed(Arc::new(self.feed.clone()))
    }

    async fn join(&self) -> Sanctions {
        let sanctions = self.builder().open().await.unwrap();
        tokio::spawn(sanctions.follow());
        sanctions
    }
}

#[tokio::test]
async fn a_quarantine_is_403_and_a_revocation_goes_before_it() {
    let clock = clock();
    let sanctions = Sanctions::local(clock.clone());
    let ada = ada().finish();
    for (target, action, expected) in [
        (
            subject(None, "ada", 2000),
            SanctionAction::Quarantine,
            Code::Quarantined,
        ),
        (
            SanctionTarget::Key("k-1".into()),
            SanctionAction::Revoke,
            Code::CredentialRevoked,
        ),
    ] {
        sanctions.impose(sanction(target, action)).await.unwrap();
        assert_eq!(code(&sanctions, &ada, &clock), Some(expected));
    }
    let denial = sanctions.check(Some(&ada), None, now(&clock)).unwrap_err();
    assert_eq!(denial.private_detail(), Some("key sanctioned: a reason"));
    assert_eq!(denial.public_sentence(), Code::CredentialRevoked.sentence());
}

#[tokio::test]
async fn a_sanction_ends_by_itself() {
    let clock = clock();
    let sanctions = Sanctions::local(clock.clone());
    let end = now(&clock) + Duration::from_secs(10);
    let short = Sanction {
        expires: Some(end),
        ..revoke("t")
    };
    sanctions.impose(short.clone()).await.unwrap();
    clock.advance(Duration::from_micros(9_999_999));
    assert_eq!(
        code(&sanctions, &holder("t"), &clock),
        Some(Code::CredentialRevoked)
    );
    assert_eq!(sanctions.list().len(), 1);
    clock.advance(Duration::from_micros(1));
    assert_eq!(code(&sanctions, &holder("t"), &clock), None);
    assert_eq!(sanctions.list().len(), 0);
    assert_eq!(sanctions.impose(short).await, Err(SanctionError::Over));
}

#[tokio::test]
async fn a_sanction_is_never_shortened_by_another() {
    let clock = clock();
    let sanctions = Sanctions::local(clock.clone());
    let lasting = |secs| Sanction {
        expires: Some(now(&clock) + Duration::from_secs(secs)),
        ..revoke("t")
    };
    let (short, long) = (lasting(10), lasting(100));
    sanctions.impose(long).await.unwrap();
    sanctions.impose(short).await.unwrap();
    let quarantine = sanction(
        SanctionTarget::Token("t".into()),
        SanctionAction::Quarantine,
    );
    sanctions.impose(quarantine).await.unwrap();
    clock.advance(Duration::from_secs(99));
    assert_eq!(
        code(&sanctions, &holder("t"), &clock),
        Some(Code::CredentialRevoked)
    );
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        code(&sanctions, &holder("t"), &clock),
        Some(Code::Quarantined)
    );

    let later = lasting(10);
    sanctions.impose(later.clone()).await.unwrap();
    sanctions.impose(revoke("t")).await.unwrap();
    sanctions.impose(later).await.unwrap();
    clock.advance(Duration::from_secs(1_000_000));
    assert_eq!(
        code(&sanctions, &holder("t"), &clock),
        Some(Code::CredentialRevoked)
    );
}

#[tokio::test]
async fn lifting_takes_both_actions_away_and_says_when_there_was_none() {
    let clock = clock();
    let recorder = Arc::new(MemoryRecorder::new(10));
    let sanctions = Sanctions::builder(clock.clone())
        .recorder(recorder.clone())
        .open()
        .await
        .unwrap();
    let target = SanctionTarget::Token("t".into());
    let lifted = sanctions.lift(&target, "root", "why not").await;
    assert_eq!(lifted, Err(SanctionError::NotFound));
    assert!(recorder.events().is_empty());
    for action in SanctionAction::ALL {
        sanctions
            .impose(sanction(target.clone(), action))
            .await
            .unwrap();
    }
    sanctions.impose(revoke("other")).await.unwrap();
    sanctions.lift(&target, "ada", "a mistake").await.unwrap();
    assert_eq!(code(&sanctions, &holder("t"), &clock), None);
    assert_eq!(
        code(&sanctions, &holder("other"), &clock),
        Some(Code::CredentialRevoked)
    );

    let acts: Vec<_> = recorder
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Sanction(event) => (event.action, event.author.to_string(), event.reason),
            other => panic!("{other:?}"),
        })
        .collect();
    let imposed = || ("imposed", "root".to_owned(), "a reason".to_owned());
    let lifted = ("lifted", "ada".to_owned(), "a mistake".to_owned());
    assert_eq!(acts, [imposed(), imposed(), imposed(), lifted]);
}

#[tokio::test]
async fn a_full_list_takes_no_more_and_forgets_only_what_has_expired() {
    let clock = clock();
    let sanctions = Sanctions::builder(clock.clone())
        .limit(2)
        .open()
        .await
        .unwrap();
    let short = Sanction {
        expires: Some(now(&clock) + Duration::from_secs(10)),
        ..revoke("short")
    };
    sanctions.impose(short).await.unwrap();
    sanctions.impose(revoke("long")).await.unwrap();
    assert_eq!(
        sanctions.impose(revoke("more")).await,
        Err(SanctionError::Full)
    );
    assert_eq!(code(&sanctions, &holder("more"), &clock), None);
    sanctions.impose(revoke("long")).await.unwrap();
    clock.advance(Duration::from_secs(10));
    sanctions.impose(revoke("more")).await.unwrap();
    assert_eq!(
        sanctions.impose(revoke("again")).await,
        Err(SanctionError::Full)
    );
    for token in ["long", "more"] {
        assert_eq!(
            code(&sanctions, &holder(token), &clock),
            Some(Code::CredentialRevoked)
        );
    }
}

#[tokio::test]
async fn what_no_store_takes_is_refused_before_it_is_recorded() {
    let recorder = Arc::new(MemoryRecorder::new(10));
    let sanctions = Sanctions::builder(clock())
        .recorder(recorder.clone())
        .open()
        .await
        .unwrap();
    let large = Sanction {
        reason: "x".repeat(64 * 1024),
        ..revoke("t")
    };
    assert_eq!(sanctions.impose(large).await, Err(SanctionError::TooLarge));
    assert!(recorder.events().is_empty());
}

#[tokio::test]
async fn nothing_happens_before_it_is_recorded() {
    let clock = clock();
    let recorder = Arc::new(SlowRecorder::default());
    let sanctions = Sanctions::builder(clock.clone())
        .recorder(recorder.clone())
        .limit(1)
        .open()
        .await
        .unwrap();
    let who = holder("t");
    // A request to impose that is dropped leaves its place free.
    {
        let mut dropped = Box::pin(sanctions.impose(revoke("dropped")));
        assert!((&mut dropped).now_or_never().is_none());
        assert_eq!(
            sanctions.impose(revoke("t")).await,
            Err(SanctionError::Full)
        );
    }
    let imposing = tokio::spawn({
        let sanctions = sanctions.clone();
        async move { sanctions.impose(revoke("t")).await }
    });
    settle().await;
    assert_eq!(recorder.taken.load(Ordering::SeqCst), 2);
    assert_eq!(code(&sanctions, &who, &clock), None);
    *recorder.answer.0.lock().unwrap() = Some(Ok(()));
    imposing.await.unwrap().unwrap();
    assert_eq!(
        code(&sanctions, &who, &clock),
        Some(Code::CredentialRevoked)
    );

    *recorder.answer.0.lock().unwrap() = Some(Err(RecordError::Closed));
    let target = SanctionTarget::Token("t".into());
    let not_recorded = SanctionError::NotRecorded(RecordError::Closed);
    let lifted = sanctions.lift(&target, "root", "no").await;
    assert_eq!(lifted, Err(not_recorded));
    assert_eq!(
        code(&sanctions, &who, &clock),
        Some(Code::CredentialRevoked)
    );
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_happen() {
    let cluster = Cluster::new();
    let recorder = Arc::new(SlowRecorder::default());
    *recorder.answer.0.lock().unwrap() = Some(Err(RecordError::Full));
    let sanctions = cluster.builder().recorder(recorder).open().await.unwrap();
    let imposed = sanctions.impose(revoke("t")).await;
    assert_eq!(imposed, Err(SanctionError::NotRecorded(RecordError::Full)));
    assert_eq!(code(&sanctions, &holder("t"), &cluster.clock), None);
    assert!(cluster.store.values.lock().unwrap().is_empty());
    assert_eq!(cluster.feed.newest("zt.sanctions").await.unwrap().0, 0);
}

#[tokio::test]
async fn without_a_clock_nothing_is_imposed_and_everything_is_listed() {
    let clock = clock();
    let sanctions = Sanctions::local(clock.clone());
    sanctions.impose(revoke("t")).await.unwrap();
    clock.fail();
    assert!(matches!(
        sanctions.impose(revoke("u")).await,
        Err(SanctionError::Clock(_))
    ));
    assert_eq!(sanctions.list().len(), 1);
}

#[tokio::test]
async fn the_generation_grows_with_each_change() {
    let sanctions = Sanctions::local(clock());
    let mut seen = vec![sanctions.generation()];
    sanctions.impose(revoke("t")).await.unwrap();
    seen.push(sanctions.generation());
    sanctions.impose(revoke("t")).await.unwrap();
    seen.push(sanctions.generation());
    let target = SanctionTarget::Token("t".into());
    sanctions.lift(&target, "root", "done").await.unwrap();
    seen.push(sanctions.generation());
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[test]
fn keys_tell_targets_apart() {
    let texts = ["a", "b", "ab", ""];
    let mut keys = std::collections::HashSet::new();
    let mut count = 0;
    for action in SanctionAction::ALL {
        for text in texts.map(Arc::<str>::from) {
            for target in [
                SanctionTarget::Token(text.clone()),
                SanctionTarget::Session(text.clone()),
                SanctionTarget::Key(text.clone()),
                SanctionTarget::Workload(text.clone()),
                subject(None, &text, 1),
                subject(None, &text, 2),
                subject(Some("a"), &text, 1),
                subject(Some(""), &text, 1),
                subject(Some("ab"), &text, 1),
            ] {
                let key = types::key(&target, action);
                assert!(key.len() <= 512 && key.is_ascii() && key.starts_with("sanction/"));
                keys.insert(key);
                count += 1;
            }
        }
    }
    assert_eq!(keys.len(), count);
}

proptest! {
    /// The view agrees with a plain list of what was imposed.
    #[test]
    fn the_view_agrees_with_a_list(
        acts in prop::collection::vec((0..5_u8, 0..4_u8, any::<bool>(), 0..5_u64, 0..20_u64), 1..60)
    ) {
        let clock = clock();
        let sanctions = Sanctions::local(clock.clone());
        let mut list: Vec<Sanction> = Vec::new();
        for (kind, name, revokes, lasts, step) in acts {
            clock.advance(Duration::from_secs(step));
            let now = now(&clock);
            let name: Arc<str> = format!("n{}", name % 2).into();
            let target = match kind {
                0 => SanctionTarget::Token(name),
                1 => SanctionTarget::Session(name),
                2 => SanctionTarget::Key(name),
                3 => subject(None, &name, 1000),
                _ => SanctionTarget::Workload(name),
            };
            let action = if revokes { SanctionAction::Revoke } else { SanctionAction::Quarantine };
            if step % 4 == 0 {
                let lifted = sanctions.lift(&target, "root", "x").now_or_never().unwrap();
                let found = list.iter().any(|own| own.target == target);
                prop_assert_eq!(lifted.is_ok(), found);
                list.retain(|own| own.target != target);
            } else {
                let mut new = sanction(target, action);
                new.expires = (lasts > 0).then(|| now + Duration::from_secs(lasts * 10));
                sanctions.impose(new.clone()).now_or_never().unwrap().unwrap();
                let key = new.key();
                let same = |own: &Sanction| own.key() == key;
                if let Some(old) = list.iter().find(|own| same(own) && own.is_live(now)) {
                    new = new.clone().no_shorter_than(old);
                }
                list.retain(|own| !same(own));
                list.push(new);
            }
            for n in 0..2 {
                let name = format!("n{n}");
                for (token, session, key, who) in [
                    (&*name, "", "", ""),
                    ("", &name, "", ""),
                    ("", "", &name, ""),
                    ("", "", "", &name),
                ] {
                    let who = Principal::assertion(PrincipalKind::User, who, AuthMethod::Jwt)
                        .token(token).session(session).key(key)
                        .issued_at(Timestamp::from_secs(1000))
                        .finish();
                    let striking = list.iter()
                        .filter(|own| own.is_live(now) && own.target.strikes(Some(&who), None));
                    let expected = striking.map(|own| match own.action {
                        SanctionAction::Revoke => Code::CredentialRevoked,
                        SanctionAction::Quarantine => Code::Quarantined,
                    }).min();
                    prop_assert_eq!(code(&sanctions, &who, &clock), expected);
                }
            }
        }
    }
}
