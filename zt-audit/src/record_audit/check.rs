use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, Method, header, request::Parts};
use zt_core::{
    context::{HandlerRun, SecurityContext, Stage, Trail},
    decision::{Code, Denial},
    state::{
        Acknowledgement, AuditMode, DecisionEvent, Durable, Event, RecordError, Recorder, Verdict,
    },
};

use super::guard::CommitGuard;

/// Hands the permit to `recorder`; the guard waits for it.
pub(super) fn commit(
    recorder: &dyn Recorder,
    parts: &Parts,
    cx: &SecurityContext,
    name: &'static str,
) -> Result<CommitGuard, Denial> {
    cx.require(Stage::Record, name)?;
    cx.require(Stage::Authorize, name)?;
    let trail = cx.trail();
    let verdict = match cx.permit() {
        Some(permit) => Verdict::Permit(permit.clone()),
        // Authorization ran, refused, and was told to let pass; that is in `would_deny`.
        None if cx.is_observing() => Verdict::Undecided,
        None => return Err(Denial::misordered("authorization ran and left no permit")),
    };
    if !trail.take_decision() {
        return Err(Denial::misordered("the decision was already recorded"));
    }
    let mut ticket = decision(recorder, trail, verdict, Some(Acknowledgement::Sync));
    // Most tickets wait; one that was refused at once says so without being waited for.
    let now = Pin::new(&mut ticket).poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(Err(error)) = now {
        let denial = unavailable(&error);
        decision(recorder, trail, Verdict::Deny(denial.clone()), None).detach();
        return Err(denial);
    }
    Ok(CommitGuard::new(ticket, has_effects(parts, cx)))
}

/// Hands a decision to `recorder`.
pub(super) fn decision(
    recorder: &dyn Recorder,
    trail: &Arc<Trail>,
    verdict: Verdict,
    acknowledge: Option<Acknowledgement>,
) -> Durable {
    recorder.record(Event::Decision(DecisionEvent {
        trail: Arc::clone(trail),
        verdict,
        acknowledge,
    }))
}

/// The verdict on a request that did not come to the commit point.
pub(super) fn verdict(trail: &Trail) -> Verdict {
    match (trail.denial(), trail.permit()) {
        (Some(denial), _) => Verdict::Deny(denial.clone()),
        // Permitted, served, and nothing made that durable first: the stack has no commit point.
        (None, Some(permit)) if trail.handler() != HandlerRun::NotReached => {
            Verdict::Permit(permit.clone())
        }
        (None, _) => Verdict::Undecided,
    }
}

pub(super) fn unavailable(error: &RecordError) -> Denial {
    Denial::new(Code::AuditUnavailable).detail(error.to_string())
}

/// Whether the handler may change anything, so that it must wait.
fn has_effects(parts: &Parts, cx: &SecurityContext) -> bool {
    // RFC 9110 section 9.2.1: the safe methods. Anything else, known or not, may have effects;
    // CONNECT, extended or not, opens a tunnel.
    let safe = matches!(
        parts.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    let declared = cx
        .route()
        .is_some_and(|route| route.audit() == AuditMode::BeforeHandler);
    !safe || declared || cx.has_effects() || asks_for_upgrade(&parts.headers)
}

/// Whether the request may become something else than a request (RFC 9110 section 7.8): what flows
/// then is beyond the head that could be held. A stray `Upgrade` header counts too; holding the
/// handler is never wrong.
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
        || headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// `grpc-status`, where it is a number (gRPC over HTTP/2, "Responses").
pub(super) fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}
