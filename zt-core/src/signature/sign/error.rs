use std::sync::Arc;

use crate::{
    body::BoxError,
    clock::ClockError,
    decision::{Code, Denial},
    digest::DigestError,
    random::EntropyError,
    signature::{
        base::{BaseError, FieldError},
        key::SigningFailed,
    },
};

/// Why a call was not made, or what the client said.
///
/// Only with [`Inner`](Self::Inner) may anything have been sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError<E> {
    /// The request cannot be signed; nothing was sent.
    #[error("the request was not sent: {0}")]
    CannotSign(#[from] CannotSign),
    /// The inner service failed.
    #[error(transparent)]
    Inner(E),
}

impl<E> SignError<E> {
    /// What the inner service said, where it was that.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::CannotSign(_) => None,
        }
    }
}

impl<E: Into<BoxError>> SignError<E> {
    /// As tower's own layers give errors on; what the inner service said comes out as it is.
    ///
    /// With `tower::ServiceExt::map_err(SignError::into_boxed)` the layer fits between those that
    /// speak of boxed errors.
    pub fn into_boxed(self) -> BoxError {
        match self {
            Self::Inner(error) => error.into(),
            Self::CannotSign(why) => why.into(),
        }
    }
}

/// Why a message cannot be signed. None of these holds a secret or a field's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotSign {
    /// There is no key to sign with at this time.
    #[error("there is no key to sign with")]
    NoKey,
    /// The engine failed.
    #[error(transparent)]
    Failed(#[from] SigningFailed),
    /// The message has not what is to be covered, or it cannot be said in one way only.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// Where the request goes cannot be said.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The body cannot be digested.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The message has a `Content-Digest` that cannot be compared.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The message has a `Content-Digest`, and it is not that of the body.
    #[error("the digest that is there is not that of the body")]
    DigestMismatch,
    /// The message has a signature with this label already.
    #[error("the message has a signature with this label already")]
    LabelTaken,
    /// The signatures that the message has cannot be read, so none can be added.
    #[error("the signatures that are there cannot be read: {0}")]
    Existing(FieldError),
    /// There is no randomness for a nonce.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The clock cannot say what time it is.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The message has more headers than can be counted, or its signatures are too long for one.
    #[error("the message has no room for the signature")]
    NoRoom,
}

/// Why it cannot be said where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Neither the URI nor `Host` has a host, there is more than one `Host`, one cannot be read, or
    /// the URI has user information or a scheme that is not http or https.
    #[error("the request does not say clearly where it goes")]
    Unclear,
    /// `Host` and the URI name different places. HTTP/1.1 would send the one, HTTP/2 the other.
    #[error("`Host` is not the host of the URI")]
    HostDisagrees,
    /// Answers are to be bound to the request's signature with a label that it has not.
    #[error("the request has no signature with the label that its answer is to be bound to")]
    RequestLabel,
}

/// Why a body cannot be digested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It has more bytes than are kept.
    #[error("the body is too large")]
    TooLarge,
    /// It did not end in time.
    #[error("the body took too long")]
    TooSlow,
    /// It broke off; what it said.
    #[error("the body broke off: {0}")]
    Broken(Arc<str>),
    /// It has trailers, which a digest of the content does not protect.
    #[error("the body has trailers")]
    Trailers,
    /// It is a stream, in a client whose streams cannot be read here.
    #[error("the body is a stream")]
    Stream,
}

impl From<Denial> for BodyError {
    /// What [`CollectedBody::read`](crate::body::CollectedBody::read) says.
    fn from(denial: Denial) -> Self {
        match denial.code() {
            Code::BodyTooLarge => Self::TooLarge,
            Code::RequestTimeout => Self::TooSlow,
            _ => Self::Broken(denial.private_detail().unwrap_or("no detail").into()),
        }
    }
}

/// Why a configuration does not make sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignConfigError {
    /// A label is a key of a dictionary (RFC 9651 section 3.1.2).
    #[error("`{0}` is no label")]
    Label(Box<str>),
    /// A key id is one or more of the visible ASCII characters and spaces.
    #[error("the key id is not visible ASCII")]
    KeyId,
    /// A tag is one or more of the visible ASCII characters and spaces.
    #[error("the tag is not visible ASCII")]
    Tag,
    /// A signature is good for one second at least, and in whole seconds.
    #[error("the lifetime is shorter than a second")]
    Lifetime,
    /// The component cannot be covered by a signature that is made here.
    #[error("`{0}` cannot be covered")]
    Component(Box<str>),
    /// A component is named twice.
    #[error("`{0}` is covered already")]
    Twice(Box<str>),
    /// A parameter that is asked for is one that signatures made here do not have.
    #[error("the `{0}` that is asked for cannot be had")]
    Unsatisfiable(Box<str>),
    /// Not `host` or `host:port`.
    #[error("`{0}` is no authority")]
    Authority(Box<str>),
}
