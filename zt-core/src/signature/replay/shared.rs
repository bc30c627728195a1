//! The memory of a fleet.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};

use super::{Recording, ReplayMemory, Sighting, Verdict};
use crate::{
    clock::{Clock, Timestamp},
    store::{Expect, Store, StoreError, Swap},
};

/// Remembers what any process over the same [`Store`] has seen: one conditional write a message,
/// at `zt:replay:<namespace>:<32 digits>`.
///
/// A store that fails, is full, or does not answer within the [deadline](Self::with_deadline)
/// refuses. A write that was late may still have happened: the same message is then replayed when
/// it is sent again, so a client that retries signs again.
///
/// **Clocks.** Entries expire by the store's clock, and a message by that of whoever verifies. An
/// entry lives for a [margin](Self::with_margin) longer than its message, 30 s unless told. A
/// store whose clock is further ahead than the margin forgets too early; further still, it never
/// remembers at all. Watch the clocks, or make the margin larger. A request that came in time and
/// was held up until its message has ended is refused.
///
/// **Restarts.** Nothing is refused at the start of a process, for the store outlives it. One that
/// does not, as [`MemoryStore`](crate::store::MemoryStore), or that loses writes when it fails
/// over, is no better than its memory: say when it began by [`empty_before`](Self::empty_before),
/// or use [`MemoryReplays`](super::MemoryReplays).
///
/// **Room** is the store's; no key id has a share of its own, so limit what one caller may send.
///
/// **Verifiers** that share a namespace have one maximum age: an entry lives as long as the one that
/// saw the message first says, and one that takes older messages would take it again.
#[derive(Clone)]
pub struct SharedReplays {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    prefix: Arc<str>,
    margin: Duration,
    deadline: Duration,
    horizon: Option<Timestamp>,
    skew: Option<Duration>,
}

impl SharedReplays {
    /// Over `store`, in the namespace `default`; `clock` is the one that requests are timed by, and
    /// times the deadline. Processes that accept
    /// the same messages share a namespace, others do not need to.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: impl Clock) -> Self {
        Self {
            store,
            clock: Arc::new(clock),
            prefix: "zt:replay:default:".into(),
            margin: Duration::from_secs(30),
            deadline: Duration::from_secs(1),
            horizon: None,
            skew: None,
        }
    }

    /// In the namespace `name`.
    ///
    /// # Errors
    ///
    /// [`NamespaceError`] where it is empty, has other characters than ASCII letters, digits, `-`,
    /// `_` and `.`, or is longer than 400.
    pub fn with_namespace(self, name: &str) -> Result<Self, NamespaceError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let prefix = format!("zt:replay:{name}:");
        if name.is_empty() || !name.bytes().all(allowed) || name.len() > MAX_NAMESPACE {
            return Err(NamespaceError(name.into()));
        }
        Ok(Self {
            prefix: prefix.into(),
            ..self
        })
    }

    /// Entries live for `margin` longer than their messages, and at least 5 s longer.
    #[must_use]
    pub fn with_margin(self, margin: Duration) -> Self {
        Self {
            margin: margin.max(MIN_MARGIN),
            ..self
        }
    }

    /// A store that has not answered after `deadline` refuses; 1 s unless told.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// For a store that was empty at `started`: a message created no more than `future_skew` after
    /// it is refused, because it may have been accepted before, as by
    /// [`MemoryReplays::new`](super::MemoryReplays::new).
    #[must_use]
    pub fn empty_before(self, started: Timestamp, future_skew: Duration) -> Self {
        Self {
            horizon: Some(started + future_skew),
            skew: Some(future_skew),
            ..self
        }
    }

    async fn put(self, key: String, expires: Timestamp) -> Verdict {
        let put = self
            .store
            .put_if(&key, Bytes::new(), Some(expires), Expect::Absent);
        let deadline = self.clock.sleep(self.deadline);
        // The answer first: one that is there counts, however late somebody looks.
        match select(put, deadline).await {
            Either::Left((Ok(Swap::Done(_)), _)) => Verdict::Fresh,
            Either::Left((Ok(Swap::Conflict), _)) => Verdict::Replayed,
            Either::Left((Err(StoreError::Full), _)) => Verdict::Unavailable(STORE_FULL),
            Either::Left((Err(_), _)) => Verdict::Unavailable(STORE_FAILED),
            Either::Right(_) => Verdict::Unavailable(STORE_LATE),
        }
    }
}

impl ReplayMemory for SharedReplays {
    fn record(&self, sighting: &Sighting<'_>) -> Recording {
        if let Some(horizon) = self.horizon
            && sighting.created.as_secs() <= horizon.as_secs()
        {
            return Recording::Now(Verdict::Unavailable(super::memory::TOO_EARLY));
        }
        // A request is judged by the time at which it came. One that was held up since, by keys or
        // by a queue, may be the copy of one that the store has forgotten.
        let last = sighting.until.max(sighting.now);
        if !self.clock.now().is_ok_and(|now| now <= last) {
            return Recording::Now(Verdict::Unavailable(TOO_LATE));
        }
        let key = format!("{}{:x}", self.prefix, sighting.key);
        // A request's time that is long past must not make an entry that has ended already.
        let expires = last + self.margin;
        Recording::Later(Box::pin(self.clone().put(key, expires)))
    }

    fn future_skew(&self) -> Option<Duration> {
        self.skew
    }
}

impl fmt::Debug for SharedReplays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReplays")
            .field("store", &self.store)
            .field("prefix", &self.prefix)
            .field("margin", &self.margin)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A namespace that cannot be part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a namespace: up to 400 ASCII letters, digits, `-`, `_` and `.`")]
pub struct NamespaceError(Box<str>);

/// With the rest of the key well below `store::MAX_KEY_BYTES`.
const MAX_NAMESPACE: usize = 400;
const MIN_MARGIN: Duration = Duration::from_secs(5);

pub(super) const TOO_LATE: &str =
    "the request was held up until the store may have forgotten the message";
pub(super) const STORE_FULL: &str = "the store of the replay memory is full";
pub(super) const STORE_FAILED: &str = "the store of the replay memory failed";
pub(super) const STORE_LATE: &str = "the store of the replay memory did not answer in time";
