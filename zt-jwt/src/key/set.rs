use std::collections::{HashMap, HashSet};

use super::{KeyError, VerificationKey, jwk::Jwk, set_document};
use crate::{
    algorithm::{Algorithm, Algorithms},
    jose::MAX_KID,
};

/// The keys of one issuer, by id and algorithm.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
    /// By id: where in `keys`, for each algorithm.
    by_kid: HashMap<Box<str>, Vec<(Algorithm, usize)>>,
    /// Of all keys, and of those without an id: the only one for an algorithm.
    sole: Vec<(Algorithm, Sole)>,
    sole_without_kid: Vec<(Algorithm, Sole)>,
    fetched: bool,
}

#[derive(Debug, Clone, Copy)]
enum Sole {
    Key(usize),
    Several,
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
    /// Where there is none, two of an algorithm have the same id or both none, or shared secrets
    /// stand beside public keys.
    pub fn new(keys: impl IntoIterator<Item = VerificationKey>) -> Result<Self, KeyError> {
        let keys: Vec<_> = keys.into_iter().collect();
        if keys.is_empty() {
            return Err(KeyError::NoKeys);
        }
        let shared = keys.iter().filter(|key| key.is_shared()).count();
        if shared != 0 && shared != keys.len() {
            return Err(KeyError::Mixed);
        }
        let mut ids = HashSet::new();
        for key in &keys {
            if key.kid().is_some_and(|kid| kid.len() > MAX_KID) {
                return Err(KeyError::KidTooLong);
            }
            for algorithm in key.algorithms().iter() {
                // RFC 7517 section 4.5: ids within a set are distinct.
                if !ids.insert((key.kid(), algorithm)) {
                    return Err(KeyError::KidTwice { algorithm });
                }
            }
        }
        Ok(Self::index(keys, false))
    }

    /// From a JSON Web Key Set (RFC 7517 section 5) that somebody wrote into a configuration: one
    /// bad key is an error.
    ///
    /// # Errors
    ///
    /// Where it is no set, a key cannot be used, or for what [`new`](Self::new) says. Symmetric
    /// keys cannot be used.
    pub fn parse(json: &[u8]) -> Result<Self, KeyError> {
        Self::parse_with(json, VerificationKey::from_jwk)
    }

    /// As [`parse`](Self::parse), with keys of any kind.
    #[cfg(test)]
    pub(crate) fn parse_any(json: &[u8]) -> Result<Self, KeyError> {
        Self::parse_with(json, VerificationKey::from_any_jwk)
    }

    fn parse_with(
        json: &[u8],
        parse: impl Fn(&[u8]) -> Result<VerificationKey, KeyError>,
    ) -> Result<Self, KeyError> {
        let keys = set_document::keys(json, MAX_CONFIGURED)?;
        let keys = keys.into_iter().map(|key| parse(key.get().as_bytes()));
        Self::new(keys.collect::<Result<Vec<_>, _>>()?)
    }

    /// From jsonwebtoken's type, under the rules of [`parse`](Self::parse).
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_jwks(jwks: &jsonwebtoken::jwk::JwkSet) -> Result<Self, KeyError> {
        let keys = jwks.keys.iter().map(VerificationKey::try_from);
        Self::new(keys.collect::<Result<Vec<_>, _>>()?)
    }

