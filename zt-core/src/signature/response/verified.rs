use std::sync::Arc;

use crate::{clock::Timestamp, identity::Principal, signature::base::Component};

/// A response whose signature holds; in the response's extensions.
///
/// What the signature does not cover, nobody vouches for: ask [`covers`](Self::covers) before
/// believing another field than `content-type`.
#[derive(Debug, Clone)]
pub struct VerifiedResponse {
    pub(super) principal: Arc<Principal>,
    pub(super) created: Timestamp,
    pub(super) covered: Arc<[Box<str>]>,
}

impl VerifiedResponse {
    /// Who vouches for it.
    #[must_use]
    pub const fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// When they say that they signed it.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Whether the signature covers `component`.
    #[must_use]
    pub fn covers(&self, component: &Component) -> bool {
        let text = component.to_string();
        self.covered.iter().any(|one| **one == *text)
    }
}
