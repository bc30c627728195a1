use std::sync::Arc;

use zt_core::{
    clock::{ClockError, Timestamp},
    state::{ConfigEvent, Event, RecordError},
};

use super::{Limits, LimitsError, Policy};

/// The policy that holds stays the one that it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// It cannot follow the one that holds.
    #[error(transparent)]
    Policy(#[from] LimitsError),
    /// It could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no time to record.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

impl Limits {
    /// Another policy from now on, once that is recorded (`config`, part `limits`).
    ///
    /// What was spent under the name of a limit stays spent. A limit that is lower admits nothing
    /// until usage is below it. Reservations that are under way keep the tier they were made with.
    /// A budget with another window is counted in that one from now on.
    ///
    /// # Errors
    ///
    /// [`ReplaceError::Policy`] where its levels are others, its budgets are in another currency, or
    /// a limit has the name of one that has another level or kind; a policy that is refused is
    /// recorded too. Otherwise where the record cannot be written. The old policy holds then.
    pub async fn replace(&self, policy: Policy) -> Result<(), ReplaceError> {
        let inner = self.inner();
        let mut generation = inner.replaced.lock().await;
        let next = generation.saturating_add(1);
        let refused = self.check_next(&policy).err();
        if let Some(journal) = &inner.journal {
            let at = match inner.clock.now() {
                Ok(now) => now,
                // A refusal changes nothing, so it may stand in the record without its time.
                Err(_) if refused.is_some() => Timestamp::EPOCH,
                Err(error) => return Err(error.into()),
            };
            let durable = journal.record(Event::Config(ConfigEvent {
                at,
                part: "limits",
                action: if refused.is_some() {
                    "refused"
                } else {
                    "loaded"
                },
                version: next.to_string().into(),
                detail: refused.as_ref().map(ToString::to_string),
            }));
            if refused.is_none() {
                durable.await?;
            }
        }
        if let Some(refused) = refused {
            return Err(refused.into());
        }
        *generation = next;
        if let Some(currency) = policy.currency() {
            inner.currency.get_or_init(|| currency);
        }
        inner.policy.store(Arc::new(policy));
        Ok(())
    }

    fn check_next(&self, policy: &Policy) -> Result<(), LimitsError> {
        let inner = self.inner();
        if let (Some(expected), Some(found)) = (inner.currency.get(), policy.currency())
            && *expected != found
        {
            return Err(LimitsError::Currency {
                found,
                expected: *expected,
            });
        }
        inner.policy.load().check_next(policy)
    }
}
