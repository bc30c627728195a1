//! Hearing what other instances changed, and noting what time has ended.

use std::sync::Arc;

use super::{
    GrantError, GrantState, Grants,
    registry::{BY_ID, Inner},
    step::Verb,
};
use crate::state::{Follows, HEARTBEAT, Replica, Topic, follow};

/// Where changed grants are announced, each by its key in the store.
pub(super) const TOPIC: Topic = "grants";
/// Where nothing rests: asked for, to learn whether the store answers.
const PROBE: &str = "grant/probe";
/// The most grants whose end one sweep notes.
const SWEEP: usize = 64;

impl Grants {
    /// Applies what other instances change, and notes which requests have lapsed and which grants
    /// have expired, until every other handle to this registry is gone. To be spawned by the
    /// application.
    ///
    /// It tries again where feed or store fails. Meanwhile the view grows older, and after
    /// [`MAX_VIEW_AGE`](crate::state::MAX_VIEW_AGE) nothing is granted: `store-unavailable`.
    pub async fn follow(self) {
        let inner = Arc::clone(&self.0);
        futures_util::future::join(follow(inner), sweeping(self)).await;
    }

    /// Notes which requests have lapsed and which grants have expired, at most 64 of them; says how
    /// many. None of them holds any longer, noted or not; this is for the audit log.
    /// [`follow`](Self::follow) does it twice a second.
    ///
    /// # Errors
    ///
    /// Where clock, store or recorder cannot answer.
    pub async fn sweep(&self) -> Result<usize, GrantError> {
        let now = self.0.clock.now()?;
        let due: Vec<(Arc<str>, Verb)> = {
            let mut view = self.write();
            view.drop_gone(now);
            view.all()
                .filter_map(|grant| {
                    let verb = match (grant.state, grant.state_at(now)) {
                        (GrantState::Requested, GrantState::Lapsed) => Verb::Lapse,
                        (GrantState::Approved, GrantState::Expired) => Verb::Expire,
                        _ => return None,
                    };
                    Some((Arc::clone(&grant.id), verb))
                })
                .take(SWEEP)
                .collect()
        };
        let mut noted = 0;
        for (id, verb) in due {
            match self.step(&id, verb, None, None).await {
                Ok(_) => noted += 1,
                // Somebody else has noted it, or is about to.
                Err(
                    GrantError::Decided { .. }
                    | GrantError::Underway
                    | GrantError::Contended
                    | GrantError::Unknown,
                ) => {
                    self.look_again(&[BY_ID, &*id].concat()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(noted)
    }
}

/// Sweeps until nobody else has the registry any more.
async fn sweeping(grants: Grants) {
    let clock = Arc::clone(&grants.0.clock);
    let weak = Arc::downgrade(&grants.0);
    drop(grants);
    loop {
        let Some(grants) = weak.upgrade().map(Grants) else {
            return;
        };
        if let Err(error) = grants.sweep().await {
            tracing::warn!(%error, "the end of a grant could not be recorded; trying again");
        }
        drop(grants);
        clock.sleep(HEARTBEAT).await;
    }
}

impl Follows for Inner {
    type Error = GrantError;

    fn replica(&self) -> &Replica {
        &self.replica
    }

    fn owns(key: &str) -> bool {
        key.starts_with(BY_ID)
    }

    async fn reload(self: &Arc<Self>, key: &str) -> Result<(), GrantError> {
        Grants(Arc::clone(self)).reload(key).await
    }

    async fn reload_all(self: &Arc<Self>) -> Result<(), GrantError> {
        Grants(Arc::clone(self)).refresh().await
    }

    /// A store that is down cannot say what was revoked: the view grows old without it, too.
    async fn probe(self: &Arc<Self>) -> Result<(), GrantError> {
        self.store.get(PROBE).await?;
        Ok(())
    }
}
