use std::{
    future::Future,
    sync::{Arc, LazyLock},
};

use super::Access;
use crate::{
    body::{BoxError, CollectLimits},
    clock::Timestamp,
    decision::{Code, Denial, PolicyName},
    gate::{Later, Standing, Step},
};

/// Decides whether a request may go on.
///
/// A policy reads and does not write. It answers at once in most cases; one that waits for facts
/// answers with [`later`], and the layer's deadline holds. `Err` says that it could not decide,
/// which denies whatever stands around it; a decision against the request is a [`Verdict`].
///
/// Functions of `&Access` are policies: they return a `bool`, a [`Verdict`], or a `Result` of one.
///
/// ```
/// use zt_core::authorize::{Access, Policy, Verdict, all, any};
///
/// let owner = |access: &Access<'_>| access.named().is_some_and(|who| who.has_role("owner"));
/// let reading = |access: &Access<'_>| match access.method().is_safe() {
///     true => Verdict::permit("reading"),
///     false => Verdict::NotApplicable,
/// };
/// let policy = any((reading, owner));
/// # let _: &dyn Policy = &policy;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a policy",
    label = "not a policy",
    note = "a closure has to say `|access: &Access<'_>|`, and return a `bool`, a `Verdict` or a `Result` of one"
)]
pub trait Policy: Send + Sync + 'static {
    /// What it says about one request.
    fn decide(&self, access: &Access<'_>) -> Step<Verdict>;

    /// How much of the request's body it has to see before it can decide, where it has to. The
    /// body is then read whole, is in [`Access::body`], and goes on to the handler.
    ///
    /// Asked before [`decide`](Self::decide), and only where something reads bodies: a stack does,
    /// and [`AuthorizeLayer::reading_bodies`](super::AuthorizeLayer::reading_bodies).
    fn needs_body(&self, access: &Access<'_>) -> Option<CollectLimits> {
        let _ = access;
        None
    }

    /// What decides one request, where the policy is replaced as a whole while requests are decided:
    /// [`needs_body`](Self::needs_body) and [`decide`](Self::decide) are then asked of that.
    fn edition(&self) -> Option<Arc<dyn Policy>> {
        None
    }

    /// Its name and its version, for the records of requests that it denied.
    fn known_as(&self) -> Option<(Arc<str>, Arc<str>)> {
        None
    }
}

/// What a policy says.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The request may go on, for this reason.
    Permit(Grounds),
    /// No rule speaks of the request. It is denied in the end.
    NotApplicable,
    /// The request may not go on.
    Deny(Denial),
}

impl Verdict {
    /// Permits by `rule`. Keep rules as `Arc<str>`: a `&str` is copied each time.
    pub fn permit(rule: impl Into<Arc<str>>) -> Self {
        Self::Permit(Grounds::new(rule))
    }

    /// Denies with `policy-denied`; `detail` is for the audit record alone.
    pub fn deny(detail: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Deny(Denial::new(Code::PolicyDenied).detail(detail))
    }
}

/// Why a request is permitted, and until when.
#[derive(Debug, Clone)]
pub struct Grounds {
    pub(super) rule: Arc<str>,
    pub(super) policy: Option<PolicyName>,
    pub(super) until: Option<Timestamp>,
    pub(super) standing: Vec<Arc<dyn Standing>>,
}

impl Grounds {
    /// The rule that matched.
    pub fn new(rule: impl Into<Arc<str>>) -> Self {
        Self {
            rule: rule.into(),
            policy: None,
            until: None,
            standing: Vec::new(),
        }
    }

    /// The rule that matched.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The policy that the rule stands in and its version, where the layer's own name would not
    /// tell: one that is reloaded, or one of several.
    #[must_use]
    pub fn policy(self, name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        self.of_policy(PolicyName::new(name, version))
    }

    pub(crate) fn of_policy(mut self, policy: PolicyName) -> Self {
        self.policy = Some(policy);
        self
    }

    pub(crate) const fn ends(&self) -> Option<Timestamp> {
        self.until
    }

    pub(crate) fn into_rule(self) -> Arc<str> {
        self.rule
    }

