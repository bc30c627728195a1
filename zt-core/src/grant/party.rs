//! Who asks and who decides, and when two of them are one.

use std::{collections::BTreeSet, fmt, iter, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    GrantConfig, GrantError,
    text::{MAX_NAME, invalid},
};
use crate::{
    clock::Timestamp,
    identity::{Principal, PrincipalKind},
};

/// Somebody, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Party {
    /// Who vouched for them.
    pub issuer: Option<Arc<str>>,
    /// Their name, unique within the issuer.
    pub subject: Arc<str>,
    /// For which customer they act, where their credential says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Arc<str>>,
    /// Whether it is a program.
    pub is_program: bool,
}

impl Party {
    pub(super) fn of(who: &Principal) -> Self {
        Self {
            issuer: who.issuer().map(Arc::from),
            subject: who.subject().into(),
            tenant: who.tenant().map(Arc::from),
            is_program: who.kind() == PrincipalKind::Service,
        }
    }

    /// Whether `who` is this one, to the letter: issuer, subject, tenant and kind. What is held is held
    /// by exactly one, and for one customer.
    pub(super) fn is(&self, who: &Principal) -> bool {
        self.tenant.as_deref() == who.tenant() && self.is_of_any_tenant(who)
    }

    /// The same, for whichever customer: what one caller may have at most is counted so.
    pub(super) fn is_of_any_tenant(&self, who: &Principal) -> bool {
        *self.subject == *who.subject()
            && self.issuer.as_deref() == who.issuer()
            && self.is_program == (who.kind() == PrincipalKind::Service)
            && !who.is_anonymous()
    }

    /// Whether the rights of `who` reach this one: rights of one customer's people end with that
    /// customer, and those of somebody who acts for none reach all.
    pub(super) fn is_in_reach_of(&self, who: &Principal) -> bool {
        who.tenant().is_none() || who.tenant() == self.tenant.as_deref()
    }
}

/// For people: `ada (https://id.example)`.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)?;
        match &self.issuer {
            Some(issuer) => write!(f, " ({issuer})"),
            None => Ok(()),
        }
    }
}

/// One of those who stand behind a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hand {
    subject: Arc<str>,
    /// Only carries what others ask: a program that proved itself besides the caller.
    carries: bool,
}

/// The most hands behind one request.
const MAX_HANDS: usize = 16;

/// What is read of a credential's claims (RFC 8693 section 4.1).
#[derive(Deserialize)]
struct Claims {
    act: Option<Actor>,
}

#[derive(Deserialize)]
struct Actor {
    sub: Option<Arc<str>>,
    act: Option<Box<Actor>>,
}

/// Whoever stands behind a request: the caller, everybody who acts for them, and whoever else proved
/// themselves with it.
///
/// # Errors
///
/// Where that cannot be told: an actor without a name, claims that cannot be read, too many of them.
pub(super) fn hands(who: &Principal, shared: &BTreeSet<String>) -> Result<Vec<Hand>, GrantError> {
    let mut hands = Vec::new();
    for (place, one) in iter::once(who).chain(who.further_proofs()).enumerate() {
        if one.is_anonymous() {
            continue;
        }
        hands.push(Hand {
            subject: one.subject().into(),
            carries: place > 0 && one.kind() == PrincipalKind::Service,
        });
        let mut next = match one.has_claims() {
            true => one
                .claims::<Claims>()
                .map_err(|_| GrantError::ActorsUnreadable)?
                .act
                .map(Box::new),
            false => None,
        };
        while let Some(actor) = next {
            let subject = actor.sub.ok_or(GrantError::ActorsUnreadable)?;
            let carries = shared.contains(&*subject);
            hands.push(Hand { subject, carries });
            next = actor.act;
            if hands.len() > MAX_HANDS {
                return Err(GrantError::ActorsUnreadable);
            }
        }
    }
    let named = |hand: &Hand| (1..=MAX_NAME).contains(&hand.subject.len());
    if hands.len() > MAX_HANDS || !hands.iter().all(named) {
        return Err(GrantError::ActorsUnreadable);
    }
    Ok(hands)
}

/// Whether anybody stands behind both.
///
/// Names are compared whatever the issuer and the case: `ada` of one issuer may well be `ada` of
/// another, and somebody whose issuer is not known may be anybody of that name. Two people of one
/// name are kept apart for nothing; one person of two names is not seen.
pub(super) fn overlap(one: &[Hand], other: &[Hand]) -> bool {
    one.iter().any(|one| {
        other.iter().any(|other| {
            !(one.carries && other.carries) && folded(&one.subject).eq(folded(&other.subject))
        })
    })
}

/// Without case: up and down again, letter by letter, so that letters with several small forms
/// (`ς` and `σ`, `ſ` and `s`, `ß` and `ss`) are one.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// A caller who may act at all.
pub(super) struct Caller<'a> {
    pub(super) who: &'a Principal,
    pub(super) party: Party,
}

impl<'a> Caller<'a> {
    /// # Errors
    ///
    /// Where nobody is named, or their name cannot be kept.
    pub(super) fn new(who: &'a Principal) -> Result<Self, GrantError> {
        if who.is_anonymous() {
            return Err(GrantError::Nobody);
        }
        let fits = |name: &str| name.len() <= MAX_NAME && !name.chars().any(char::is_control);
        let rest_fits = who.issuer().is_none_or(fits) && who.tenant().is_none_or(fits);
        if who.subject().is_empty() || !fits(who.subject()) || !rest_fits {
            return invalid(
                "subject",
                "it is empty, longer than 512 bytes, or has control characters",
            );
        }
        Ok(Self {
            who,
            party: Party::of(who),
        })
    }

    /// Asks that the credential has not ended: the one that is shown now, whatever the gate saw.
    pub(super) fn is_valid(&self, now: Timestamp) -> Result<(), GrantError> {
        match self.who.expires_at() {
            Some(end) if end <= now => Err(GrantError::CredentialEnded),
            _ => Ok(()),
        }
    }

    /// Asks that it is a person.
    pub(super) fn is_person(&self, config: &GrantConfig) -> Result<(), GrantError> {
        if self.who.kind() != PrincipalKind::User {
            return Err(GrantError::NotPerson);
        }
        self.has_known_issuer(config)
    }

    /// Asks that a person comes from an issuer that knows people, where such are named.
    pub(super) fn has_known_issuer(&self, config: &GrantConfig) -> Result<(), GrantError> {
        match has_known_issuer(self.who, config) {
            true => Ok(()),
            false => Err(GrantError::ForeignIssuer),
        }
    }
}

/// Whether `who` is a program, or comes from an issuer that knows people, where such are named.
pub(super) fn has_known_issuer(who: &Principal, config: &GrantConfig) -> bool {
    let known = &config.issuers_of_people;
    who.kind() != PrincipalKind::User
        || known.is_empty()
        || who.issuer().is_some_and(|issuer| known.contains(issuer))
}
