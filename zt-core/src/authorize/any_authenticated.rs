use std::sync::{Arc, LazyLock};

use http::request::Parts;

use super::{
    Access, Policy, Verdict,
    check::{Duty, conclude, public, undecided},
};
use crate::{
    context::{SecurityContext, Stage},
    decision::{Code, Denial},
    gate::{Check, Step},
    impl_layer,
    stack::slots::Authorizes,
};

/// Whoever has proved who they are: the opt-out of a stack's mandatory policy, and a part of
/// others. An anonymous caller is refused with `credential-missing`.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyAuthenticated;

impl AnyAuthenticated {
    fn verdict(access: &Access<'_>) -> Verdict {
        static RULE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("any authenticated"));
        match access.named() {
            Some(_) => Verdict::permit(Arc::clone(&RULE)),
            None => Verdict::Deny(Denial::new(Code::CredentialMissing).detail("nobody is named")),
        }
    }
}

impl Policy for AnyAuthenticated {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        Step::pass(Self::verdict(access))
    }
}

impl Check for AnyAuthenticated {
    type Guard = ();

    const NAME: &'static str = "AnyAuthenticated";
    const STAGE: Stage = Stage::Authorize;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if let Err(denial) = undecided(cx) {
            return denial.into();
        }
        if let Some(permitted) = public(cx) {
            return permitted.into();
        }
        if let Err(denial) = cx.require(Stage::Authenticate, Self::NAME) {
            return denial.into();
        }
        let verdict = Self::verdict(&Access::new(parts, cx));
        conclude(Ok(verdict), Duty::Decide, None, || None, cx).into()
    }
}

impl Authorizes for AnyAuthenticated {}

impl_layer!(AnyAuthenticated);
