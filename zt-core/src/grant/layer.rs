use std::sync::Arc;

use http::request::Parts;

use super::{ConfigError, Grants, active::StandingGrant};
use crate::{
    authorize::{Access, ActiveGrants, Grounds, Verdict, narrow},
    context::{SecurityContext, Stage},
    decision::{Challenge, Code, Denial},
    gate::{Check, Step},
    impl_layer,
};

/// Refuses callers who hold no grant of a scope at the moment; see the [module](super).
///
/// It narrows, as [`RequireScopesLayer`](crate::authorize::RequireScopesLayer) does: it may stand
/// anywhere behind authentication, on one route or on all, and sets a permit where none is there.
/// Whatever permitted the request, the answer is cut when the grant ends, and within a second of its
/// being revoked.
#[derive(Debug, Clone)]
pub struct RequireGrantLayer(Arc<Required>);

/// The service that [`RequireGrantLayer`] makes of `S`.
pub type RequireGrant<S> = <RequireGrantLayer as tower_layer::Layer<S>>::Service;

#[derive(Debug)]
struct Required {
    grants: Grants,
    scope: Arc<str>,
    rule: Arc<str>,
    lacking: Denial,
}

impl RequireGrantLayer {
    /// Asks for a grant of `scope`.
    ///
    /// # Errors
    ///
    /// Where it is not among the scopes that may be asked for, so that nobody would ever pass.
    pub fn new(grants: Grants, scope: &str) -> Result<Self, ConfigError> {
        grants.known_scope(scope)?;
        let rule: Arc<str> = format!("grant: {scope}").into();
        Ok(Self(Arc::new(Required {
            lacking: Denial::new(Code::PolicyDenied)
                .sentence("a grant is required, and there is none")
                .violates(Arc::clone(&rule))
                .detail(format!("no grant of `{scope}` holds")),
            grants,
            scope: scope.into(),
            rule,
        })))
    }

    fn verdict(&self, parts: &Parts, cx: &SecurityContext) -> Result<Verdict, Denial> {
        let required = &*self.0;
        let access = Access::new(parts, cx);
        let Some(who) = access.named() else {
            let missing = Denial::new(Code::CredentialMissing);
            return Err(missing.challenge(Challenge::new("Bearer")));
        };
        let Some(grant) = required.grants.active(who, &required.scope, access.now())? else {
            return Err(required.lacking.clone());
        };
        let grounds = Grounds::new(Arc::clone(&required.rule)).until(grant.until);
        cx.stand_on(Arc::new(StandingGrant {
            grants: required.grants.clone(),
            grant,
        }));
        Ok(Verdict::Permit(grounds))
    }
}

impl Check for RequireGrantLayer {
    type Guard = ();

    const NAME: &'static str = "RequireGrant";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if let Err(denial) = cx.require(Stage::Authenticate, Self::NAME) {
            return denial.into();
        }
        narrow(self.verdict(parts, cx), cx).into()
    }
}

impl_layer!(RequireGrantLayer);
