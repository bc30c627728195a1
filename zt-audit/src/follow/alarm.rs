use std::sync::Arc;

use zt_core::{
    clock::{Clock, Timestamp},
    state::{AlertEvent, Event, Recorder},
};

use super::FollowOptions;

/// Who is told when a copy and its log do not agree.
pub(super) struct Alarms {
    name: String,
    clock: Arc<dyn Clock>,
    recorder: Option<Arc<dyn Recorder>>,
}

impl Alarms {
    pub(super) fn new(options: &FollowOptions) -> Self {
        Self {
            name: options.name.clone(),
            clock: Arc::clone(&options.clock),
            recorder: options.alerts.clone(),
        }
    }

    /// `origin` is the log, where it is known.
    pub(super) fn raise(&self, origin: Option<&str>, what: &str) {
        let origin = origin.unwrap_or_default();
        tracing::error!(target: "zt_audit", follower = %self.name, origin, "a copy of the log: {what}");
        if let Some(recorder) = &self.recorder {
            let alert = AlertEvent {
                at: self.clock.now().unwrap_or(Timestamp::EPOCH),
                detector: "audit-follower",
                subject: self.name.as_str().into(),
                score: 1000,
                evidence: what.to_owned(),
            };
            recorder.record(Event::Alert(alert)).detach();
        }
    }
}
