//! A token as it is written: JSON Web Signature in compact serialization (RFC 7515 section 7.1).
//!
//! From text to payload there is one way, and the signature stands in the middle of it:
//! [`Compact::split`] looks at bytes, [`Compact::header`] reads the header under a strict policy,
//! [`Compact::verify`] checks the signature and gives [`Signed`], and only that can be decoded.

pub(crate) mod base64url;
mod compact;
mod header;
pub(crate) mod json;
pub(crate) mod shape;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    compact::{Compact, Signed},
    header::{Header, MAX_KID},
};
