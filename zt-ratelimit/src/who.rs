use std::{borrow::Cow, fmt, sync::Arc};

use http::request::Parts;
use zt_core::{
    context::{SecurityContext, Stage},
    decision::{Code, Denial},
    identity::Principal,
};

use crate::limits::{Policy, Subjects};

/// Who spends: what names the subjects of a request, and its tier. Clones share the functions.
///
/// ```
/// use zt_ratelimit::{Who, limits::Subjects};
///
/// // An organisation, and a key of it, as the credential says.
/// let by_key = Who::new(|_, cx| {
///     let principal = cx.principal()?;
///     Some(Subjects::new([principal.tenant()?, principal.key()?]))
/// });
/// // Each principal by itself; `gold` is a tier of the policy.
/// let by_principal = Who::by_principal().tier(|_, cx| cx.principal()?.has_role("gold").then_some("gold"));
/// # let _ = (by_key, by_principal);
/// ```
#[derive(Clone)]
pub struct Who {
    find: Arc<Find>,
    tier: Option<Arc<Tiers>>,
    named: bool,
}

type Find = dyn for<'a> Fn(&'a Parts, &'a SecurityContext) -> Option<Subjects<'a>> + Send + Sync;
type Tiers = dyn for<'a> Fn(&'a Parts, &'a SecurityContext) -> Option<&'a str> + Send + Sync;

impl Who {
    /// What `find` makes of a request whose caller is known; a request of which it makes nothing is
    /// refused. The layer stands behind authentication.
    #[must_use]
    pub fn new(
        find: impl for<'a> Fn(&'a Parts, &'a SecurityContext) -> Option<Subjects<'a>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            find: Arc::new(find),
            tier: None,
            named: true,
        }
    }

    /// As [`new`](Self::new), of requests whose callers nobody has to know, public routes too. What
    /// it reads was verified by nobody, so use it for what callers cannot choose.
    #[must_use]
    pub fn of_request(
        find: impl for<'a> Fn(&'a Parts, &'a SecurityContext) -> Option<Subjects<'a>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            named: false,
            ..Self::new(find)
        }
    }

    /// One level: the principal, by issuer and subject. Nobody in particular is nobody here.
    #[must_use]
    pub fn by_principal() -> Self {
        Self::new(|_, cx| Some(Subjects::new([subject(cx.principal()?)?])))
    }

    /// Two levels: the principal's tenant, and the principal. Who has no tenant is nobody here.
    #[must_use]
    pub fn by_tenant_and_principal() -> Self {
        Self::new(|_, cx| {
            let principal = cx.principal()?;
            let tenant = name(principal.issuer(), principal.tenant()?);
            Some(Subjects::new([tenant, subject(principal)?]))
        })
    }

    /// Whose limits hold: those of the tier that `tier` names. Where it names none, and without it,
    /// the principal's ([`Policy::tier_of`](crate::limits::Policy::tier_of)).
    #[must_use]
    pub fn tier(
        mut self,
        tier: impl for<'a> Fn(&'a Parts, &'a SecurityContext) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.tier = Some(Arc::new(tier));
        self
    }

    /// Asks that it is known who asks, where that is needed.
    pub(crate) fn require(&self, cx: &SecurityContext, by: &'static str) -> Result<(), Denial> {
        if self.named {
            cx.require(Stage::Authenticate, by)?;
        }
        Ok(())
    }

    /// Whether nobody can be named on this request's route.
    pub(crate) fn is_absent(&self, cx: &SecurityContext) -> bool {
        self.named && cx.is_public()
    }

    pub(crate) fn of<'a>(
        &self,
        parts: &'a Parts,
        cx: &'a SecurityContext,
        policy: &'a Policy,
    ) -> Result<Subjects<'a>, Denial> {
        let Some(subjects) = (self.find)(parts, cx) else {
            return Err(nobody(cx.principal().map(AsRef::as_ref)));
        };
        let named = self.tier.as_ref().and_then(|tier| tier(parts, cx));
        Ok(match (named, cx.principal()) {
            (Some(tier), _) => subjects.tier(tier),
            (None, Some(principal)) if subjects.named_tier().is_none() => {
                subjects.tier(&**policy.tier_of(principal).name())
            }
            _ => subjects,
        })
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Who")
            .field("named", &self.named)
            .field("tiers", &self.tier.is_some())
            .finish_non_exhaustive()
    }
}

#[cold]
fn nobody(principal: Option<&Principal>) -> Denial {
    let code = match principal {
        Some(principal) if !principal.is_anonymous() => Code::PolicyDenied,
        _ => Code::CredentialMissing,
    };
    Denial::new(code).detail("it is not known whose limits the request comes under")
}

fn subject(principal: &Principal) -> Option<Cow<'_, str>> {
    (!principal.is_anonymous()).then(|| name(principal.issuer(), principal.subject()))
}

/// `issuer name`, since names are unique within their issuers; two pairs never have the same one.
fn name<'a>(issuer: Option<&'a str>, own: &'a str) -> Cow<'a, str> {
    let special = |byte: u8| matches!(byte, b' ' | b'%');
    let Some(issuer) = issuer else {
        return match own.bytes().any(special) {
            false => Cow::Borrowed(own),
            true => Cow::Owned(escaped(own)),
        };
    };
    if issuer.bytes().any(special) || own.bytes().any(special) {
        return Cow::Owned(format!("{} {}", escaped(issuer), escaped(own)));
    }
    let mut name = String::with_capacity(issuer.len() + 1 + own.len());
    name.push_str(issuer);
    name.push(' ');
    name.push_str(own);
    Cow::Owned(name)
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace(' ', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_callers_never_have_one_name() {
        let pairs = [
            (None, "a b"),
            (Some("a"), "b"),
            (None, "a%20b"),
            (Some("a b"), "c"),
            (Some("a"), "b c"),
            (Some("a%20b"), "c"),
            (None, "a"),
            (Some("a"), ""),
            (Some(""), "a"),
        ];
        let mut names: Vec<_> = pairs
            .iter()
            .map(|(issuer, own)| name(*issuer, own))
            .collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), pairs.len());
    }
}
