use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, HeaderName, Method, header, request::Parts};
use zt_core::{
    context::{HandlerRun, SecurityContext, Stage, Trail},
    decision::{Code, Denial},
    state::{
        Acknowledgement, AuditMode, DecisionEvent, Durable, Event, RecordError, Recorder, Verdict,
    },
};

use super::guard::CommitGuard;

/// Hands the permit to `recorder`; the guard waits until it counts as taken.
pub(super) fn commit(
    recorder: &dyn Recorder,
    when: Acknowledgement,
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
    let mut ticket = decision(recorder, trail, verdict, Some(when));
    // Most tickets wait; one that was refused at once says so without being waited for.
    let now = Pin::new(&mut ticket).poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(Err(error)) = now {
        let denial = unavailable(&error);
        decision(recorder, trail, Verdict::Deny(denial.clone()), None).detach();
        return Err(denial);
    }
    Ok(CommitGuard::new(ticket, waits_before(parts, cx)))
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

/// Whether the handler must wait: it may change anything, or what it answers is more than a head
/// that could be held. To hold it is never wrong, so a request that only looks so waits too.
fn waits_before(parts: &Parts, cx: &SecurityContext) -> bool {
    // RFC 9110 section 9.2.1: the safe methods. Anything else, known or not, may have effects;
    // CONNECT, extended (RFC 8441) or not, opens a tunnel.
    let safe = matches!(
        parts.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    let declared = cx
        .route()
        .is_some_and(|route| route.audit() == AuditMode::BeforeHandler);
    !safe || declared || cx.has_effects() || cx.trail().is_grpc() || streams(&parts.headers)
}

/// Whether more may flow, either way, than a request and its answer.
fn streams(headers: &HeaderMap) -> bool {
    // RFC 9112 section 6.1: a body whose length nobody knows. That of HTTP/2 has no such field;
    // `ValidateRequest`, which sees the body, says that the request has effects.
    headers.contains_key(header::TRANSFER_ENCODING)
        // RFC 9110 section 7.8: it becomes something else than a request.
        || headers.contains_key(header::UPGRADE)
        || members(headers, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        // HTML section 9.2, server-sent events: each goes out when it happens, long after the head.
        || members(headers, &header::ACCEPT).any(is_event_stream)
}

/// The members of a list (RFC 9110 section 5.6.1).
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Whether a media range names event streams; whatever its parameters are.
fn is_event_stream(range: &[u8]) -> bool {
    let name = range.split(|byte| *byte == b';').next();
    name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

/// `grpc-status`, where it is a number (gRPC over HTTP/2, "Responses").
pub(super) fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}