    /// The grounds end at `end`, or earlier where something else said so: a grant that expires.
    #[must_use]
    pub fn until(mut self, end: Timestamp) -> Self {
        self.until = Some(self.until.map_or(end, |before| before.min(end)));
        self
    }

    /// The answer goes on only as long as `standing` is there, too: a grant that may be revoked. See
    /// [`SecurityContext::stand_on`](crate::context::SecurityContext::stand_on).
    #[must_use]
    pub fn standing_on(mut self, standing: Arc<dyn Standing>) -> Self {
        self.standing.push(standing);
        self
    }

    /// Ends with `other`, and stands on what that stands on.
    #[must_use]
    pub(super) fn bound_by(mut self, other: Self) -> Self {
        self.standing.extend(other.standing);
        match other.until {
            Some(end) => self.until(end),
            None => self,
        }
    }
}

/// Waits for `facts`, then decides; the request is not held in between.
///
/// ```
/// use zt_core::authorize::{Access, later};
///
/// async fn posture_of(subject: String) -> Result<u8, std::io::Error> { Ok(3) }
///
/// let policy = |access: &Access<'_>| {
///     let subject = access.named().map(|who| who.subject().to_owned()).unwrap_or_default();
///     later(posture_of(subject), |posture, access: &Access<'_>| {
///         posture.map(|posture| posture >= 2 || access.method().is_safe())
///     })
/// };
/// # let _: &dyn zt_core::authorize::Policy = &policy;
/// ```
pub fn later<F, D, R>(facts: F, decide: D) -> Step<Verdict>
where
    F: Future + Send + 'static,
    D: FnOnce(F::Output, &Access<'_>) -> R + Send + 'static,
    R: IntoVerdict,
{
    Step::Later(Later::then(facts, |facts, parts, cx| {
        decide(facts, &Access::new(parts, cx)).into_verdict()
    }))
}

/// What can be said in the place of a [`Verdict`].
pub trait IntoVerdict {
    /// The verdict.
    ///
    /// # Errors
    ///
    /// Where the policy failed.
    fn into_verdict(self) -> Result<Verdict, Denial>;
}

impl IntoVerdict for Verdict {
    fn into_verdict(self) -> Result<Verdict, Denial> {
        Ok(self)
    }
}

/// `true` permits, `false` denies.
impl IntoVerdict for bool {
    fn into_verdict(self) -> Result<Verdict, Denial> {
        static RULE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("function"));
        Ok(if self {
            Verdict::permit(Arc::clone(&RULE))
        } else {
            Verdict::deny("the function said no")
        })
    }
}

/// An error denies with `policy-denied`, and what it says is for the audit record alone; an error
/// that is a [`Denial`] stays that denial.
impl<T, E> IntoVerdict for Result<T, E>
where
    T: IntoVerdict,
    E: Into<BoxError>,
{
    fn into_verdict(self) -> Result<Verdict, Denial> {
        self.map_err(|error| failed(error.into()))?.into_verdict()
    }
}

fn failed(error: BoxError) -> Denial {
    match error.downcast::<Denial>() {
        Ok(denial) => *denial,
        Err(error) => Denial::new(Code::PolicyDenied).detail(format!("the policy failed: {error}")),
    }
}

/// What a policy that is a function may return: something that is a verdict now, or a step.
pub trait IntoStep {
    /// The step.
    fn into_step(self) -> Step<Verdict>;
}

impl<R: IntoVerdict> IntoStep for R {
    fn into_step(self) -> Step<Verdict> {
        Step::Now(self.into_verdict())
    }
}

impl IntoStep for Step<Verdict> {
    fn into_step(self) -> Step<Verdict> {
        self
    }
}

impl<F, R> Policy for F
where
    F: Fn(&Access<'_>) -> R + Send + Sync + 'static,
    R: IntoStep,
{
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        self(access).into_step()
    }
}

impl<P: Policy + ?Sized> Policy for Arc<P> {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        (**self).decide(access)
    }

    fn needs_body(&self, access: &Access<'_>) -> Option<CollectLimits> {
        (**self).needs_body(access)
    }

    fn edition(&self) -> Option<Arc<dyn Policy>> {
        (**self).edition()
    }

    fn known_as(&self) -> Option<(Arc<str>, Arc<str>)> {
        (**self).known_as()
    }
}
