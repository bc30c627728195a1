use std::{fmt, sync::Arc};

use http::request::Parts;
use tower_layer::Layer;
use zt_core::{
    context::{SecurityContext, Stage},
    gate::{Check, Step},
    stack::slots::Records,
    state::{Acknowledgement, Recorder, Route},
};

use super::{
    check,
    guard::{CommitGuard, RecordGuard},
};

/// Records one decision and one outcome of every request; see the [module](super).
#[derive(Clone)]
pub struct RecordAuditLayer {
    recorder: Arc<dyn Recorder>,
    acknowledge: Acknowledgement,
}

/// [`RecordAuditLayer`] around `S`.
pub type RecordAudit<S> = <RecordAuditLayer as Layer<S>>::Service;

impl RecordAuditLayer {
    /// Records into `recorder`: an [`AuditLog`](crate::AuditLog), or anything else that keeps the
    /// contract.
    #[must_use]
    pub fn new(recorder: impl Recorder) -> Self {
        Self {
            recorder: Arc::new(recorder),
            acknowledge: Acknowledgement::Sync,
        }
    }

    /// What counts as taken by the recorder, on routes that do not say
    /// [otherwise](zt_core::state::RouteRule::acknowledge): [`Sync`](Acknowledgement::Sync), durable,
    /// unless this says less. With less a crash can lose the evidence of effects that happened; the
    /// stack tells it among its doors.
    #[must_use]
    pub const fn acknowledge(mut self, when: Acknowledgement) -> Self {
        self.acknowledge = when;
        self
    }

    /// The commit point that belongs to this layer, for a stack made by hand: innermost, right
    /// around the handler.
    #[must_use]
    pub fn commit(&self) -> CommitAuditLayer {
        CommitAuditLayer {
            recorder: Arc::clone(&self.recorder),
            acknowledge: self.acknowledge,
        }
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
        Some(Arc::clone(&self.recorder))
    }

    fn acknowledges(&self) -> Acknowledgement {
        self.acknowledge
    }
}

impl Check for RecordAuditLayer {
    type Guard = RecordGuard;

    const NAME: &'static str = "RecordAudit";
    const STAGE: Stage = Stage::Record;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<RecordGuard> {
        Step::pass(RecordGuard::new(Arc::clone(&self.recorder)))
    }
}

zt_core::impl_layer!(RecordAuditLayer);

impl fmt::Debug for RecordAuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordAuditLayer")
            .field("recorder", &self.recorder)
            .field("acknowledge", &self.acknowledge)
            .finish()
    }
}

/// Makes a permit durable before it has an effect; made by [`RecordAuditLayer::commit`].
#[derive(Clone)]
pub struct CommitAuditLayer {
    recorder: Arc<dyn Recorder>,
    acknowledge: Acknowledgement,
}

/// [`CommitAuditLayer`] around `S`.
pub type CommitAudit<S> = <CommitAuditLayer as Layer<S>>::Service;

impl Check for CommitAuditLayer {
    type Guard = CommitGuard;

    const NAME: &'static str = "CommitAudit";
    const STAGE: Stage = Stage::Commit;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<CommitGuard> {
        let own = cx.route().and_then(Route::acknowledge);
        let when = own.unwrap_or(self.acknowledge);
        check::commit(&*self.recorder, when, parts, cx, Self::NAME).into()
    }
}

zt_core::impl_layer!(CommitAuditLayer);

impl fmt::Debug for CommitAuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitAuditLayer")
            .field("recorder", &self.recorder)
            .field("acknowledge", &self.acknowledge)
            .finish()
    }
}
