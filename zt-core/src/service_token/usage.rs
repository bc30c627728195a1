//! When tokens were last used, to the minute: noted in memory, told to the store now and then.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{ServiceTokens, TokenError, format::TokenId, registry::PAGE};
use crate::{
    clock::Timestamp,
    store::{Expect, Swap, Versioned},
};

/// Where last uses rest, by the token's id.
const USED: &str = "service-token/used/";
/// The most last uses that one flush writes.
const FLUSH: usize = 256;
/// How long a last use is remembered: a year and a bit.
const USED_KEPT: Duration = Duration::from_secs(400 * 86_400);

impl ServiceTokens {
    /// Tells the store when tokens were last used, at most 256 of them; says how many it told. Run
    /// it every minute or so: requests only note the minute in memory.
    ///
    /// # Errors
    ///
    /// Where clock or store cannot answer.
    pub async fn flush_last_used(&self) -> Result<usize, TokenError> {
        let expires = self.0.clock.now()? + USED_KEPT;
        let due: Vec<(TokenId, Arc<LastUsed>, u64)> = self
            .read()
            .entries()
            .filter_map(|entry| Some((entry.id, Arc::clone(&entry.used), entry.used.unflushed()?)))
            .take(FLUSH)
            .collect();
        let mut written = 0;
        for (id, used, minute) in due {
            let key = format!("{USED}{id}");
            let found = self.0.store.get(&key).await?;
            let known = found.as_ref().and_then(minute_of).unwrap_or(0);
            if known < minute {
                let expect = found.map_or(Expect::Absent, |it| Expect::Version(it.version));
                let value = minute.to_string().into();
                let swap = self
                    .0
                    .store
                    .put_if(&key, value, Some(expires), expect)
                    .await?;
                // Another instance was faster; the next flush sees what it wrote.
                if swap == Swap::Conflict {
                    continue;
                }
                written += 1;
            }
            used.flushed(known.max(minute));
        }
        Ok(written)
    }

    pub(super) async fn uses(&self) -> Result<HashMap<TokenId, u64>, TokenError> {
        let mut uses = HashMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.0.store.scan(USED, after.as_deref(), PAGE).await?;
            for (key, found) in &page {
                let id = key.strip_prefix(USED).and_then(TokenId::from_text);
                if let (Some(id), Some(minute)) = (id, minute_of(found)) {
                    uses.insert(id, minute);
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(uses),
            }
        }
    }
}

fn minute_of(found: &Versioned) -> Option<u64> {
    std::str::from_utf8(&found.value).ok()?.parse().ok()
}

/// When a token was last used, in minutes since the epoch; 0 is never.
#[derive(Debug, Default)]
pub(super) struct LastUsed {
    minute: AtomicU64,
    flushed: AtomicU64,
}

impl LastUsed {
    pub(super) fn touch(&self, now: Timestamp) {
        let minute = now.as_secs() / 60;
        // Requests of the same minute only read, so that the line stays shared between cores.
        if self.minute.load(Ordering::Relaxed) < minute {
            self.minute.fetch_max(minute, Ordering::Relaxed);
        }
    }

    pub(super) fn last(&self) -> Option<Timestamp> {
        let minute = self.minute.load(Ordering::Relaxed);
        (minute > 0).then(|| Timestamp::from_secs(minute.saturating_mul(60)))
    }

    /// The minute that the store has not heard of.
    pub(super) fn unflushed(&self) -> Option<u64> {
        let minute = self.minute.load(Ordering::Relaxed);
        (minute > self.flushed.load(Ordering::Relaxed)).then_some(minute)
    }

    /// The store has `minute`, from here or from another process.
    pub(super) fn flushed(&self, minute: u64) {
        self.flushed.fetch_max(minute, Ordering::Relaxed);
        self.minute.fetch_max(minute, Ordering::Relaxed);
    }
}
