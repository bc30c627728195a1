use super::{Header, base64url::Room};
use crate::{algorithm::Algorithm, key::VerificationKey, refusal::Refusal};

/// The three segments of a token, not decoded.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'a> {
    /// Header and payload with the dot between them: what the signature is over.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// A payload whose signature holds: there is no other way to come by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    payload: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits `token`, which is no longer than `limit` bytes. Two dots, no empty header or
    /// signature; nothing is decoded yet.
    pub(crate) fn split(token: &'a [u8], limit: usize) -> Result<Self, Refusal> {
        if token.len() > limit {
            return Err(Refusal::TooLong);
        }
        let token = str::from_utf8(token).map_err(|_| Refusal::Base64)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Segments)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Segments)?;
        // RFC 7515 section 7.1: three segments; a JWE has five (RFC 7516 section 7.1).
        // The payload is the longest by far: without a way out in the middle, this runs over many of
        // its bytes at once.
        let more = payload
            .bytes()
            .fold(false, |dot, byte| dot | (byte == b'.'));
        if more || header.is_empty() || signature.is_empty() {
            return Err(Refusal::Segments);
        }
        Ok(Self {
            signed,
            header,
            payload,
            signature,
        })
    }

    /// The header's text. What it says depends on nothing else.
    pub(crate) const fn header_text(&self) -> &'a str {
        self.header
    }

    /// The header, as far as policy lets it pass.
    pub(crate) fn header(&self) -> Result<Header, Refusal> {
        let mut room = Room::<512>::new();
        let json = room.decode(self.header.as_bytes());
        Header::parse(json.ok_or(Refusal::Base64)?)
    }

    /// Checks the signature with `key` under `algorithm`, for which the key must be.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        key: &VerificationKey,
    ) -> Result<Signed<'a>, Refusal> {
        // RSA with 8192 bits fits in; ML-DSA does not.
        let mut room = Room::<1028>::new();
        let signature = room.decode(self.signature.as_bytes());
        let signature = signature.ok_or(Refusal::Base64)?;
        key.verify(algorithm, self.signed.as_bytes(), signature)?;
        Ok(Signed {
            payload: self.payload,
        })
    }
}

impl Signed<'_> {
    /// The payload's bytes.
    pub(crate) fn decode_in<'r, const N: usize>(
        &self,
        room: &'r mut Room<N>,
    ) -> Result<&'r [u8], Refusal> {
        room.decode(self.payload.as_bytes())
            .ok_or(Refusal::PayloadJson)
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn decode(&self) -> Result<Vec<u8>, Refusal> {
        self.decode_in(&mut Room::<0>::new()).map(<[u8]>::to_vec)
    }
}
