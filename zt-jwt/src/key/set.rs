use super::{KeyError, VerificationKey};
use crate::algorithm::{Algorithm, Algorithms};

/// The keys of one issuer, by id and algorithm.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
}

/// What a look-up gave.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'a> {
    /// The key.
    Key(&'a VerificationKey),
    /// None.
    Unknown,
    /// Several, and the token names none.
    Ambiguous,
}

impl KeySet {
    /// Of these keys.
    ///
    /// # Errors
    ///
    /// Where there is none, or two of an algorithm have the same id.
    pub fn new(_keys: impl IntoIterator<Item = VerificationKey>) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// From a JSON Web Key Set (RFC 7517 section 5) that somebody wrote into a configuration: one
    /// bad key is an error.
    pub fn parse(_json: &[u8]) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// From jsonwebtoken's type.
    pub fn from_jwks(_jwks: &jsonwebtoken::jwk::JwkSet) -> Result<Self, KeyError> {
        unimplemented!()
    }

    /// From what a key endpoint answered: bad keys, symmetric keys and keys whose id is not
    /// unique are left out one by one and named in the second part, with why. At most `limit` keys.
    ///
    /// # Errors
    ///
    /// Where it is no set at all, has more than `limit` keys, or not one that can be used.
    pub fn parse_remote(_json: &[u8], _limit: usize) -> Result<(Self, Vec<String>), KeyError> {
        unimplemented!()
    }

    /// The same keys for no more than `algorithms`; keys that are left without any go.
    #[must_use]
    pub fn restrict(self, _algorithms: Algorithms) -> Self {
        unimplemented!()
    }

    /// The key for a token. One that names a key gets that key, or, in a set that was configured
    /// and not fetched, the only key without an id. One that names none gets the only key of the
    /// algorithm.
    pub(crate) fn find(&self, _kid: Option<&str>, _algorithm: Algorithm) -> Found<'_> {
        unimplemented!()
    }

    /// Whether every key of `older` is in this set too, unchanged: what was verified by it stays
    /// verified.
    pub(crate) fn keeps_all_of(&self, _older: &Self) -> bool {
        unimplemented!()
    }

    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
