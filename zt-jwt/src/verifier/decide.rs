//! What claims have to say, and the principal that they make.

use std::sync::Arc;

use zt_core::{
    clock::Timestamp,
    identity::{AuthMethod, Binding, Principal, PrincipalKind},
};

use super::policy::Policy;
use crate::{
    claims::{Claims, Confirmation, Says, Strings, Wanted},
    refusal::Refusal,
};

/// A token that is good, whatever connection it comes on and whoever was sanctioned.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) principal: Arc<Principal>,
    /// Good from here on, leeway included.
    pub(super) from: Timestamp,
    /// Good until here, leeway included.
    pub(super) until: Timestamp,
}

impl Accepted {
    /// Whether it is good at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.until <= now {
            return Err(Refusal::Expired);
        }
        if now < self.from {
            return Err(Refusal::NotYet);
        }
        Ok(())
    }
}

/// Reads and judges `payload`, whose signature holds under the key `key` of `policy`'s issuer.
pub(super) fn accept(
    payload: &[u8],
    policy: &Policy,
    key: Option<Arc<str>>,
    now: Timestamp,
) -> Result<Accepted, Refusal> {
    // Escapes and all: what was signed is what handlers get to see.
    let text = str::from_utf8(payload).map_err(|_| Refusal::PayloadJson)?;
    let claims = Claims::read(text, policy.wanted())?;
    let (from, until) = judge(&claims, policy, now)?;
    let subject = subject(&claims)?;
    let roles = match policy.nested_roles() {
        Some(path) => nested(text, path)?,
        None => None,
    };
    let kind = policy.principal.unwrap_or_else(|| {
        if claims.client.as_deref() == Some(subject) {
            PrincipalKind::Service
        } else {
            PrincipalKind::User
        }
    });
    let mut principal = Principal::assertion(kind, subject, AuthMethod::Jwt)
        .issuer(Arc::clone(&policy.name))
        .expires_at(until);
    for scopes in [&claims.scope, &claims.scopes].into_iter().flatten() {
        principal = match scopes {
            Strings::One(scopes) => principal.scopes(list(scopes)),
            Strings::Several(scopes) => principal.scopes(scopes.iter().map(|scope| &**scope)),
        };
    }
    if let Some(found) = &claims.roles {
        principal = principal.roles(found.iter());
    }
    if let Some(found) = roles {
        principal = principal.roles(found);
    }
    macro_rules! note {
        ($($text:ident => $method:ident,)*) => {
            $(if let Some(text) = claims.$text.as_deref() {
                principal = principal.$method(text);
            })*
        };
    }
    note! {
        tenant => tenant,
        session => session,
        token => token,
        context_class => context_class,
    }
    if let Some(name) = key {
        principal = principal.key(name);
    }
    if let Some(at) = claims.authenticated {
        principal = principal.authenticated_at(at);
    }
    if let Some(at) = claims.issued {
        principal = principal.issued_at(at);
    }
    match claims.confirmation {
        None => {}
        Some(Confirmation::Certificate(thumbprint)) => {
            principal = principal.binding(Binding::CertificateThumbprint(thumbprint));
        }
        Some(Confirmation::Key(thumbprint)) => {
            principal = principal.binding(Binding::KeyThumbprint(thumbprint));
        }
        // Not proved by anything that is known here.
        Some(Confirmation::Unknown) => return Err(Refusal::Binding),
    }
    Ok(Accepted {
        principal: Arc::new(principal.claims(text).finish()),
        from,
        until,
    })
}

/// Scopes with a space between them (RFC 6749 section 3.3): nothing else divides two.
fn list(scopes: &str) -> impl Iterator<Item = &str> {
    scopes.split(' ').filter(|scope| !scope.is_empty())
}

