//! Refusals first; the conditions are numbered as in the module's documentation.

mod evidence;
mod four_eyes;
mod interleavings;
mod layer;
mod places;
#[cfg(feature = "axum")]
mod router;
mod shared;
mod steps;
mod time;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::*;
use crate::{
    authorize::ActiveGrants,
    clock::{Clock, ManualClock, Timestamp},
    identity::{AuthMethod, Principal, PrincipalKind},
    random::SeededEntropy,
    state::{Durable, Event, Events, GrantEvent, MemoryRecorder, RecordError, Recorder},
    store::{BoxFuture, Expect, MemoryStore, Store, StoreError, Swap, Version, Versioned},
};

const HOUR: Duration = Duration::from_secs(3600);
const ISSUER: &str = "https://id.example";

/// One registry over one store, as an application has it.
struct World {
    clock: ManualClock,
    store: Arc<Flaky>,
    log: Arc<Log>,
    grants: Grants,
}

impl World {
    async fn new() -> Self {
        Self::with(config()).await
    }

    async fn with(config: GrantConfig) -> Self {
        let clock = ManualClock::default();
        let store = Arc::new(Flaky::new(&clock));
        let log = Arc::new(Log::default());
        let grants = opened(&store, &clock, &log, config, 1).await;
        Self {
            clock,
            store,
            log,
            grants,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap()
    }

    /// Ada asks for refunds, for an hour.
    async fn asked(&self) -> Grant {
        self.grants
            .request(&ada(), "refunds.write", "ticket 7", HOUR)
            .await
            .unwrap()
    }

    /// And Grace says yes.
    async fn approved(&self) -> Grant {
        let grant = self.asked().await;
        self.grants.approve(&grant.id, &grace()).await.unwrap()
    }

    fn holds(&self, who: &Principal) -> bool {
        let active = self.grants.active(who, "refunds.write", self.now());
        active.unwrap().is_some()
    }

    fn state(&self, grant: &Grant) -> GrantState {
        self.grants.get(&grant.id).unwrap().state
    }
}

fn config() -> GrantConfig {
    GrantConfig::new()
        .scope("refunds.write", GrantScope::new(HOUR * 2))
        .scope(
            "database.admin",
            GrantScope::new(HOUR)
                .approved_by(Right::Role("database-owner".into()))
                .break_glass(HOUR / 4),
        )
}

async fn opened(
    store: &Arc<Flaky>,
    clock: &ManualClock,
    log: &Arc<Log>,
    config: GrantConfig,
    seed: u64,
) -> Grants {
    let options = GrantOptions::new(config)
        .recorder(Arc::clone(log) as Arc<dyn Recorder>)
        .entropy(SeededEntropy::new(seed));
    let store = Arc::clone(store) as Arc<dyn Store>;
    Grants::open(store, clock.clone(), options).await.unwrap()
}

fn person(subject: &str, scopes: &[&str]) -> Principal {
    Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt)
        .issuer(ISSUER)
        .scopes(scopes.iter().copied())
        .finish()
}

fn program(subject: &str, scopes: &[&str]) -> Principal {
    Principal::assertion(PrincipalKind::Service, subject, AuthMethod::ServiceToken)
        .issuer(ISSUER)
        .scopes(scopes.iter().copied())
        .finish()
}

