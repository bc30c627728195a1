use std::{sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use zt_core::{clock::Timestamp, identity::PeerIdentity};

/// Forwarded certificates that were good, by their digest and the proxy's, so that a client behind a
/// proxy costs one verification and not one a request.
///
/// Only what was good is kept: a stranger cannot fill it, a CA that is trusted can, and then it
/// forgets.
pub(super) struct Verifications(Cache<Key, Arc<Entry>>);

/// The forwarded certificate's digest and the proxy's.
pub(super) type Key = [[u8; 32]; 2];

struct Entry {
    peer: Arc<PeerIdentity>,
    generation: u64,
    at: Moment,
}

/// When, by both clocks, and by which edition of the credentials.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) monotonic: Duration,
}

/// Certificates are verified again after so long.
const LIFETIME: Duration = Duration::from_secs(60);
const ENTRIES: usize = 1024;

impl Verifications {
    pub(super) fn new() -> Self {
        Self(Cache::new(ENTRIES))
    }

    pub(super) fn find(
        &self,
        key: &Key,
        proxy: &PeerIdentity,
        generation: u64,
        at: Moment,
    ) -> Option<Arc<PeerIdentity>> {
        let entry = self.0.get(key)?;
        let age = at.monotonic.saturating_sub(entry.at.monotonic);
        // A wall clock that went back may stand before the certificate begins.
        let holds = entry.generation == generation
            && age < LIFETIME
            && (entry.at.now..entry.peer.not_after()).contains(&at.now)
            && entry.peer.via().is_some_and(|via| **via == *proxy);
        holds.then(|| Arc::clone(&entry.peer))
    }

    pub(super) fn keep(&self, key: Key, peer: Arc<PeerIdentity>, generation: u64, at: Moment) {
        let entry = Entry {
            peer,
            generation,
            at,
        };
        self.0.insert(key, Arc::new(entry));
    }
}
