//! One token against the keys of one issuer after the other.

use std::{sync::Arc, time::Duration};

use zt_core::clock::Timestamp;

use super::{
    cache::Remembered,
    decide::{Accepted, accept},
    policy::Policy,
};
use crate::{
    jose::{Compact, Header, Signed, base64url::Room},
    jwks::{Current, RemoteKeys},
    key::{Found, VerificationKey},
    refusal::Refusal,
};

/// A token that can be read.
pub(super) struct Attempt<'t> {
    pub(super) compact: Compact<'t>,
    pub(super) header: Arc<Header>,
    /// Whether such a header was not seen before.
    pub(super) is_new: bool,
}

impl Attempt<'_> {
    pub(super) fn has_key_in(&self, keys: &RemoteKeys, monotonic: Duration) -> bool {
        let header = &self.header;
        match keys.current(monotonic) {
            Current::Keys(keys) => !matches!(
                keys.find(header.kid.as_deref(), header.algorithm),
                Found::Unknown
            ),
            Current::None => false,
        }
    }
}

/// Checks what the claims say, behind a signature that holds under `key`; also how many bytes they
/// have.
pub(super) fn judge(
    signed: Signed<'_>,
    key: &VerificationKey,
    policy: &Policy,
    now: Timestamp,
) -> Result<(Accepted, usize), Refusal> {
    let mut room = Room::<1024>::new();
    let payload = signed.decode_in(&mut room)?;
    let accepted = accept(payload, policy, key.name(), now)?;
    Ok((accepted, payload.len()))
}

/// The keys that one token was checked with. Several issuers may have the same key, which is tried
/// once; and a stranger's token, which names no issuer, is not checked with the keys of all.
pub(super) struct TriedKeys<'t> {
    keys: Vec<([u8; 32], Result<Signed<'t>, Refusal>)>,
    /// Whether there can be others.
    several: bool,
}

/// How many keys one token is checked with.
const MOST_KEYS: usize = 8;

impl<'t> TriedKeys<'t> {
    pub(super) const fn new(issuers: usize) -> Self {
        Self {
            keys: Vec::new(),
            several: issuers > 1,
        }
    }

    pub(super) fn verify(
        &mut self,
        attempt: &Attempt<'t>,
        key: &VerificationKey,
    ) -> Result<Signed<'t>, Refusal> {
        let algorithm = attempt.header.algorithm;
        if !self.several {
            return attempt.compact.verify(algorithm, key);
        }
        let before = self
            .keys
            .iter()
            .find(|(known, _)| *known == key.thumbprint());
        if let Some((_, result)) = before {
            return *result;
        }
        if self.keys.len() >= MOST_KEYS {
            return Err(Refusal::AmbiguousKey);
        }
        let result = attempt.compact.verify(algorithm, key);
        self.keys.push((key.thumbprint(), result));
        result
    }
}

pub(super) enum Tried {
    Good(Remembered),
    Refused(Refusal),
    /// These issuers may have the key by now; if not, this is why.
    Missing {
        absent: Vec<RemoteKeys>,
        otherwise: Refusal,
    },
}