    /// From what a key endpoint answered: bad keys, symmetric keys, private keys and keys whose id
    /// is not unique are left out one by one and named in the second part, with why. At most
    /// `limit` keys. The same key twice is one key.
    ///
    /// # Errors
    ///
    /// Where it is no set at all, has more than `limit` keys, or not one that can be used.
    pub fn parse_remote(json: &[u8], limit: usize) -> Result<(Self, Vec<String>), KeyError> {
        let mut keys: Vec<VerificationKey> = Vec::new();
        let mut left_out = Vec::new();
        for (position, key) in set_document::keys(json, limit)?.into_iter().enumerate() {
            match remote_key(key.get().as_bytes()) {
                Ok(key) => match keys.iter_mut().find(|known| known.is(&key)) {
                    Some(known) => known.absorb(key),
                    None => keys.push(key),
                },
                Err(error) => left_out.push(format!("key {position}: {error}")),
            }
        }

        // Nobody can tell which of them is meant, and one may have come from somebody else.
        let contested: HashSet<Box<str>> = keys
            .iter()
            .filter(|key| keys.iter().any(|other| key.contests(other)))
            .filter_map(|key| key.kid().map(Into::into))
            .collect();
        keys.retain(|key| {
            let contested = key.kid().filter(|kid| contested.contains(*kid));
            if let Some(kid) = contested {
                left_out.push(format!(
                    "key `{}`: its id is not its own",
                    kid.escape_debug()
                ));
            }
            contested.is_none()
        });

        if keys.is_empty() {
            return Err(KeyError::NoKeys);
        }
        Ok((Self::index(keys, true), left_out))
    }

    /// The same keys for no more than `algorithms`; keys that are left without any go.
    #[must_use]
    pub fn restrict(self, algorithms: Algorithms) -> Self {
        let keys = self.keys.into_iter();
        let keys = keys.filter_map(|key| key.restrict(algorithms)).collect();
        Self::index(keys, self.fetched)
    }

    fn index(keys: Vec<VerificationKey>, fetched: bool) -> Self {
        let mut set = Self {
            keys,
            fetched,
            ..Self::default()
        };
        for (position, key) in set.keys.iter().enumerate() {
            for algorithm in key.algorithms().iter() {
                note(&mut set.sole, algorithm, position);
                match key.kid() {
                    Some(kid) => set
                        .by_kid
                        .entry(kid.into())
                        .or_default()
                        .push((algorithm, position)),
                    None => note(&mut set.sole_without_kid, algorithm, position),
                }
            }
        }
        set
    }

    /// The key for a token. One that names a key gets that key, or, in a set that was configured
    /// and not fetched, the only key without an id. One that names none gets the only key of the
    /// algorithm.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        let among = match kid {
            None => &self.sole,
            Some(kid) => match self.by_kid.get(kid) {
                Some(keys) => {
                    let place = keys.iter().find(|(known, _)| *known == algorithm);
                    return self.found(place.map(|(_, place)| Sole::Key(*place)));
                }
                None if self.fetched => return Found::Unknown,
                None => &self.sole_without_kid,
            },
        };
        let sole = among.iter().find(|(known, _)| *known == algorithm);
        self.found(sole.map(|(_, sole)| *sole))
    }

    fn found(&self, sole: Option<Sole>) -> Found<'_> {
        match sole {
            Some(Sole::Key(place)) => self.keys.get(place).map_or(Found::Unknown, Found::Key),
            Some(Sole::Several) => Found::Ambiguous,
            None => Found::Unknown,
        }
    }

    /// Whether every key of `older` is in this set too, unchanged: what was verified by it stays
    /// verified.
    pub(crate) fn keeps_all_of(&self, older: &Self) -> bool {
        older.keys.iter().all(|old| {
            self.keys.iter().any(|key| {
                key.is(old) && key.algorithms().and(old.algorithms()) == old.algorithms()
            })
        })
    }

    /// Its keys.
    pub fn iter(&self) -> impl Iterator<Item = &VerificationKey> {
        self.keys.iter()
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

/// How many keys a configuration may hold.
const MAX_CONFIGURED: usize = 1_000;

fn remote_key(json: &[u8]) -> Result<VerificationKey, KeyError> {
    let jwk = Jwk::parse(json)?;
    let key = VerificationKey::from_members(&jwk)?;
    if jwk.is_private() {
        return Err(KeyError::PrivatePublished);
    }
    Ok(key)
}

fn note(sole: &mut Vec<(Algorithm, Sole)>, algorithm: Algorithm, position: usize) {
    match sole.iter_mut().find(|(known, _)| *known == algorithm) {
        Some((_, several)) => *several = Sole::Several,
        None => sole.push((algorithm, Sole::Key(position))),
    }
}
