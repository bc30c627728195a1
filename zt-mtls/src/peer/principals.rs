use std::sync::Arc;

use quick_cache::sync::Cache;
use zt_core::identity::{PeerIdentity, Principal};

/// The principals of workloads that were let in, so that one is made once a connection and not once
/// a request.
///
/// Only those on the list are kept, and what is on a certificate does not change: an entry is right
/// for as long as it is there.
pub(super) struct Principals(Cache<[u8; 32], Arc<Entry>>);

struct Entry {
    peer: Arc<PeerIdentity>,
    principal: Arc<Principal>,
}

const ENTRIES: usize = 1024;

impl Principals {
    pub(super) fn new() -> Self {
        Self(Cache::new(ENTRIES))
    }

    pub(super) fn find(&self, peer: &Arc<PeerIdentity>) -> Option<Arc<Principal>> {
        let entry = self.0.get(peer.thumbprint())?;
        // The same certificate over another path may end earlier.
        let same = Arc::ptr_eq(&entry.peer, peer) || entry.peer == *peer;
        same.then(|| Arc::clone(&entry.principal))
    }

    pub(super) fn keep(&self, peer: &Arc<PeerIdentity>, principal: &Arc<Principal>) {
        let entry = Entry {
            peer: Arc::clone(peer),
            principal: Arc::clone(principal),
        };
        self.0.insert(*peer.thumbprint(), Arc::new(entry));
    }
}
