use std::{net::IpAddr, sync::Arc};

use http::Method;
use subtle::Choice;

use super::{
    digest::{Digests, Expected, Hasher},
    format::{PREFIX, ParseError, ParsedToken, TokenId, parse},
    view::{Slot, View},
};
use crate::{clock::Timestamp, decision::Code, identity::Principal};

/// The longest plain value; longer ones are not hashed.
pub(super) const MAX_OPAQUE: usize = 256;

/// What a token is asked to be good for.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) presented: &'a [u8],
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) client: Option<IpAddr>,
    pub(super) now: Timestamp,
}

/// Why a token is not good, and which token that is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) id: Option<TokenId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Stale,
    Unreadable(ParseError),
    TooLong,
    Unknown,
    WrongSecret,
    OtherEnvironment,
    Revoked,
    Expired,
    Superseded,
    Method,
    NotCanonical,
    Path,
    Address,
}

impl Refusal {
    pub(super) const fn code(self) -> Code {
        match self {
            Self::Stale => Code::StoreUnavailable,
            Self::Unreadable(_)
            | Self::TooLong
            | Self::Unknown
            | Self::WrongSecret
            | Self::OtherEnvironment => Code::CredentialInvalid,
            Self::Revoked => Code::CredentialRevoked,
            Self::Expired | Self::Superseded => Code::CredentialExpired,
            Self::Method | Self::NotCanonical | Self::Path | Self::Address => {
                Code::ScopeInsufficient
            }
        }
    }

    /// For the audit record.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Stale => "the view of the tokens is too old to decide by",
            Self::Unreadable(ParseError::Length) => "a value of another length",
            Self::Unreadable(ParseError::Alphabet) => "a value with a foreign character",
            Self::Unreadable(ParseError::Form) => "a value of another form",
            Self::Unreadable(ParseError::Checksum) => "a value with another checksum",
            Self::TooLong => "a value that is too long",
            Self::Unknown => "no such token",
            Self::WrongSecret => "the secret is another one",
            Self::OtherEnvironment => "made for another environment",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Superseded => "the secret was rotated out",
            Self::Method => "not for this method",
            Self::NotCanonical => "not for a path that is not canonical",
            Self::Path => "not for this path",
            Self::Address => "not from this address",
        }
    }

    const fn of(self, id: Option<TokenId>) -> Refused {
        Refused { refusal: self, id }
    }
}

/// A value as it was presented.
#[derive(Clone, Copy)]
pub(super) enum Presented<'a> {
    Token(ParsedToken<'a>),
    /// A plain value that may have been imported.
    Opaque(&'a [u8]),
}

impl<'a> Presented<'a> {
    /// # Errors
    ///
    /// Where it cannot be a token. Only this comes before the hash, and it depends on the text
    /// alone, not on what is in the registry.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Refused> {
        if text.starts_with(PREFIX.as_bytes()) {
            return parse(text)
                .map(Self::Token)
                .map_err(|error| Refusal::Unreadable(error).of(None));
        }
        if text.len() > MAX_OPAQUE {
            return Err(Refusal::TooLong.of(None));
        }
        Ok(Self::Opaque(text))
    }

    pub(super) fn digests(&self, hasher: &Hasher) -> Digests {
        hasher.digests(match self {
            Self::Token(token) => token.text(),
            Self::Opaque(text) => text,
        })
    }
}

/// Decides. Whether the id is unknown or the secret wrong, the same is hashed and compared.
///
/// # Errors
///
/// The first condition that does not hold.
pub(super) fn decide(
    view: &View,
    presented: Presented<'_>,
    digests: &Digests,
    question: &Question<'_>,
) -> Result<Arc<Principal>, Refused> {
    let (entry, id) = match presented {
        Presented::Token(token) => (view.get(token.token_id()), Some(token.token_id())),
        Presented::Opaque(_) => (view.find(digests), None),
    };
    let current = entry.map(|entry| &entry.current);
    let previous = entry.and_then(|entry| entry.previous.as_ref());
    let is_current = is(current, digests);
    let is_previous = is(previous, digests);
    let Some(entry) = entry else {
        return Err(Refusal::Unknown.of(id));
    };
    let id = Some(entry.id);
    let slot = if bool::from(is_current) {
        &entry.current
    } else if let Some(previous) = &entry.previous
        && bool::from(is_previous)
    {
        previous
    } else {
        return Err(Refusal::WrongSecret.of(id));
    };
    // From here on the caller has shown that they hold the secret.
    if !entry.is_for_here {
        return Err(Refusal::OtherEnvironment.of(id));
    }
    if entry.record.revoked.is_some() {
        return Err(Refusal::Revoked.of(id));
    }
    let has_passed = |end: Option<Timestamp>| end.is_some_and(|end| end <= question.now);
    if has_passed(entry.record.expires) {
        return Err(Refusal::Expired.of(id));
    }
    if has_passed(slot.until) {
        return Err(Refusal::Superseded.of(id));
    }
    entry
        .reach
        .covers(question.method, question.path, question.client)
        .map_err(|refusal| refusal.of(id))?;
    entry.used.touch(question.now);
    Ok(Arc::clone(&slot.principal))
}

/// Whether the text is the slot's secret; compares with something in any case.
fn is(slot: Option<&Slot>, digests: &Digests) -> Choice {
    let expected = slot.and_then(|slot| slot.expected);
    let there = Choice::from(u8::from(expected.is_some()));
    expected.unwrap_or(Expected::DUMMY).is_among(digests) & there
}