/// Somebody whose token was made for another to use (RFC 8693).
fn delegated(subject: &str, act: &str, scopes: &[&str]) -> Principal {
    Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt)
        .issuer(ISSUER)
        .scopes(scopes.iter().copied())
        .claims(format!(r#"{{"sub":"{subject}","act":{act}}}"#))
        .finish()
}

fn ada() -> Principal {
    person("ada", &[])
}

fn grace() -> Principal {
    person("grace", &["grant.approve"])
}

/// Approves nothing, asked for nothing, and holds everything else.
fn officer() -> Principal {
    person("officer", &["grant.revoke", "grant.review", "grant.list"])
}

/// A store that can be down.
#[derive(Debug)]
struct Flaky {
    inner: MemoryStore,
    down: AtomicBool,
    /// How many more writes succeed before it goes down.
    writes: AtomicUsize,
    /// The write, counted from here, that is done though its answer is lost; zero is none.
    lost: AtomicUsize,
    /// How often it was read.
    reads: AtomicUsize,
    /// What is never answered about.
    stuck: std::sync::Mutex<Option<String>>,
}

impl Flaky {
    fn new(clock: &ManualClock) -> Self {
        Self {
            inner: MemoryStore::new(clock.clone()),
            down: AtomicBool::new(false),
            writes: AtomicUsize::new(usize::MAX),
            lost: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            stuck: std::sync::Mutex::default(),
        }
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn down_after(&self, writes: usize) {
        self.writes.store(writes, Ordering::SeqCst);
    }

    fn lose_answer_of(&self, write: usize) {
        self.lost.store(write, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("down".into())),
            false => Ok(()),
        }
    }

    fn check_write(&self) -> Result<(), StoreError> {
        self.check()?;
        if self.writes.load(Ordering::SeqCst) == 0 {
            self.set_down(true);
            return self.check();
        }
        self.writes.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Store for Flaky {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(async move {
            self.check()?;
            self.reads.fetch_add(1, Ordering::SeqCst);
            let stuck = self.stuck.lock().unwrap().as_deref() == Some(key);
            match stuck {
                true => std::future::pending().await,
                false => self.inner.get(key).await,
            }
        })
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            self.check_write()?;
            let done = self.inner.put_if(key, value, expires, expect).await;
            let lost = self.lost.load(Ordering::SeqCst);
            self.lost.store(lost.saturating_sub(1), Ordering::SeqCst);
            match lost {
                1 => Err(StoreError::Unavailable("no answer".into())),
                _ => done,
            }
        })
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            self.check_write()?;
            self.inner.remove(key, version).await
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        Box::pin(async move {
            self.check()?;
            self.inner.scan(prefix, after, limit).await
        })
    }
}

/// An audit log that can be down, or take its time.
#[derive(Debug)]
struct Log {
    inner: MemoryRecorder,
    down: AtomicBool,
    /// The event, counted from here, after which one is refused; zero is none.
    refuses: AtomicUsize,
    held: Arc<Held>,
}

#[derive(Debug, Default)]
struct Held {
    holds: AtomicBool,
    wakers: std::sync::Mutex<Vec<std::task::Waker>>,
}

impl crate::state::DurableProgress for Held {
    fn poll_durable(
        &self,
        _: u64,
        task: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), RecordError>> {
        self.wakers.lock().unwrap().push(task.waker().clone());
        match self.holds.load(Ordering::SeqCst) {
            true => std::task::Poll::Pending,
            false => std::task::Poll::Ready(Ok(())),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            inner: MemoryRecorder::new(100_000),
            down: AtomicBool::new(false),
            refuses: AtomicUsize::new(0),
            held: Arc::default(),
        }
    }
}

impl Log {
    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Refuses the one after so many.
    fn down_after(&self, events: usize) {
        self.refuses.store(events + 1, Ordering::SeqCst);
    }

    /// Records are taken, and not durable until they are let go.
    fn hold(&self, holds: bool) {
        self.held.holds.store(holds, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.held.wakers.lock().unwrap());
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    fn events(&self) -> Vec<GrantEvent> {
        let events = self.inner.events().into_iter();
        let grants = events.filter_map(|event| match event {
            Event::Grant(event) => Some(event),
            _ => None,
        });
        grants.collect()
    }

    fn actions(&self) -> Vec<&'static str> {
        self.events().iter().map(|event| event.action).collect()
    }

    fn count(&self, action: &str) -> usize {
        self.actions().iter().filter(|it| **it == action).count()
    }
}

impl Recorder for Log {
    fn record(&self, event: Event) -> Durable {
        let refuses = self.refuses.load(Ordering::SeqCst);
        self.refuses
            .store(refuses.saturating_sub(1), Ordering::SeqCst);
        if refuses == 1 || self.down.load(Ordering::SeqCst) {
            return Durable::done(Err(RecordError::Unavailable("disk full".into())));
        }
        self.inner.record(event).detach();
        Durable::waiting(Arc::clone(&self.held) as Arc<_>, 0)
    }

    fn subscribe(&self, capacity: usize) -> Events {
        self.inner.subscribe(capacity)
    }
}

/// On one thread: everything that can run has run.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
