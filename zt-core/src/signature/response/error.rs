use crate::{
    body::BoxError,
    clock::ClockError,
    digest::DigestError,
    signature::{
        base::{BaseError, FieldError},
        key::{KeyRefusal, KeysUnavailable},
        sign::{BodyError, TargetError},
    },
};

/// Why there is no response that can be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyResponseError<E> {
    /// It cannot be said where the request goes, so no answer could be bound to it; nothing was
    /// sent.
    #[error("the request was not sent: {0}")]
    NotSent(#[source] TargetError),
    /// There was a response, and it is not believed. What was asked for may have been done.
    #[error("the response is not believed: {0}")]
    NotVerified(#[from] NotVerified),
    /// The inner service failed.
    #[error(transparent)]
    Inner(E),
}

impl<E> VerifyResponseError<E> {
    /// What the inner service said, where it was that.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            _ => None,
        }
    }
}

impl<E: Into<BoxError>> VerifyResponseError<E> {
    /// As tower's own layers give errors on; what the inner service said comes out as it is.
    pub fn into_boxed(self) -> BoxError {
        match self {
            Self::Inner(error) => error.into(),
            Self::NotVerified(why) => why.into(),
            Self::NotSent(why) => why.into(),
        }
    }
}

/// Why a response is not believed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NotVerified {
    /// It has no signature, or none with the tag that is wanted.
    #[error("it has no signature")]
    Missing,
    /// Its signature fields cannot be read.
    #[error(transparent)]
    Malformed(#[from] FieldError),
    /// Its signature is not good enough, or not good. Of several, what is wrong with the first.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Its content cannot be compared with the digest.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Keys cannot be had now.
    #[error(transparent)]
    KeysUnavailable(#[from] KeysUnavailable),
    /// The clock cannot say what time it is.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// It cannot be said where the request went.
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// What is wrong with a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// It does not cover what it must.
    #[error("the signature does not cover `{0}`")]
    Uncovered(Box<str>),
    /// It does not say when it was made.
    #[error("the signature does not say when it was made")]
    NoCreated,
    /// It was made too long ago.
    #[error("the signature is too old")]
    TooOld,
    /// It was made later than now.
    #[error("the signature is from the future")]
    FromTheFuture,
    /// It has ended.
    #[error("the signature has expired")]
    Expired,
    /// It does not say with which key it was made.
    #[error("the signature does not say with which key it was made")]
    NoKeyId,
    /// There is no such key.
    #[error("there is no such key")]
    KeyUnknown,
    /// The key is not for responses, not good at this time, or for another algorithm than the one
    /// that is named, or the signature is not its own over this response to this request.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// The response, or the request, has not what it covers.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The response has a body that the signature does not cover.
    #[error("the signature does not cover the body")]
    BodyUncovered,
    /// The digest cannot be read.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The digest is not that of the body.
    #[error("the digest is not that of the body")]
    DigestMismatch,
}
