use std::sync::atomic::{AtomicU64, Ordering};

use zt_core::state::RecordError;

use super::{SignError, core::Core};

/// How a log is doing; see [`AuditLog::health`](super::AuditLog::health).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Why permits are refused right now, where they are: the log cannot write or was closed, or
    /// an outcome was lost and no durable record says so yet.
    pub refuses: Option<RecordError>,
    /// Events that were taken and are not durable.
    pub waiting: u64,
    /// Events that are durable since the log was opened.
    pub durable: u64,
    /// Permits and administrative events that were refused.
    pub refused: u64,
    /// Denials and outcomes of requests whose handler did not run that had no place. They are told
    /// as counts in `rolled-up` records, those excepted that came after the log refused for good.
    pub rolled_up: u64,
    /// Outcomes of requests whose handler ran that had no place: each is a hole in the evidence.
    pub lost: u64,
    /// Events that were taken and could not be made durable; `gap` records count them.
    pub failed: u64,
    /// Segments that were given up because they could not be written.
    pub given_up: u64,
    /// How many records the log has, durable.
    pub size: u64,
    /// How many of them the last checkpoint covers.
    pub signed: u64,
    /// Why the last checkpoint was not signed, where it was not.
    pub unsigned: Option<SignError>,
}

impl Health {
    /// Whether a permit would be taken.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.refuses.is_none()
    }

    pub(super) fn of(core: &Core) -> Self {
        let (refuses, waiting, counts) = {
            let state = core.shared.state();
            let queue = &state.queue;
            let refuses = queue
                .end
                .clone()
                .or((queue.untold() > 0).then_some(RecordError::Full));
            (refuses, queue.waiting(core.shared.settled()), queue.counts)
        };
        Self {
            refuses,
            waiting,
            durable: core.shared.durable(),
            refused: counts.refused,
            rolled_up: counts.rolled_up + core.shared.flood.total(),
            lost: counts.lost,
            failed: core.shared.settled().saturating_sub(core.shared.durable()),
            given_up: core.faults.given_up.load(Ordering::Relaxed),
            size: core.news.size(),
            signed: core.signer.standing().0,
            unsigned: core.signer.failed(),
        }
    }
}

/// What went wrong, counted.
#[derive(Debug, Default)]
pub(super) struct Faults {
    given_up: AtomicU64,
}

impl Faults {
    pub(super) fn count_given_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }
}