/// From when and until when the token is good, leeway included.
fn judge(
    claims: &Claims<'_>,
    policy: &Policy,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Refusal> {
    // RFC 8725 section 3.8: the issuer whose key signed, to the letter.
    if claims.issuer.as_deref() != Some(&*policy.name) {
        return Err(Refusal::Issuer);
    }
    if claims.misfit {
        return Err(Refusal::ClaimType);
    }
    if let Some(names) = &policy.audience.0 {
        let audience = claims.audience.as_ref().ok_or(Refusal::Audience)?;
        if !audience
            .iter()
            .any(|named| names.iter().any(|name| **name == *named))
        {
            return Err(Refusal::Audience);
        }
    }
    kind(claims, policy)?;

    let expires = claims.expires.ok_or(Refusal::NoExpiry)?;
    let until = expires
        .checked_add(policy.leeway)
        .ok_or(Refusal::ClaimType)?;
    if until <= now {
        return Err(Refusal::Expired);
    }
    let early = |at: Option<Timestamp>| at.map(|at| at.saturating_sub(policy.leeway));
    let (not_before, issued) = (early(claims.not_before), early(claims.issued));
    if not_before.is_some_and(|at| now < at) {
        return Err(Refusal::NotYet);
    }
    if issued.is_some_and(|at| now < at) {
        return Err(Refusal::IssuedInFuture);
    }
    let start = claims.issued.unwrap_or_else(|| now + policy.leeway);
    if expires.since(start) > policy.max_lifetime {
        return Err(Refusal::Lifetime);
    }

    let required = claims.required < policy.required.len();
    // RFC 9068 section 2.2; `iss`, `aud`, `sub` and `exp` are asked for in any case.
    let strict = policy.strict
        && (claims.audience.is_none()
            || claims.client.is_none()
            || claims.issued.is_none()
            || claims.token.is_none());
    if required || strict {
        return Err(Refusal::MissingClaim);
    }
    Ok((not_before.max(issued).unwrap_or(Timestamp::EPOCH), until))
}

/// Other tokens of the same issuer, under the same keys, are not for us (RFC 8725 section 3.12).
fn kind(claims: &Claims<'_>, policy: &Policy) -> Result<(), Refusal> {
    let marks = claims.marks;
    let id_token = marks.says == Some(Says::Id) || (marks.id_token && marks.says.is_none());
    let other = marks.says == Some(Says::Other) || marks.events;
    if other || (id_token && !policy.kinds.id_tokens) {
        return Err(Refusal::Kind);
    }
    Ok(())
}

/// The longest subject: that of a SPIFFE ID (SPIFFE-ID section 2.3).
const MAX_SUBJECT: usize = 2_048;

fn subject<'a>(claims: &'a Claims<'_>) -> Result<&'a str, Refusal> {
    let subject = claims.subject.as_deref().ok_or(Refusal::Subject)?;
    if subject.is_empty() || subject.len() > MAX_SUBJECT || subject.chars().any(char::is_control) {
        return Err(Refusal::Subject);
    }
    Ok(subject)
}

/// Roles that stand deeper: `/realm_access/roles`. Missing ones are none.
fn nested(text: &str, path: &[Box<str>]) -> Result<Option<Vec<String>>, Refusal> {
    let mut value: serde_json::Value =
        serde_json::from_str(text).map_err(|_| Refusal::PayloadJson)?;
    for member in path {
        match value.get_mut(&**member).map(serde_json::Value::take) {
            None | Some(serde_json::Value::Null) => return Ok(None),
            Some(inner) => value = inner,
        }
    }
    match value {
        serde_json::Value::String(role) => Ok(Some(vec![role])),
        value => serde_json::from_value(value)
            .map(Some)
            .map_err(|_| Refusal::ClaimType),
    }
}

impl Policy {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            roles: match &*self.roles {
                [one] => Some(one),
                _ => None,
            },
            tenant: self.tenant.as_deref(),
            required: &self.required,
        }
    }

    fn nested_roles(&self) -> Option<&[Box<str>]> {
        (self.roles.len() > 1).then_some(&*self.roles)
    }
}
