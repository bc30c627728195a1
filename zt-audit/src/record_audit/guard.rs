use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::response;
use zt_core::{
    context::Trail,
    decision::Denial,
    gate::{Guard, Settlement},
    state::{Durable, Event, OutcomeEvent, Recorder},
};

use super::check;

/// The outer half: a decision where nobody else recorded one, and the outcome.
pub struct RecordGuard {
    recorder: Arc<dyn Recorder>,
    grpc: Option<u16>,
}

impl RecordGuard {
    pub(super) const fn new(recorder: Arc<dyn Recorder>) -> Self {
        Self {
            recorder,
            grpc: None,
        }
    }

    fn decide(&self, trail: &Arc<Trail>) {
        if trail.take_decision() {
            let verdict = check::verdict(trail);
            check::decision(&*self.recorder, trail, verdict, None).detach();
        }
    }
}

impl Guard for RecordGuard {
    fn head(&mut self, head: &mut response::Parts, trail: &Arc<Trail>) {
        self.decide(trail);
        if trail.is_grpc() {
            self.grpc = check::grpc_status(&head.headers);
        }
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        let trail = settlement.trail;
        self.decide(trail);
        let told = settlement
            .trailers
            .filter(|_| trail.is_grpc())
            .and_then(check::grpc_status);
        self.recorder
            .record(Event::Outcome(OutcomeEvent {
                trail: Arc::clone(trail),
                end: settlement.end,
                handler: settlement.handler,
                status: settlement.status,
                grpc_status: told.or(self.grpc),
                bytes: settlement.bytes,
                elapsed: settlement.elapsed,
            }))
            .detach();
    }
}

impl fmt::Debug for RecordGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordGuard")
    }
}

/// The commit half: holds the handler, or the head of the response, until the permit is durable.
#[derive(Debug)]
pub struct CommitGuard {
    ticket: Durable,
    holds_handler: bool,
}

impl CommitGuard {
    pub(super) const fn new(ticket: Durable, holds_handler: bool) -> Self {
        Self {
            ticket,
            holds_handler,
        }
    }

    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        Pin::new(&mut self.ticket)
            .poll(task)
            .map_err(|error| check::unavailable(&error))
    }
}

impl Guard for CommitGuard {
    const SETTLES: bool = false;

    fn holds_handler(&self) -> bool {
        self.holds_handler
    }

    fn poll_before_handler(
        &mut self,
        task: &mut Context<'_>,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.poll(task)
    }

    /// Also where the handler was held: the ticket answers again, at once.
    fn poll_release(
        &mut self,
        task: &mut Context<'_>,
        _: &response::Parts,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        self.poll(task)
    }
}
