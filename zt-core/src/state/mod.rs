//! What outlives a request: feeds, sanctions, the recorder, the route table, live snapshots.

mod feed;
mod live;
mod recorder;
mod routes;
mod sanctions;

pub use self::{
    feed::{Cursor, Entry, Feed, FeedError, HEARTBEAT, MAX_VIEW_AGE, Subscription, Topic},
    recorder::{
        AdminEvent, AlertEvent, BudgetEvent, ConfigEvent, DecisionEvent, Durable, DurableProgress,
        Event, EventKind, Events, Fanout, GrantEvent, MemoryRecorder, OutcomeEvent, RecordError,
        Recorder, SanctionEvent, Verdict,
    },
    routes::{AuditMode, Route, RouteError, RouteId, RouteRule, Routes, RoutesBuilder},
    sanctions::{Sanction, SanctionAction, SanctionError, SanctionTarget, Sanctions},
};
