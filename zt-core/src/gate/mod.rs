//! The gate: one tower service and one future over a chain of checks.
//!
//! A request passes when
//!
//! 1. every check of the chain, in order, lets it go on; none is skipped, and one that waits is
//!    waited for;
//! 2. no check stands before one that it needs (`stack-misordered` otherwise);
//! 3. every guard that holds the handler lets it be called;
//! 4. the inner service answers, without panicking (`handler-panicked` otherwise);
//! 5. every guard that holds the head of the response lets it leave.
//!
//! Otherwise the answer is the denial of whatever refused, rendered by the settings' renderer,
//! with the denial in the response's extensions. Guards see every answer on its way out, from the
//! innermost to the outermost, and settle exactly once: in the body, or in `Drop` where the
//! request was abandoned.
//!
//! The gate splits the request once and calls the inner service that `poll_ready` was asked of.
//! Only where a check or a guard waits, the inner service is cloned and the ready one taken.
//! Readiness passes through: refusals wait behind an inner service that is full, unless the gate
//! is told to be [ready early](Settings::ready_early). Errors of the inner service's `poll_ready`
//! pass through unrecorded, since there is no request yet.

mod chain;
mod check;
mod future;
mod guard;
mod layer;
mod lease;
mod service;
mod settings;

pub use self::{
    chain::{BodyLink, Chain, Exchange, Link, Opened, Progress, Root, Slot, Slots},
    check::{Check, CheckBody, FnCheck, Later, Step},
    future::ResponseFuture,
    guard::{End, Guard, Settlement},
    layer::{GateLayer, OpenContextLayer},
    lease::{Lease, Leased, Standing},
    service::{BodyMode, Gate, Keep, Replace},
    settings::{PeerFinder, Settings},
};
pub(crate) use self::{check::Resume, lease::Watch};

#[cfg(test)]
mod tests;
