use std::sync::Arc;

use super::PolicyName;
use crate::{clock::Timestamp, identity::Principal};

/// Evidence that authorization ran and said yes.
///
/// It can be had only from [`Permit::assertion`], which policies call; a handler that takes one
/// cannot be reached without authorization. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Permit(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    rule: Arc<str>,
    policy: Option<PolicyName>,
    principal: Option<Arc<Principal>>,
    valid_until: Option<Timestamp>,
    observed: bool,
}

impl Permit {
    /// States that `rule` permits the request. Only policies call this.
    pub fn assertion(rule: impl Into<Arc<str>>) -> PermitAssertion {
        PermitAssertion(Inner {
            rule: rule.into(),
            policy: None,
            principal: None,
            valid_until: None,
            observed: false,
        })
    }

    /// The rule that matched.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.0.rule
    }

    /// The policy that the rule stands in.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.0.policy.as_ref().map(|policy| &**policy.name())
    }

    /// The policy's version.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.0.policy.as_ref().map(|policy| &**policy.version())
    }

    /// Who was permitted; `None` on a public route.
    #[must_use]
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.0.principal.as_ref()
    }

    /// When the permit ends: the earliest end of token, certificate and grant. The gate cuts the
    /// response then.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.0.valid_until
    }

    /// Whether the request would have been denied, had the stack not been told to observe only.
    #[must_use]
    pub fn is_observed_only(&self) -> bool {
        self.0.observed
    }
}

/// A [`Permit`] in the making; see [`Permit::assertion`].
#[derive(Debug, Clone)]
#[must_use]
pub struct PermitAssertion(Inner);

impl PermitAssertion {
    /// The permit as asserted so far.
    #[must_use]
    pub fn finish(self) -> Permit {
        Permit(Arc::new(self.0))
    }

    /// Names the policy and its version.
    pub fn policy(self, policy: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        self.of_policy(PolicyName::new(policy, version))
    }

    pub(crate) fn of_policy(mut self, policy: PolicyName) -> Self {
        self.0.policy = Some(policy);
        self
    }

    /// Names who is permitted; the permit ends no later than their credential.
    pub fn principal(mut self, principal: Arc<Principal>) -> Self {
        let end = principal.expires_at();
        self.0.principal = Some(principal);
        match end {
            Some(end) => self.valid_until(end),
            None => self,
        }
    }

    /// The permit ends at `end`, or earlier where something else said so.
    pub fn valid_until(mut self, end: Timestamp) -> Self {
        self.0.valid_until = Some(self.0.valid_until.map_or(end, |before| before.min(end)));
        self
    }

    pub(crate) fn observed(mut self) -> Self {
        self.0.observed = true;
        self
    }
}
