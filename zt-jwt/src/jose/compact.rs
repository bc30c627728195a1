use super::Header;
use crate::{algorithm::Algorithm, key::VerificationKey, refusal::Refusal};

/// The three segments of a token, not decoded.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'a> {
    _token: &'a [u8],
}

/// A payload whose signature holds: there is no other way to come by one.
pub(crate) struct Signed<'a> {
    _payload: &'a [u8],
}

impl<'a> Compact<'a> {
    /// Splits `token`, which is no longer than `limit` bytes. Two dots, no empty header or
    /// signature; nothing is decoded yet.
    pub(crate) fn split(_token: &'a [u8], _limit: usize) -> Result<Self, Refusal> {
        unimplemented!()
    }

    /// The header, as far as policy lets it pass.
    pub(crate) fn header(&self) -> Result<Header, Refusal> {
        unimplemented!()
    }

    /// Checks the signature with `key` under `algorithm`, for which the key must be.
    pub(crate) fn verify(
        &self,
        _algorithm: Algorithm,
        _key: &VerificationKey,
    ) -> Result<Signed<'a>, Refusal> {
        unimplemented!()
    }
}

impl Signed<'_> {
    /// The payload's bytes.
    pub(crate) fn decode(&self) -> Result<Vec<u8>, Refusal> {
        unimplemented!()
    }
}
