//! The signature base (RFC 9421 section 2): from a message, and from what `Signature-Input` says is
//! covered, to the bytes that are signed. Types of `http` only; nothing here decides anything.
//!
//! What it protects against: two readings of one message. A verifier that reads an absent field as an
//! empty one, rewrites the parameters in its own order, or picks one of two labels, agrees to what
//! nobody signed.
//!
//! There is a base where
//!
//! 1. `Signature-Input` and `Signature` are dictionaries with the same labels, each once, of lists of
//!    strings and of bytes, with each parameter once, within [`FieldLimits`];
//! 2. each component is known with each of its parameters, applies to the message, and is there once;
//! 3. each field, dictionary member and query parameter is in the message, and is one value;
//! 4. all of it is ASCII, one line a component.
//!
//! Everything else is a [`FieldError`] or a [`BaseError`] that says which. A field that is there and
//! empty is a value, and has a line with nothing behind the colon (section 2.1): that is not the same as
//! a field that is absent. `Signature-Input` and `Signature` are refused where they are empty.
//!
//! # Standards
//!
//! RFC 9421 sections 2, 4.1, 4.2 and 5.1; RFC 9651 for all structured fields. Parameters stay in the
//! order in which they came, unknown ones too (section 2.3). What differs on purpose:
//!
//! - `;tr` is refused (section 2.1.4): intermediaries may drop trailers.
//! - A label twice is refused, and so is a parameter twice, of a signature or of a component, though
//!   the last one would count (RFC 9651 sections 4.2.2 and 4.2.3.2): whoever reads the first one sees
//!   another time, nonce or key.
//! - `@path` of `*` and of the target of `CONNECT` is refused: `/` would be another resource.
//! - `@query-param` with a value that is no UTF-8 is refused: the standard replaces such bytes, and
//!   one signature would be good for several values.
//! - `@target-uri` has the authority in its normal form.
//!
//! # What it does not do
//!
//! It does not say where the authority comes from, which components are enough, or whether a time or
//! a key is right. An empty list of components is read. `http` has parsed the target before: a
//! fragment, and the empty path of a whole URL, are as it delivers them.

mod accept;
mod bare;
mod builder;
mod candidate;
mod canonical;
mod component;
mod derived;
mod error;
mod fields;
mod identifier;
mod input;
mod members;
mod message;
mod params;
mod plain;
mod query;
mod read;
mod scratch;
#[cfg(test)]
mod tests;
mod types;
mod value;

use http::HeaderName;

pub use self::{
    accept::AcceptSignature,
    builder::{Input, InputBuilder},
    candidate::Candidate,
    component::Component,
    error::{BaseError, FieldError},
    fields::Fields,
    message::{Message, RequestMessage, ResponseMessage, UrlScheme},
    params::Params,
    read::{FieldLimits, Signatures},
    scratch::Scratch,
    types::{FieldTypes, StructuredType},
};

/// `Signature-Input` (RFC 9421 section 4.1).
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `Signature` (RFC 9421 section 4.2).
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// `Accept-Signature` (RFC 9421 section 5.1).
pub const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");
