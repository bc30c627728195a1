//! What a credential has to carry: scopes, or roles.

use std::sync::Arc;

use http::request::Parts;
use serde::Deserialize;

use super::{
    Access, AuthorizeError, Policy, Verdict,
    check::{Duty, conclude},
};
use crate::{
    context::{SecurityContext, Stage},
    decision::{Challenge, Code, Denial},
    gate::{Check, Step},
    identity::Principal,
    impl_layer,
};

/// Asks for scopes of the credential. Refusals are built once and say which scopes would do.
///
/// ```
/// use zt_core::authorize::{RequireScopes, RequireScopesLayer};
///
/// let layer = RequireScopesLayer::new(RequireScopes::all_of(["orders:read"])?);
/// let from_file: RequireScopes = serde_json::from_str(r#"{"any_of": ["orders:read", "admin"]}"#)?;
/// # let _ = (layer, from_file);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "List")]
pub struct RequireScopes(Arc<Required>);

impl RequireScopes {
    /// Every one of `scopes`.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is not a scope.
    pub fn all_of<S: Into<Arc<str>>>(
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, AuthorizeError> {
        Self::new(List::AllOf(scopes.into_iter().map(Into::into).collect()))
    }

    /// One of `scopes`. A refusal names the first: whoever asks for it gets by with least.
    ///
    /// # Errors
    ///
    /// As [`all_of`](Self::all_of).
    pub fn any_of<S: Into<Arc<str>>>(
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, AuthorizeError> {
        Self::new(List::AnyOf(scopes.into_iter().map(Into::into).collect()))
    }

    fn new(list: List) -> Result<Self, AuthorizeError> {
        if let Some(wrong) = list.names().iter().find(|scope| !is_scope(scope)) {
            return Err(AuthorizeError::Scope(wrong.to_string()));
        }
        let wanted = match &list {
            List::AllOf(scopes) => scopes.join(" "),
            List::AnyOf(scopes) => scopes.first().map(ToString::to_string).unwrap_or_default(),
        };
        let bearer = Challenge::new("Bearer");
        // RFC 6750 section 3.1: no error code where nothing was presented.
        let missing =
            Denial::new(Code::CredentialMissing).challenge(bearer.clone().with("scope", &wanted));
        let insufficient = Denial::new(Code::ScopeInsufficient).challenge(
            bearer
                .with("error", "insufficient_scope")
                .with("scope", &wanted),
        );
        Required::new("scopes", list, missing, insufficient).map(Self)
    }

    fn verdict(&self, access: &Access<'_>) -> Verdict {
        self.0.verdict(access, Principal::has_scope)
    }
}

/// Asks for roles of the caller; without them `policy-denied`.
///
/// Read from a configuration as [`RequireScopes`] is.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "List")]
pub struct RequireRoles(Arc<Required>);

impl RequireRoles {
    /// Every one of `roles`.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is empty or has a control character.
    pub fn all_of<S: Into<Arc<str>>>(
        roles: impl IntoIterator<Item = S>,
    ) -> Result<Self, AuthorizeError> {
        Self::new(List::AllOf(roles.into_iter().map(Into::into).collect()))
    }

    /// One of `roles`.
    ///
    /// # Errors
    ///
    /// As [`all_of`](Self::all_of).
    pub fn any_of<S: Into<Arc<str>>>(
        roles: impl IntoIterator<Item = S>,
    ) -> Result<Self, AuthorizeError> {
        Self::new(List::AnyOf(roles.into_iter().map(Into::into).collect()))
    }

    fn new(list: List) -> Result<Self, AuthorizeError> {
        let is_role = |role: &str| !role.is_empty() && !role.chars().any(char::is_control);
        if let Some(wrong) = list.names().iter().find(|role| !is_role(role)) {
            return Err(AuthorizeError::Role(wrong.to_string()));
        }
        let missing = Denial::new(Code::CredentialMissing);
        let denied = Denial::new(Code::PolicyDenied).detail("the caller lacks a role");
        Required::new("roles", list, missing, denied).map(Self)
    }

    fn verdict(&self, access: &Access<'_>) -> Verdict {
        self.0.verdict(access, Principal::has_role)
    }
}

/// Names that a caller has to have, as they are configured.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum List {
    AllOf(Vec<Arc<str>>),
    AnyOf(Vec<Arc<str>>),
}

impl List {
    fn names(&self) -> &[Arc<str>] {
        match self {
            Self::AllOf(names) | Self::AnyOf(names) => names,
        }
    }
}

/// A list with its answers, built once.
#[derive(Debug)]
struct Required {
    list: List,
    rule: Arc<str>,
    missing: Denial,
    lacking: Denial,
}

impl Required {
    fn new(
        what: &'static str,
        list: List,
        missing: Denial,
        lacking: Denial,
    ) -> Result<Arc<Self>, AuthorizeError> {
        if list.names().is_empty() {
            return Err(AuthorizeError::Empty(what));
        }
        let how = match list {
            List::AllOf(_) => "all of",
            List::AnyOf(_) => "any of",
        };
        let rule: Arc<str> = format!("{what}: {how} {}", list.names().join(" ")).into();
        Ok(Arc::new(Self {
            list,
            missing: missing.by_rule(Arc::clone(&rule)),
            lacking: lacking.by_rule(Arc::clone(&rule)),
            rule,
        }))
    }

    fn verdict(&self, access: &Access<'_>, has: fn(&Principal, &str) -> bool) -> Verdict {
        let Some(principal) = access.named() else {
            return Verdict::Deny(self.missing.clone());
        };
        let enough = match &self.list {
            List::AllOf(names) => names.iter().all(|name| has(principal, name)),
            List::AnyOf(names) => names.iter().any(|name| has(principal, name)),
        };
        if enough {
            Verdict::permit(Arc::clone(&self.rule))
        } else {
            Verdict::Deny(self.lacking.clone())
        }
    }
}

/// `1*( %x21 / %x23-5B / %x5D-7E )` (RFC 6749 section 3.3).
fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

macro_rules! requirements {
    ($($policy:ident $layer:ident $name:literal $doc:literal)+) => {$(
        impl Policy for $policy {
            fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
                Step::pass(self.verdict(access))
            }
        }

        impl TryFrom<List> for $policy {
            type Error = AuthorizeError;

            fn try_from(list: List) -> Result<Self, AuthorizeError> {
                Self::new(list)
            }
        }

        #[doc = $doc]
        #[derive(Debug, Clone)]
        pub struct $layer($policy);

        impl $layer {
            /// Nothing passes that lacks what is required.
            #[must_use]
            pub const fn new(required: $policy) -> Self {
                Self(required)
            }
        }

        impl Check for $layer {
            type Guard = ();

            const NAME: &'static str = $name;
            const STAGE: Stage = Stage::Anywhere;

            fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
                if let Err(denial) = cx.require(Stage::Authenticate, Self::NAME) {
                    return denial.into();
                }
                let verdict = self.0.verdict(&Access::new(parts, cx));
                conclude(Ok(verdict), Duty::Narrow, None, || None, cx).into()
            }
        }

        impl_layer!($layer);
    )+};
}

requirements! {
    RequireScopes RequireScopesLayer "RequireScopes"
        "[`RequireScopes`] as a layer: narrows what was permitted, on one route or on all."
    RequireRoles RequireRolesLayer "RequireRoles"
        "[`RequireRoles`] as a layer: narrows what was permitted, on one route or on all."
}
