//! From a credential to a [`Principal`]: what every authenticator does alike.
//!
//! A request passes when
//!
//! 1. it presents exactly one credential that the authenticator knows (several:
//!    `credential-ambiguous`, none: `credential-missing`, only others: `credential-invalid`);
//! 2. that credential proves who asks; one that was refused never falls through to another
//!    authenticator;
//! 3. what was proved has not ended (`credential-expired`).
//!
//! On a public route (see [`Routes`](crate::state::Routes)) nothing is asked and nobody is named.
//! The first authenticator of a request names the caller; later ones only add what they proved,
//! and the earliest expiry holds.

mod body;
mod combine;

use std::{
    fmt,
    sync::Arc,
    task::{Poll, ready},
};

use http::request::Parts;

pub use self::{
    body::{
        BodyPlan, BodyProver, ProveBody, ProvingChain, Verified, VerifyBody, WithBody, with_body,
    },
    combine::{AllOf, AnyOf, Optional, all_of, any_of},
};
use crate::{
    context::{SecurityContext, Stage},
    decision::{Challenge, Code, Denial},
    gate::{Check, Later, Step},
    identity::Principal,
};

/// What a request presents to one authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// No credential.
    Absent,
    /// A credential, but of another kind: a service token under `Bearer` is not a JWT.
    Foreign,
    /// A credential of this authenticator's kind, good or not.
    Mine,
}

/// Proves who asks.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in the `authenticate` slot of a stack",
    label = "proves nobody's identity",
    note = "`.authenticate(..)` takes an authenticator such as `VerifyServiceTokenLayer`; a stack that asks nobody says `.insecure_anonymous()`"
)]
pub trait Authenticate: Clone + Send + Sync + 'static {
    /// What it is called in the stack's `Display` and in details.
    const NAME: &'static str;

    /// Whether its proof may need the body, so that [`VerifyBody`] has to stand behind it, as it
    /// does in a stack. Without that the gate refuses what was left to be proved.
    const PROVES_BODY: bool = false;

    /// What the request presents. Looks, does not verify.
    fn presented(&self, parts: &Parts, cx: &SecurityContext) -> Presented;

    /// Verifies a credential that is [`Presented::Mine`]; asked of no other.
    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>>;

    /// [`presented`](Self::presented) and, where that is [`Presented::Mine`],
    /// [`authenticate`](Self::authenticate): for authenticators that would otherwise look twice.
    ///
    /// # Errors
    ///
    /// What is presented instead.
    fn proceed(
        &self,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Result<Step<Arc<Principal>>, Presented> {
        match self.presented(parts, cx) {
            Presented::Mine => Ok(self.authenticate(parts, cx)),
            other => Err(other),
        }
    }

    /// What a 401 asks for (RFC 9110 section 11.6.1).
    fn challenges(&self) -> Vec<Challenge>;

    /// What a request is answered that has no credential, `credential-missing`, or only others,
    /// `credential-invalid`; with the [`challenges`](Self::challenges).
    fn unproved(&self, presented: Presented) -> Denial {
        let denial = Denial::new(match presented {
            Presented::Absent => Code::CredentialMissing,
            // `Mine` was for the authenticator to judge; one that did not is no good.
            Presented::Foreign | Presented::Mine => Code::CredentialInvalid,
        });
        self.challenges()
            .into_iter()
            .fold(denial, Denial::challenge)
    }

    /// Lets a request without any credential pass, as nobody in particular. One whose credential
    /// is refused does not pass.
    fn optional(self) -> Optional<Self> {
        Optional(self)
    }

    /// Whether a request without a credential passes.
    fn is_optional(&self) -> bool {
        false
    }
}

/// An authenticator as a check.
#[derive(Debug, Clone)]
pub struct Authenticated<A>(A);

impl<A: Authenticate> Authenticated<A> {
    /// The check over `authenticator`.
    pub const fn new(authenticator: A) -> Self {
        Self(authenticator)
    }

    fn refusal(&self, code: Code) -> Denial {
        self.0
            .challenges()
            .into_iter()
            .fold(Denial::new(code), Denial::challenge)
    }

    /// Names the caller. What was refused owes nothing: a stack that only observes must not have
    /// half of a proof completed by the body.
    fn conclude(
        &self,
        proved: Result<Arc<Principal>, Denial>,
        cx: &mut SecurityContext,
    ) -> Result<(), Denial> {
        let concluded = proved.and_then(|who| self.establish(&who, cx));
        if concluded.is_err() {
            let _ = cx.take_owed();
        }
        concluded
    }

