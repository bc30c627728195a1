//! Why a signed request is refused: one word for each condition of the module's list.

use std::fmt;

use crate::{
    decision::Code,
    signature::base::{BaseError, FieldError},
};

/// Why a signature does not count. Becomes a [`Denial`](crate::decision::Denial); which of these it
/// was stands in its private detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Unreadable(FieldError),
    /// None has the tag that is asked for.
    NotForUs,
    /// More have it than are tried.
    TooMany,
    NothingCovered,
    NotCovered(String),
    /// A field that this request has.
    NotCoveredHere(String),
    Lacks(&'static str),
    TooOld,
    FromTheFuture,
    Expired,
    UnknownKey,
    KeyPurpose,
    KeyEnded,
    Algorithm,
    Base(BaseError),
    NoAuthority,
    SeveralAuthorities,
    NotFromAProxy,
    BadSignature,
    KeysUnavailable(String),
    Replayed,
    ReplayUnavailable(&'static str),
    BodyNotCovered,
    BadDigest,
    DigestMismatch,
}

impl Refusal {
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Unreadable(_) => Code::CredentialMalformed,
            Self::Replayed => Code::Replayed,
            Self::KeysUnavailable(_) => Code::KeysUnavailable,
            Self::ReplayUnavailable(_) => Code::ReplayUnavailable,
            _ => Code::SignatureInvalid,
        }
    }

    /// What the caller may know besides the code: what it can do about it, and nothing of keys.
    pub(super) const fn sentence(&self) -> Option<&'static str> {
        match self {
            Self::NotForUs => Some("no signature has the tag that is asked for"),
            Self::TooMany => Some("there are too many signatures"),
            Self::NothingCovered
            | Self::NotCovered(_)
            | Self::NotCoveredHere(_)
            | Self::Lacks(_) => Some("the signature does not cover what it has to"),
            Self::TooOld | Self::FromTheFuture | Self::Expired => {
                Some("the signature is not valid at this time")
            }
            Self::BodyNotCovered => Some("the signature does not cover the body"),
            Self::BadDigest | Self::DigestMismatch => {
                Some("the body is not the one that was signed")
            }
            Self::Base(_) | Self::NoAuthority | Self::SeveralAuthorities | Self::NotFromAProxy => {
                Some("the request has not what the signature covers")
            }
            _ => None,
        }
    }

    /// Whether the same signature could be good at another time, or with less of the request: a
    /// request that has such a one is refused as a whole.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::FromTheFuture | Self::NotCoveredHere(_))
    }

    /// How far the signature came, so that of several the best one's reason is told.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::NotForUs => 0,
            Self::UnknownKey => 1,
            Self::BadSignature => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("signature: ")?;
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::NotForUs => f.write_str("none has the tag that is asked for"),
            Self::TooMany => f.write_str("there are more than four for this verifier"),
            Self::NothingCovered => f.write_str("it covers nothing"),
            Self::NotCovered(component) | Self::NotCoveredHere(component) => {
                write!(f, "it does not cover {component}")
            }
            Self::Lacks(parameter) => write!(f, "it has no `{parameter}`"),
            Self::TooOld => f.write_str("it is too old"),
            Self::FromTheFuture => f.write_str("it was made in the future"),
            Self::Expired => f.write_str("it has expired"),
            Self::UnknownKey => f.write_str("its key is not known"),
            Self::KeyPurpose => f.write_str("its key is not for requests"),
            Self::KeyEnded => f.write_str("its key is not good at this time"),
            Self::Algorithm => f.write_str("its algorithm is not the key's, or not accepted"),
            Self::Base(error) => error.fmt(f),
            Self::NoAuthority => f.write_str("the request does not say which host it is for"),
            Self::SeveralAuthorities => f.write_str("the request names several hosts"),
            Self::NotFromAProxy => f.write_str("the host is forwarded, and not by a trusted proxy"),
            Self::BadSignature => f.write_str("it does not hold"),
            Self::KeysUnavailable(why) => f.write_str(why),
            Self::Replayed => f.write_str("it was seen before"),
            Self::ReplayUnavailable(why) => f.write_str(why),
            Self::BodyNotCovered => f.write_str("there is a body, and it covers no digest"),
            Self::BadDigest => f.write_str("the digest of the body cannot be used"),
            Self::DigestMismatch => f.write_str("the body has another digest"),
        }
    }
}
