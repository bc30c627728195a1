use std::{fmt, sync::Arc};

use http::request::Parts;
use serde::de::DeserializeOwned;
use tower_layer::Layer;
use zt_core::{
    authorize::{Access, Policy, Verdict},
    context::{SecurityContext, Stage},
    decision::{Code, Denial},
    gate::{Check, Step},
};

/// Asks something of the credential's claims, read as a `T`.
///
/// A [`Policy`]: it permits where the function says yes and denies where it says no.
///
/// ```
/// use serde::Deserialize;
/// use zt_core::authorize::{AuthorizeLayer, RequireScopes, all};
/// use zt_jwt::require::RequireClaims;
///
/// #[derive(Deserialize)]
/// struct Claims { plan: String }
///
/// let paid = RequireClaims::new(|claims: &Claims| claims.plan != "free").named("paid plan");
/// let layer = AuthorizeLayer::new(all((paid, RequireScopes::all_of(["orders:read"])?)));
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RequireClaims<T>(Arc<Inner<T>>);

struct Inner<T> {
    suffices: Arc<dyn Fn(&T) -> bool + Send + Sync>,
    rule: Arc<str>,
    missing: Denial,
    unreadable: Denial,
    denied: Denial,
}

impl<T: DeserializeOwned + 'static> RequireClaims<T> {
    /// `suffices` says whether the claims are enough.
    pub fn new(suffices: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        Self::assemble(Arc::new(suffices), "claims".into())
    }

    /// What permits and audit records call it; `claims` unless said.
    #[must_use]
    pub fn named(self, rule: impl Into<Arc<str>>) -> Self {
        Self::assemble(Arc::clone(&self.0.suffices), rule.into())
    }

    fn assemble(suffices: Arc<dyn Fn(&T) -> bool + Send + Sync>, rule: Arc<str>) -> Self {
        let denied = |why: &str| Denial::new(Code::PolicyDenied).detail(format!("{rule}: {why}"));
        Self(Arc::new(Inner {
            suffices,
            missing: Denial::new(Code::CredentialMissing).detail("nobody is named"),
            unreadable: denied("the credential has no claims, or they are of another shape"),
            denied: denied("the claims do not suffice"),
            rule,
        }))
    }

    fn verdict(&self, access: &Access<'_>) -> Verdict {
        let inner = &*self.0;
        let Some(principal) = access.named() else {
            return Verdict::Deny(inner.missing.clone());
        };
        // No claims at all can be read as an `Option`; a rule about claims says nothing of those.
        if !principal.has_claims() {
            return Verdict::Deny(inner.unreadable.clone());
        }
        // Why they cannot be read may quote them; it is told to nobody.
        let Ok(claims) = principal.claims::<T>() else {
            return Verdict::Deny(inner.unreadable.clone());
        };
        if (inner.suffices)(&claims) {
            Verdict::permit(Arc::clone(&inner.rule))
        } else {
            Verdict::Deny(inner.denied.clone())
        }
    }
}

impl<T: DeserializeOwned + 'static> Policy for RequireClaims<T> {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        Step::pass(self.verdict(access))
    }
}

impl<T> Clone for RequireClaims<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for RequireClaims<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequireClaims").field(&self.0.rule).finish()
    }
}

/// [`RequireClaims`] as a layer: narrows what was permitted, on one route or on all. It gives no
/// permit.
pub struct RequireClaimsLayer<T>(RequireClaims<T>);

/// The service that [`RequireClaimsLayer`] makes of `S`.
pub type RequireClaimsService<S, T> = <RequireClaimsLayer<T> as Layer<S>>::Service;

impl<T: DeserializeOwned + 'static> RequireClaimsLayer<T> {
    /// Nothing passes whose claims do not suffice.
    pub fn new(suffices: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        Self(RequireClaims::new(suffices))
    }
}

impl<T> From<RequireClaims<T>> for RequireClaimsLayer<T> {
    fn from(required: RequireClaims<T>) -> Self {
        Self(required)
    }
}

impl<T: DeserializeOwned + 'static> Check for RequireClaimsLayer<T> {
    type Guard = ();

    const NAME: &'static str = "RequireClaims";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if let Err(denial) = cx.require(Stage::Authenticate, Self::NAME) {
            return denial.into();
        }
        conclude(self.0.verdict(&Access::new(parts, cx))).into()
    }
}

zt_core::impl_layer!([T] RequireClaimsLayer<T> where T: DeserializeOwned + 'static);

impl<T> Clone for RequireClaimsLayer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for RequireClaimsLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequireClaimsLayer")
            .field(&self.0.0.rule)
            .finish()
    }
}

/// A verdict as the answer of a check that narrows.
pub(super) fn conclude(verdict: Verdict) -> Result<(), Denial> {
    match verdict {
        Verdict::Permit(_) => Ok(()),
        Verdict::Deny(denial) => Err(denial),
        Verdict::NotApplicable => Err(Code::PolicyDenied.into()),
    }
}
