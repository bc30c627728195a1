use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue, header, request::Parts};

use super::{
    CspNonce, HeadersError, PermissionsPolicy,
    check::{HeadersGuard, Plan},
    csp::{Csp, CspOverride},
    presets::{CSP_REPORT_ONLY, PERMISSIONS_POLICY},
};
use crate::{
    context::{SecurityContext, Stage},
    gate::{Check, Step},
    stack::slots::SetsHeaders,
};

/// Writes security headers on every answer; see the [module](super). Cheap to clone.
///
/// The presets are [`helmet`](Self::helmet), [`owasp`](Self::owasp), [`api`](Self::api) (the
/// default) and [`html_strict`](Self::html_strict); each can be changed header by header.
///
/// ```
/// use http::{HeaderName, HeaderValue, header};
/// use zt_core::headers::SetSecurityHeadersLayer;
///
/// let layer = SetSecurityHeadersLayer::api()
///     .with(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"))?
///     .force(header::STRICT_TRANSPORT_SECURITY)?
///     .remove(HeaderName::from_static("x-runtime"))?
///     .without(&header::X_FRAME_OPTIONS);
/// # Ok::<(), zt_core::headers::HeadersError>(())
/// ```
#[derive(Clone)]
pub struct SetSecurityHeadersLayer(Arc<Plan>);

/// A service whose answers have security headers.
pub type SetSecurityHeaders<S> = <SetSecurityHeadersLayer as tower_layer::Layer<S>>::Service;

crate::impl_layer!(SetSecurityHeadersLayer);

impl SetsHeaders for SetSecurityHeadersLayer {}

impl Default for SetSecurityHeadersLayer {
    /// [`api`](Self::api).
    fn default() -> Self {
        Self::api()
    }
}

impl SetSecurityHeadersLayer {
    /// No header at all, to build on.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_plan(Plan::default())
    }

    pub(super) fn from_plan(plan: Plan) -> Self {
        Self(Arc::new(plan))
    }

    /// Sets `name` to `value`, where the handler has not set it. A header that was forced stays
    /// forced. The value of a content security policy is read, and checked, as [`Csp`] does.
    ///
    /// # Errors
    ///
    /// When the header belongs to the message itself, or a policy is wrong.
    pub fn with(self, name: HeaderName, value: HeaderValue) -> Result<Self, HeadersError> {
        not_framing(&name)?;
        if name == header::CONTENT_SECURITY_POLICY || name == CSP_REPORT_ONLY {
            let text = value
                .to_str()
                .map_err(|_| HeadersError::Value(name.clone()))?;
            let csp: Csp = text.parse()?;
            return Ok(self.edit(|plan| plan.set_csp(name, csp)));
        }
        Ok(self.edit(|plan| plan.set(name, value)))
    }

    /// The layer's value of `name` takes the place of the handler's own.
    ///
    /// # Errors
    ///
    /// When the layer has no value for it.
    pub fn force(self, name: HeaderName) -> Result<Self, HeadersError> {
        if !self.0.sets(&name) {
            return Err(HeadersError::NothingToForce(name));
        }
        Ok(self.edit(|plan| plan.force(&name)))
    }

    /// Takes `name` off every answer, whoever set it.
    ///
    /// # Errors
    ///
    /// When the header belongs to the message itself.
    pub fn remove(self, name: HeaderName) -> Result<Self, HeadersError> {
        not_framing(&name)?;
        Ok(self.edit(|plan| plan.remove(name)))
    }

    /// Leaves `name` alone: it is neither set nor removed.
    #[must_use]
    pub fn without(self, name: &HeaderName) -> Self {
        self.edit(|plan| plan.leave(name))
    }

    /// Sets the content security policy.
    #[must_use]
    pub fn csp(self, csp: Csp) -> Self {
        self.edit(|plan| plan.set_csp(header::CONTENT_SECURITY_POLICY, csp))
    }

    /// Changes the content security policy, directive by directive.
    ///
    /// # Errors
    ///
    /// When there is none, or `change` leaves none.
    pub fn override_csp(self, change: &CspOverride) -> Result<Self, HeadersError> {
        let csp = self
            .0
            .csp(&header::CONTENT_SECURITY_POLICY)
            .ok_or(HeadersError::NoPolicy)?
            .with(change)?;
        Ok(self.csp(csp))
    }

    /// Sets a policy that is reported and not enforced, beside the other one.
    #[must_use]
    pub fn csp_report_only(self, csp: Csp) -> Self {
        self.edit(|plan| plan.set_csp(CSP_REPORT_ONLY, csp))
    }

    /// Sets the permissions policy.
    #[must_use]
    pub fn permissions_policy(self, policy: &PermissionsPolicy) -> Self {
        self.edit(|plan| plan.set(PERMISSIONS_POLICY, policy.header_value().clone()))
    }

    /// Offers a nonce though no policy of this layer has a nonce source, for routes whose
    /// [`CspOverride`] has one.
    #[must_use]
    pub fn offer_nonce(self) -> Self {
        self.edit(Plan::offer_nonce)
    }

    /// The headers that are set, with the policy of a response whose nonce nobody asked for.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.headers()
    }

    fn edit(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// Headers that a server derives from the message (RFC 9110 sections 7.6.1, 8.6, 15.2.2;
/// RFC 9112 section 6.1).
fn not_framing(name: &HeaderName) -> Result<(), HeadersError> {
    let framing = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    if framing.contains(name) {
        return Err(HeadersError::Framing(name.clone()));
    }
    Ok(())
}

impl Check for SetSecurityHeadersLayer {
    type Guard = HeadersGuard;

    const NAME: &'static str = "SetSecurityHeaders";
    const STAGE: Stage = Stage::Headers;
    const HANDS_ON: bool = false;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<HeadersGuard> {
        let nonce = self.0.offers_nonce().then(|| offer(parts, cx));
        Step::pass(HeadersGuard::new(Arc::clone(&self.0), nonce))
    }
}

/// The request's nonce; a layer further out may have offered it already.
fn offer(parts: &mut Parts, cx: &SecurityContext) -> CspNonce {
    if let Some(nonce) = parts.extensions.get::<CspNonce>() {
        return nonce.clone();
    }
    let nonce = CspNonce::new(Arc::clone(cx.settings().entropy()));
    parts.extensions.insert(nonce.clone());
    nonce
}

impl fmt::Debug for SetSecurityHeadersLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SetSecurityHeadersLayer")
            .field(&self.0)
            .finish()
    }
}
