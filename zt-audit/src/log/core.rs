//! What the two threads and the handles of a log have in common.

use std::sync::Arc;

use zt_core::clock::{Clock, Timestamp};

use super::{ground::Ground, health::Faults, news::News, shared::Shared, signer::Signer};
use crate::{seal::Vault, storage::Storage};

pub(super) struct Core {
    pub(super) origin: Arc<str>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) vault: Option<Arc<Vault>>,
    pub(super) shared: Arc<Shared>,
    pub(super) ground: Arc<Ground>,
    pub(super) news: Arc<News>,
    pub(super) signer: Signer,
    pub(super) faults: Faults,
    pub(super) segment_bytes: u64,
    /// Keeps others out until the last thread is gone.
    pub(super) _lock: Box<dyn Send + Sync>,
}

impl Core {
    /// The time for a record of the log's own; the epoch where the clock cannot say. Such a record
    /// must not be missing because of that.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().unwrap_or(Timestamp::EPOCH)
    }
}
