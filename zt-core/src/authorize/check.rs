//! From a policy's verdict to a permit or a denial.

use std::sync::Arc;

use super::{Grounds, Verdict};
use crate::{
    context::SecurityContext,
    decision::{Code, Denial, Permit, PolicyName},
    state::Route,
};

/// Whether a check gives the permit, or only narrows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// It gives the request's one permit.
    Decide,
    /// It gives one where none is there.
    Narrow,
}

/// Asks that the request was not authorized before.
pub(super) fn undecided(cx: &SecurityContext) -> Result<(), Denial> {
    if cx.permit().is_none() {
        return Ok(());
    }
    Err(Denial::misordered(
        "authorization ran twice, or behind a requirement that permits by itself",
    ))
}

/// Permits a request to a public route, where it is for one.
pub(super) fn public(cx: &mut SecurityContext) -> Option<Result<(), Denial>> {
    let template = cx
        .route()
        .filter(|route| route.is_public())
        .map(Route::template)?;
    let permit = Permit::assertion(["public ", template].concat()).finish();
    Some(cx.set_permit(permit))
}

/// Narrows by `verdict`: sets a permit where none is there.
pub(crate) fn narrow(
    verdict: Result<Verdict, Denial>,
    cx: &mut SecurityContext,
) -> Result<(), Denial> {
    conclude(verdict, Duty::Narrow, None, || None, cx)
}

/// Turns what a policy said into the request's permit, or into a denial. `policy` is how the layer
/// calls it; `own` asks for its own name, where a denial does not tell.
pub(super) fn conclude(
    verdict: Result<Verdict, Denial>,
    duty: Duty,
    policy: Option<&PolicyName>,
    own: impl FnOnce() -> Option<PolicyName>,
    cx: &mut SecurityContext,
) -> Result<(), Denial> {
    let denial = match verdict {
        Ok(Verdict::Permit(grounds)) => match grounds.until {
            Some(end) if end <= cx.now() => {
                Denial::new(Code::PolicyDenied).detail("the grounds have ended")
            }
            _ => return permit(grounds, duty, policy, cx),
        },
        Ok(Verdict::NotApplicable) => {
            Denial::new(Code::PolicyDenied).detail("no rule applies to the request")
        }
        Ok(Verdict::Deny(denial)) | Err(denial) => denial,
    };
    let denial = match denial.policy() {
        Some(_) => denial,
        None => match own().or_else(|| policy.cloned()) {
            Some(policy) => denial.of_policy(policy),
            None => denial,
        },
    };
    // Handlers take a permit; one that lets them run while the stack observes says so.
    if cx.would_waive(&denial) && cx.permit().is_none() {
        let assertion = Permit::assertion("observed").observed();
        cx.set_permit(bound(assertion, policy, cx).finish())?;
    }
    Err(denial)
}

fn permit(
    grounds: Grounds,
    duty: Duty,
    policy: Option<&PolicyName>,
    cx: &mut SecurityContext,
) -> Result<(), Denial> {
    let Grounds {
        rule,
        policy: own,
        until,
        standing,
    } = grounds;
    for one in standing {
        cx.stand_on(one);
    }
    if duty == Duty::Narrow && cx.permit().is_some() {
        return Ok(());
    }
    let mut assertion = bound(Permit::assertion(rule), own.as_ref().or(policy), cx);
    if let Some(end) = until {
        assertion = assertion.valid_until(end);
    }
    cx.set_permit(assertion.finish())
}

/// The permit names who and by what, and ends with the credential and the certificate.
fn bound(
    mut assertion: crate::decision::PermitAssertion,
    policy: Option<&PolicyName>,
    cx: &SecurityContext,
) -> crate::decision::PermitAssertion {
    if let Some(policy) = policy {
        assertion = assertion.of_policy(policy.clone());
    }
    if let Some(principal) = cx.principal() {
        assertion = assertion.principal(Arc::clone(principal));
    }
    match cx.peer() {
        Some(peer) => assertion.valid_until(peer.not_after()),
        None => assertion,
    }
}