    /// The first proof names the caller; a later one adds to it. One that has ended is none,
    /// whatever leeway the authenticator gave: the answer would be cut at its first byte.
    fn establish(&self, who: &Arc<Principal>, cx: &mut SecurityContext) -> Result<(), Denial> {
        if who.expires_at().is_some_and(|end| end <= cx.now()) {
            let by = A::NAME;
            return Err(self
                .refusal(Code::CredentialExpired)
                .detail(format!("{by} proved a credential that has ended")));
        }
        add(who, cx);
        Ok(())
    }
}

/// Adds a proof to those that are there; the first that is not anonymous names the caller.
fn add(who: &Arc<Principal>, cx: &mut SecurityContext) {
    let merged = match cx.principal().filter(|first| !first.is_anonymous()) {
        Some(first) => Arc::new(first.strengthened_by(who)),
        None => Arc::clone(who),
    };
    cx.set_principal(merged);
}

impl<A: Authenticate> BodyProver for Authenticated<A> {
    const PROVES_BODY: bool = A::PROVES_BODY;
}

impl BodyProver for InsecureAnonymous {
    const PROVES_BODY: bool = false;
}

impl<A: Authenticate> Check for Authenticated<A> {
    type Guard = ();

    const NAME: &'static str = A::NAME;
    const STAGE: Stage = Stage::Authenticate;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if cx.is_public() {
            return Step::pass(());
        }
        match self.0.proceed(parts, cx) {
            Ok(Step::Now(proved)) => self.conclude(proved, cx).into(),
            Ok(Step::Later(mut later)) => {
                let this = self.clone();
                Step::Later(Later::poll_fn(move |task, parts, cx| {
                    let proved = ready!(later.poll(task, parts, cx));
                    Poll::Ready(this.conclude(proved, cx))
                }))
            }
            Err(Presented::Absent) if self.0.is_optional() => {
                if cx.principal().is_none() {
                    cx.set_principal(Arc::new(Principal::anonymous()));
                }
                Step::pass(())
            }
            Err(presented) => self.0.unproved(presented).into(),
        }
    }
}

/// Nobody is asked who they are: every caller is anonymous. The opt-out of a stack's mandatory
/// authentication.
#[derive(Debug, Clone, Copy)]
pub struct InsecureAnonymous;

impl Check for InsecureAnonymous {
    type Guard = ();

    const NAME: &'static str = "insecure_anonymous";
    const STAGE: Stage = Stage::Authenticate;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        cx.set_principal(Arc::new(Principal::anonymous()));
        Step::pass(())
    }
}

impl<A> fmt::Display for Authenticated<A>
where
    A: Authenticate,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(A::NAME)
    }
}

/// Implements [`tower_layer::Layer`] for an [`Authenticate`]r: a gate over it alone. One that proves
/// bodies takes [`impl_body_authenticate_layer`](crate::impl_body_authenticate_layer).
#[macro_export]
macro_rules! impl_authenticate_layer {
    ([$($generic:ident),*] $authenticator:ty $(where $($bound:tt)*)?) => {
        impl<S $(, $generic)*> $crate::tower_layer::Layer<S> for $authenticator $(where $($bound)*)? {
            type Service = $crate::gate::Gate<
                S,
                $crate::gate::Link<$crate::gate::Root, $crate::authenticate::Authenticated<Self>>,
            >;

            fn layer(&self, inner: S) -> Self::Service {
                const {
                    assert!(
                        !<Self as $crate::authenticate::Authenticate>::PROVES_BODY,
                        "an authenticator that verifies bodies stands in a stack, or behind `with_body(..)`",
                    );
                }
                let check = $crate::authenticate::Authenticated::new(::core::clone::Clone::clone(self));
                $crate::gate::Gate::new(inner, $crate::gate::Link::new($crate::gate::Root, check))
            }
        }
    };
    ($authenticator:ty) => {
        $crate::impl_authenticate_layer!([] $authenticator);
    };
}

crate::impl_authenticate_layer!([A] Optional<A> where A: Authenticate);
crate::impl_authenticate_layer!([A, B] AnyOf<A, B> where A: Authenticate, B: Authenticate);
crate::impl_authenticate_layer!([A, B] AllOf<A, B> where A: Authenticate, B: Authenticate);

#[cfg(test)]
mod tests;
