use std::{fmt, sync::Arc};

use http::request::Parts;
use tower_layer::Layer;
use zt_core::{
    context::{SecurityContext, Stage},
    gate::{Check, Step},
    stack::slots::Records,
    state::Recorder,
};

use super::{
    check,
    guard::{CommitGuard, RecordGuard},
};

/// Records one decision and one outcome of every request; see the [module](super).
#[derive(Clone)]
pub struct RecordAuditLayer(Arc<dyn Recorder>);

/// [`RecordAuditLayer`] around `S`.
pub type RecordAudit<S> = <RecordAuditLayer as Layer<S>>::Service;

impl RecordAuditLayer {
    /// Records into `recorder`: an [`AuditLog`](crate::AuditLog), or anything else that keeps the
    /// contract.
    #[must_use]
    pub fn new(recorder: impl Recorder) -> Self {
        Self(Arc::new(recorder))
    }

    /// The commit point that belongs to this layer, for a stack made by hand: innermost, right
    /// around the handler.
    #[must_use]
    pub fn commit(&self) -> CommitAuditLayer {
        CommitAuditLayer(Arc::clone(&self.0))
    }
}

impl Records for RecordAuditLayer {
    type Outer = Self;
    type Commit = CommitAuditLayer;

    fn split(self) -> (Self, CommitAuditLayer) {
        let commit = self.commit();
        (self, commit)
    }

    fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        Some(Arc::clone(&self.0))
    }
}

impl Check for RecordAuditLayer {
    type Guard = RecordGuard;

    const NAME: &'static str = "RecordAudit";
    const STAGE: Stage = Stage::Record;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<RecordGuard> {
        Step::pass(RecordGuard::new(Arc::clone(&self.0)))
    }
}

zt_core::impl_layer!(RecordAuditLayer);

impl fmt::Debug for RecordAuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecordAuditLayer").field(&self.0).finish()
    }
}

/// Makes a permit durable before it has an effect; made by [`RecordAuditLayer::commit`].
#[derive(Clone)]
pub struct CommitAuditLayer(Arc<dyn Recorder>);

/// [`CommitAuditLayer`] around `S`.
pub type CommitAudit<S> = <CommitAuditLayer as Layer<S>>::Service;

impl Check for CommitAuditLayer {
    type Guard = CommitGuard;

    const NAME: &'static str = "CommitAudit";
    const STAGE: Stage = Stage::Commit;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<CommitGuard> {
        check::commit(&*self.0, parts, cx, Self::NAME).into()
    }
}

zt_core::impl_layer!(CommitAuditLayer);

impl fmt::Debug for CommitAuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommitAuditLayer").field(&self.0).finish()
    }
}
