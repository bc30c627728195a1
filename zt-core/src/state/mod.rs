//! What outlives a request: feeds, sanctions, the recorder, the route table, live snapshots.

mod feed;
mod live;
mod readiness;
mod recorder;
mod replica;
mod routes;
mod sanctions;
#[cfg(test)]
pub(crate) mod tests;

#[cfg(any(test, feature = "test-util"))]
pub use self::feed::conformance as feed_conformance;
pub(crate) use self::replica::{Follows, Replica, follow};
pub use self::{
    feed::{
        Cursor, Entry, Feed, FeedError, FeedLimits, HEARTBEAT, MAX_VIEW_AGE, MemoryFeed,
        Subscription, Topic,
    },
    live::{Live, LiveStatus, Snapshot, TooOld},
    readiness::{Probe, ProbeStatus, Readiness, ReadinessStatus},
    recorder::{
        Acknowledgement, AdminEvent, AlertEvent, BudgetEvent, BudgetPart, ConfigEvent,
        DecisionEvent, Durable, DurableProgress, Event, EventKind, Events, Fanout, GrantEvent,
        MemoryRecorder, OutcomeEvent, RecordError, Recorder, SanctionEvent, Verdict,
    },
    routes::{AuditMode, Route, RouteError, RouteId, RouteRule, Routes, RoutesBuilder},
    sanctions::{
        Sanction, SanctionAction, SanctionError, SanctionTarget, Sanctions, SanctionsBuilder,
    },
};
