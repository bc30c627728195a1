//! Imposing and lifting.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Inner, Sanction, SanctionAction, SanctionError, SanctionTarget, Sanctions, shared, types,
};
use crate::state::{Event, SanctionEvent};

impl Sanctions {
    /// Imposes `sanction`: records it, and from then on it strikes in this process; then writes
    /// it to the store and announces it.
    ///
    /// Where the same target is under the same action already, the later end holds: to shorten a
    /// sanction, lift it and impose it again. Dropping the future before the record is durable
    /// imposes nothing.
    ///
    /// # Errors
    ///
    /// [`SanctionError::LocalOnly`] where it strikes here but others could not be told;
    /// with any other error nothing was imposed.
    pub async fn impose(&self, sanction: Sanction) -> Result<(), SanctionError> {
        let inner = &*self.0;
        let now = inner.clock.now()?;
        if !sanction.is_live(now) {
            return Err(SanctionError::Over);
        }
        shared::encode(&sanction)?;
        let key = sanction.key();
        let place = inner.view.reserve(&key, now)?;
        let event = SanctionEvent {
            at: now,
            author: Arc::clone(&sanction.author),
            action: "imposed",
            target: sanction.target.clone(),
            reason: sanction.reason.clone(),
            expires: sanction.expires,
        };
        inner.record(event).await?;
        // It strikes from here on, whatever becomes of the rest.
        inner.view.impose(sanction, now, place);
        let _turn = inner.turns.lock().await;
        inner.tell(&key).await.map_err(local_only)
    }

    /// Lifts whatever was imposed on `target`: records it, removes it from the store, announces
    /// it, and from then on it strikes no longer.
    ///
    /// # Errors
    ///
    /// [`SanctionError::NotFound`] where there is nothing to lift. [`SanctionError::LocalOnly`]
    /// where it was lifted but others could not be told. With any other error it still strikes;
    /// where that comes after the record, `lift-failed` is recorded too.
    pub async fn lift(
        &self,
        target: &SanctionTarget,
        author: impl Into<Arc<str>>,
        reason: impl Into<String>,
    ) -> Result<(), SanctionError> {
        let inner = &*self.0;
        let author = author.into();
        let now = inner.clock.now()?;
        let mut standing = Vec::new();
        for action in SanctionAction::ALL {
            let key = types::key(target, action);
            if inner.view.get(&key).is_some() || inner.stored(&key).await? {
                standing.push(key);
            }
        }
        if standing.is_empty() {
            return Err(SanctionError::NotFound);
        }
        let event = |action, reason| SanctionEvent {
            at: now,
            author: Arc::clone(&author),
            action,
            target: target.clone(),
            reason,
            expires: None,
        };
        inner.record(event("lifted", reason.into())).await?;
        let _turn = inner.turns.lock().await;
        let mut told = Ok(());
        for key in standing {
            if let Err(error) = inner.unstore(&key).await {
                let error = error.to_string();
                if let Some(recorder) = &inner.recorder {
                    let failed = event("lift-failed", error.clone());
                    recorder.record(Event::Sanction(failed)).detach();
                }
                return Err(SanctionError::NotLifted(error.into()));
            }
            inner.view.lift(&key);
            told = told.and(inner.tell(&key).await.map_err(local_only));
        }
        told
    }
}

impl Inner {
    async fn record(&self, event: SanctionEvent) -> Result<(), SanctionError> {
        match &self.recorder {
            Some(recorder) => Ok(recorder.record(Event::Sanction(event)).await?),
            None => Ok(()),
        }
    }

    async fn stored(&self, key: &str) -> Result<bool, SanctionError> {
        match &self.shared {
            Some(shared) => Ok(shared.read(key).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn unstore(&self, key: &str) -> Result<(), SanctionError> {
        match &self.shared {
            Some(shared) => shared.remove(key).await,
            None => Ok(()),
        }
    }

    /// Tells others of the change at `key`, where nobody else has done so. Whoever calls this has
    /// its turn.
    pub(super) async fn tell(&self, key: &Arc<str>) -> Result<(), SanctionError> {
        let Some(change) = self.view.change(key) else {
            return Ok(());
        };
        let stored = match &self.shared {
            Some(shared) => {
                let sanction = change.sanction.as_deref();
                shared
                    .tell(&change.key, sanction, self.lenient_now())
                    .await?
            }
            None => None,
        };
        let heard_of_it = self.view.told(&change, stored.map(Arc::new));
        if heard_of_it && self.read_again(&change.key).await.is_err() {
            self.astray.store(true, Ordering::Release);
        }
        Ok(())
    }
}

fn local_only(error: SanctionError) -> SanctionError {
    SanctionError::LocalOnly(error.to_string().into())
}
