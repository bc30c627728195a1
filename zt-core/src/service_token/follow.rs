//! Hearing what other instances changed.

use std::sync::Arc;

use super::{
    ServiceTokens, TokenError,
    registry::{BY_DIGEST, BY_ID, Inner},
};
use crate::state::{Follows, Replica, Topic, follow};

/// Where changed tokens are announced, each by its key in the store.
pub(super) const TOPIC: Topic = "service-tokens";

impl ServiceTokens {
    /// Applies what other instances change, until every other handle to this registry is gone. To
    /// be spawned by the application where there is a feed; without one it ends at once.
    ///
    /// It tries again where feed or store fails. Meanwhile the view grows older, and after
    /// [`MAX_VIEW_AGE`](crate::state::MAX_VIEW_AGE) it refuses every request with
    /// `store-unavailable`.
    pub async fn follow(self) {
        follow(self.0).await;
    }
}

impl Follows for Inner {
    type Error = TokenError;

    fn replica(&self) -> &Replica {
        &self.replica
    }

    fn owns(key: &str) -> bool {
        key.starts_with(BY_ID) || key.starts_with(BY_DIGEST)
    }

    async fn reload(self: &Arc<Self>, key: &str) -> Result<(), TokenError> {
        ServiceTokens(Arc::clone(self)).reload(key).await
    }

    async fn reload_all(self: &Arc<Self>) -> Result<(), TokenError> {
        ServiceTokens(Arc::clone(self)).refresh().await
    }
}
