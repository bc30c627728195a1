//! Holds that nobody settled.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use zt_core::clock::Clock;

use super::{Limits, reserve::Inner};
use crate::counter::{Answer, CounterError, Expired, Moment};

impl Limits {
    /// Charges what is held by holds whose time is over, records it, and says how many there were.
    ///
    /// Limits that were made inside a runtime do this each second. Without it nothing is admitted
    /// that should not be: what is held counts until it is settled or charged. It makes the record
    /// say so, and takes holds down that cannot be corrected any more.
    ///
    /// # Errors
    ///
    /// The store's. What was charged before is recorded.
    pub fn expire(&self, now: Moment) -> Answer<usize> {
        let inner = self.inner();
        let mut count = 0;
        loop {
            match inner.store.expire(BATCH, now) {
                Answer::Now(Ok(expired)) => {
                    count += inner.tell_expired(&expired, now);
                    if expired.len() < BATCH || count >= BATCHES * BATCH {
                        return Answer::Now(Ok(count));
                    }
                }
                Answer::Now(Err(error)) => return Answer::Now(Err(error)),
                Answer::Later(first) => {
                    let limits = self.clone();
                    return Answer::Later(Box::pin(async move {
                        let mut count = limits.inner().tell_expired(&first.await?, now);
                        while count > 0 && count.is_multiple_of(BATCH) && count < BATCHES * BATCH {
                            let more = limits.inner().store.expire(BATCH, now).wait().await?;
                            if more.is_empty() {
                                break;
                            }
                            count += limits.inner().tell_expired(&more, now);
                        }
                        Ok(count)
                    }));
                }
            }
        }
    }
}

impl Inner {
    fn tell_expired(&self, expired: &[Expired], now: Moment) -> usize {
        if let Some(journal) = &self.journal {
            let policy = self.policy.load();
            let code = policy.tiers().find_map(|tier| tier.code());
            for expired in expired {
                journal.expired(expired, code, now);
            }
        }
        expired.len()
    }
}

/// Charges what nobody settled, each second, for as long as there are limits.
pub(super) async fn look_after(inner: Weak<Inner>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(EVERY).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        // A clock that cannot answer, and a store that is down, may be better in a second; until
        // then everything stays held.
        let Ok(now) = Moment::of(&*clock) else {
            continue;
        };
        let _: Result<usize, CounterError> = Limits::from_arc(inner).expire(now).wait().await;
    }
}

const EVERY: Duration = Duration::from_secs(1);

/// So that a store is not kept busy by one call.
const BATCH: usize = 256;
/// What is left waits for the next second.
const BATCHES: usize = 64;
