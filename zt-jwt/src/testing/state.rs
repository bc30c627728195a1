use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use zt_core::{
    clock::{Clock, SystemClock, Timestamp},
    random::{OsEntropy, bytes},
};

use super::{
    behaviour::{Behaviour, Behaviours, Endpoint},
    ring::Ring,
};

/// What handles and the server share.
#[derive(Debug)]
pub(super) struct State {
    /// `iss`.
    pub(super) name: String,
    pub(super) ring: Mutex<Ring>,
    settings: Mutex<Settings>,
    behaviours: watch::Sender<Behaviours>,
    requests: [AtomicU64; 3],
}

/// What can be changed while the issuer runs.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) secret: [u8; 64],
    pub(super) max_age: Duration,
    /// Identifier and secret of each client of the token endpoint.
    pub(super) clients: Vec<(String, String)>,
    /// Whom tokens are for where the client does not say.
    pub(super) default_audience: String,
    pub(super) token_lifetime: Duration,
}

impl State {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            ring: Mutex::new(Ring::new()),
            settings: Mutex::new(Settings {
                clock: Arc::new(SystemClock),
                secret: bytes(&OsEntropy).expect("there is randomness"),
                max_age: Duration::from_secs(300),
                clients: Vec::new(),
                default_audience: "test".into(),
                token_lifetime: Duration::from_secs(300),
            }),
            behaviours: watch::Sender::new(Behaviours::default()),
            requests: Default::default(),
        }
    }

    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        let clock = self.settings().clock.clone();
        clock.now().expect("the clock has a time")
    }

    pub(super) fn behave(&self, endpoint: Endpoint, behaviour: Behaviour) {
        self.behaviours
            .send_modify(|all| all.set(endpoint, behaviour));
    }

    /// How requests are answered, and word of every change.
    pub(super) fn behaviours(&self) -> watch::Receiver<Behaviours> {
        self.behaviours.subscribe()
    }

    pub(super) fn count(&self, endpoint: Endpoint) {
        self.requests[endpoint as usize].fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn requests(&self, endpoint: Endpoint) -> u64 {
        self.requests[endpoint as usize].load(Ordering::SeqCst)
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("clock", &self.clock)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
