//! What may stand where in a stack. Layer crates implement these; applications only meet them in
//! error messages.

use std::{fmt, sync::Arc};

use http::request::Parts;

use crate::{
    body::{BodyRoom, CollectLimits},
    context::{SecurityContext, Stage},
    decision::Denial,
    gate::{Check, Step},
    state::{Acknowledgement, Recorder},
};

/// Records decisions and outcomes: takes two places at once, the outer half and the commit point.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in the `record` slot of a stack",
    label = "not an audit layer",
    note = "`.record(..)` takes `RecordAuditLayer`; a stack without an audit log says `.without_audit()`"
)]
pub trait Records {
    /// Opens the record; stage [`Stage::Record`].
    type Outer: Check;
    /// Makes the permit durable; stage [`Stage::Commit`].
    type Commit: Check;

    /// Both halves.
    fn split(self) -> (Self::Outer, Self::Commit);

    /// Where the stack records what it is made of, and which doors stand open.
    fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        None
    }

    /// When a record counts as taken; where that is before it is durable, the stack tells so among
    /// its doors.
    fn acknowledges(&self) -> Acknowledgement {
        Acknowledgement::Sync
    }
}

/// Writes security headers; stage [`Stage::Headers`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in the `headers` slot of a stack",
    label = "does not set security headers",
    note = "`.headers(..)` takes `SetSecurityHeadersLayer`"
)]
pub trait SetsHeaders: Check {}

/// Limits by peer, before cryptography; stage [`Stage::LimitPeer`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in the `limit_peer` slot of a stack",
    label = "not a limit by peer",
    note = "`.limit_peer(..)` takes `LimitRateLayer::by_peer(..)`; limits by principal go into `.limit(..)`"
)]
pub trait LimitsPeer: Check {}

/// Narrows by sanction or asks for stronger authentication; stage [`Stage::Sanction`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in the `sanctions` or `step_up` slot of a stack",
    label = "neither sanctions nor step-up"
)]
pub trait Sanctioning: Check {}

/// Decides; stage [`Stage::Authorize`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in the `authorize` slot of a stack",
    label = "does not authorize",
    note = "`.authorize(..)` takes `AuthorizeLayer`; a stack for whoever is authenticated says `.any_authenticated()`"
)]
pub trait Authorizes: Check {
    /// As [`check`](Check::check), where somebody stands around it who can read the body.
    fn authorize(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Authorization<Self::Guard> {
        Authorization::Decided(self.check(parts, cx))
    }
}

/// What an authorizing layer answers before the body was read.
#[must_use]
pub enum Authorization<G> {
    /// Its answer.
    Decided(Step<G>),
    /// It has to see the body first.
    NeedsBody {
        /// How much of it.
        limits: CollectLimits,
        /// Where there has to be room for it, or the request is refused.
        room: BodyRoom,
        /// Decides once the body [is shown](SecurityContext::show_body), or once it is known why it
        /// cannot be.
        decide: DecideByBody<G>,
    },
}

/// See [`Authorization::NeedsBody`].
pub type DecideByBody<G> =
    Box<dyn FnOnce(Result<(), Denial>, &mut Parts, &mut SecurityContext) -> Step<G> + Send>;

impl<G: fmt::Debug> fmt::Debug for Authorization<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(step) => f.debug_tuple("Decided").field(step).finish(),
            Self::NeedsBody { limits, .. } => write!(f, "NeedsBody({limits:?})"),
        }
    }
}

/// Limits by principal or charges a budget; stage [`Stage::Spend`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in the `limit` or `charge` slot of a stack",
    label = "not a limit by principal",
    note = "`.limit(..)` takes `LimitRateLayer::by_principal(..)`; limits by peer go into `.limit_peer(..)`"
)]
pub trait Spends: Check {}

/// An optional slot in which nothing stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Check for Nothing {
    type Guard = ();

    const NAME: &'static str = "nothing";
    const STAGE: Stage = Stage::Anywhere;
    const PRESENT: bool = false;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<()> {
        Step::pass(())
    }
}

impl SetsHeaders for Nothing {}
impl LimitsPeer for Nothing {}
impl Sanctioning for Nothing {}
impl Spends for Nothing {}
