use std::collections::BTreeMap;

use serde_json::{Map, Value};
use zt_core::identity::{Principal, PrincipalKind};

/// Who is in a tier: callers of whom everything that is asked for here is true. Where nothing is
/// asked for, nobody is.
///
/// ```
/// use zt_core::identity::{AuthMethod, Principal, PrincipalKind};
/// use zt_ratelimit::{Limit, limits::{Level, Members, Policy}};
///
/// # fn main() -> Result<(), zt_ratelimit::limits::LimitsError> {
/// let level = |permits| Ok::<_, zt_ratelimit::limit::LimitError>(
///     [Level::new("key", [Limit::concurrency("key-parallel", permits)?])]
/// );
/// let policy = Policy::new(level(4)?)?
///     .tier_for("gold", Members::none().role("gold"), level(40)?)?;
///
/// let caller = Principal::assertion(PrincipalKind::User, "alice", AuthMethod::Jwt);
/// let alice = caller.roles(["gold"]).finish();
/// assert_eq!(policy.tier_of(&alice).name().as_ref(), "gold");
/// let nobody = Principal::anonymous();
/// assert_eq!(policy.tier_of(&nobody).name().as_ref(), "default");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    roles: Vec<String>,
    tenants: Vec<String>,
    kinds: Vec<PrincipalKind>,
    claims: BTreeMap<String, String>,
}

impl Members {
    /// Nobody, unless something is asked for.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Has this role; of several that are named, one.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Acts for this organisation; of several that are named, one.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenants.push(tenant.into());
        self
    }

    /// Is of this kind; of several that are named, one.
    #[must_use]
    pub fn kind(mut self, kind: PrincipalKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Has this claim with this text as its value, or as one of a list; of several claims that are
    /// named, all.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Whether nobody can be in it.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.roles.is_empty()
            && self.tenants.is_empty()
            && self.kinds.is_empty()
            && self.claims.is_empty()
    }

    /// Whether `principal` is one. Its claims are read once, when the first tier asks for them.
    pub(super) fn has(
        &self,
        principal: &Principal,
        claims: &mut Option<Map<String, Value>>,
    ) -> bool {
        let or_none = |none: bool, found: bool| none || found;
        !self.is_none()
            && or_none(
                self.roles.is_empty(),
                self.roles.iter().any(|role| principal.has_role(role)),
            )
            && or_none(
                self.tenants.is_empty(),
                self.tenants
                    .iter()
                    .any(|tenant| principal.tenant() == Some(tenant)),
            )
            && or_none(
                self.kinds.is_empty(),
                self.kinds.contains(&principal.kind()),
            )
            && or_none(self.claims.is_empty(), {
                let claims = claims.get_or_insert_with(|| principal.claims().unwrap_or_default());
                let mut wanted = self.claims.iter();
                wanted.all(|(name, wanted)| match claims.get(name) {
                    Some(Value::String(found)) => found == wanted,
                    Some(Value::Array(list)) => list.iter().any(|found| found == wanted),
                    _ => false,
                })
            })
    }
}
