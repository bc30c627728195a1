//! From a token's text to a principal.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, join_all};
use subtle::ConstantTimeEq;
use zt_core::{
    clock::Timestamp,
    identity::{Binding, PeerIdentity, Principal},
};

use super::{
    Progress, Source, Surroundings, TokenCache, Verifier,
    attempt::{Attempt, Tried, TriedKeys, judge},
    cache::{Key, Remembered, weigh},
    decide::Accepted,
};
use crate::{
    jose::Compact,
    jwks::{Missing, RemoteKeys},
    key::Found,
    refusal::{Refusal, Refused},
};

impl Verifier {
    /// As [`verify`](Self::verify), at once where it can be.
    pub(crate) fn begin(&self, token: &[u8], around: &Surroundings<'_>) -> Progress {
        match self.recall(token, around) {
            Recalled::Known(result) => Progress::Done(result),
            Recalled::New(place) => self.begin_anew(token, place, around),
        }
    }

    /// What is to be said of a token that was verified before.
    pub(crate) fn recall(&self, token: &[u8], around: &Surroundings<'_>) -> Recalled {
        let Some(cache) = &self.0.cache else {
            return Recalled::New(Place(None));
        };
        // Before it is hashed: a stranger chooses its length.
        if token.len() > self.0.longest {
            return Recalled::New(Place(None));
        }
        let key = TokenCache::key(&self.0.seed, token);
        let Some(remembered) = cache.get(&key) else {
            return Recalled::New(Place(Some(key)));
        };
        if !self.still_holds(&remembered, around) {
            return Recalled::New(Place(Some(key)));
        }
        let good = remembered.accepted.at(around.now);
        if good.is_err() {
            cache.remove(&key);
        }
        Recalled::Known(
            good.map_err(Refused::from)
                .and_then(|()| self.admit(&remembered.accepted, around)),
        )
    }

    /// Verifies a token that is not known; if it is good, it belongs in `place`.
    pub(crate) fn begin_anew(
        &self,
        token: &[u8],
        Place(place): Place,
        around: &Surroundings<'_>,
    ) -> Progress {
        let attempt = match self.read(token) {
            Ok(attempt) => attempt,
            Err(refusal) => return Progress::Done(Err(refusal.into())),
        };
        match self.try_keys(&attempt, around) {
            Tried::Good(good) => Progress::Done(self.finish(attempt, good, place, around)),
            Tried::Refused(refusal) => Progress::Done(Err(refusal.into())),
            Tried::Missing { absent, otherwise } => {
                self.ask_for(&absent, otherwise, &attempt, token, place, around)
            }
        }
    }

    /// What can be read of a token without a key.
    pub(super) fn read<'t>(&self, token: &'t [u8]) -> Result<Attempt<'t>, Refusal> {
        let compact = Compact::split(token, self.0.longest)?;
        let known = self.0.headers.find(compact.header_text());
        let is_new = known.is_none();
        let header = match known {
            Some(header) => header,
            None => Arc::new(compact.header()?),
        };
        Ok(Attempt {
            compact,
            header,
            is_new,
        })
    }

    /// Whether the keys that a remembered token was verified with are still trusted.
    fn still_holds(&self, remembered: &Remembered, around: &Surroundings<'_>) -> bool {
        self.0.issuers.get(remembered.issuer).is_some_and(|issuer| {
            issuer.source.epoch() == remembered.epoch && issuer.source.is_current(around.monotonic)
        })
    }

    /// Tries the key that each issuer has for this token. No claim is known before a signature
    /// holds, so the token itself cannot say whose it is.
    ///
    /// Issuers may have the same key: tenants of one service, or one that publishes another's.
    /// Where the claims name none of those before it, the next one's key is tried.
    pub(super) fn try_keys(&self, attempt: &Attempt<'_>, around: &Surroundings<'_>) -> Tried {
        let header = &attempt.header;
        let mut otherwise = Refusal::Algorithm;
        let mut worse = |refusal: Refusal| {
            if weight(refusal) > weight(otherwise) {
                otherwise = refusal;
            }
        };
        let mut absent = Vec::new();
        let mut tried = TriedKeys::new(self.0.issuers.len());
        for (index, issuer) in self.0.issuers.iter().enumerate() {
            if !issuer.policy.algorithms.contains(header.algorithm) {
                continue;
            }
            if !issuer.policy.takes_type(header.typ.as_deref()) {
                worse(Refusal::Type);
                continue;
            }
            // In this order: a key that is taken away in between leaves an older epoch.
            let epoch = issuer.source.epoch();
            let keys = issuer.source.current(around.monotonic);
            let found = keys.as_ref().map_or(Found::Unknown, |keys| {
                keys.find(header.kid.as_deref(), header.algorithm)
            });
            match found {
                Found::Key(key) => match tried
                    .verify(attempt, key)
                    .and_then(|signed| judge(signed, key, &issuer.policy, around.now))
                {
                    Ok((accepted, claims)) => {
                        return Tried::Good(Remembered {
                            bytes: weigh(claims, &accepted),
                            accepted,
                            issuer: index,
                            epoch,
                        });
                    }
                    // Tried enough.
                    Err(Refusal::AmbiguousKey) => return Tried::Refused(Refusal::AmbiguousKey),
                    Err(refusal) if weight(refusal) > 0 => worse(refusal),
                    Err(refusal) => return Tried::Refused(refusal),
                },
                Found::Ambiguous => worse(Refusal::AmbiguousKey),
                Found::Unknown => {
                    worse(Refusal::UnknownKey);
                    if let Source::Remote(remote) = &issuer.source {
                        absent.push(remote.clone());
                    }
                }
            }
        }
        if absent.is_empty() {
            return Tried::Refused(otherwise);
        }
        Tried::Missing { absent, otherwise }
    }

    /// A key is not there: it may have been published since.
    pub(super) fn ask_for(
        &self,
        absent: &[RemoteKeys],
        otherwise: Refusal,
        attempt: &Attempt<'_>,
        token: &[u8],
        place: Option<Key>,
        around: &Surroundings<'_>,
    ) -> Progress {
        let mut fetches: Vec<BoxFuture<'static, ()>> = Vec::new();
        let mut outage = None;
        for keys in absent {
            match keys.missing(around.monotonic) {
                Missing::Unknown => {}
                Missing::Fetching(fetch) => fetches.push(fetch),
                Missing::Unavailable { retry_after } => {
                    outage = Some((Refusal::Keys, retry_after));
                }
                Missing::Crowded => outage = Some((Refusal::Crowded, SOON)),
            }
        }
        if fetches.is_empty() {
            // A fetch may have landed after its keys were looked at and before it was asked about.
            let monotonic = self.0.clock.monotonic();
            if absent
                .iter()
                .any(|keys| attempt.has_key_in(keys, monotonic))
            {
                let again = self.once_more(token, place, around.peer, around.now);
                return Progress::Done(again);
            }
            return Progress::Done(Err(undecided(otherwise, outage)));
        }
        let verifier = self.clone();
        let token: Box<[u8]> = token.into();
        let peer = around.peer.cloned();
        let now = around.now;
        Progress::Waiting(Box::pin(async move {
            join_all(fetches).await;
            verifier.once_more(&token, place, peer.as_ref(), now)
        }))
    }

    /// Tries again after keys were fetched, and does not wait a second time.
    fn once_more(
        &self,
        token: &[u8],
        place: Option<Key>,
        peer: Option<&Arc<PeerIdentity>>,
        now: Timestamp,
    ) -> Result<Arc<Principal>, Refused> {
        let around = Surroundings {
            peer,
            now,
            monotonic: self.0.clock.monotonic(),
        };
        let attempt = self.read(token)?;
        match self.try_keys(&attempt, &around) {
            Tried::Good(good) => self.finish(attempt, good, place, &around),
            Tried::Refused(refusal) => Err(refusal.into()),
            Tried::Missing { absent, otherwise } => {
                let outage = absent
                    .iter()
                    .find_map(|keys| match keys.missing(around.monotonic) {
                        Missing::Unknown => None,
                        Missing::Unavailable { retry_after } => Some((Refusal::Keys, retry_after)),
                        Missing::Fetching(_) | Missing::Crowded => Some((Refusal::Keys, SOON)),
                    });
                Err(undecided(otherwise, outage))
            }
        }
    }

    /// The token is good: is it on this connection, and has nobody taken it back?
    fn finish(
        &self,
        attempt: Attempt<'_>,
        good: Remembered,
        place: Option<Key>,
        around: &Surroundings<'_>,
    ) -> Result<Arc<Principal>, Refused> {
        let principal = self.admit(&good.accepted, around)?;
        if attempt.is_new {
            let text = attempt.compact.header_text();
            self.0.headers.note(text, attempt.header);
        }
        if let (Some(cache), Some(key)) = (&self.0.cache, place) {
            cache.insert(key, good);
        }
        Ok(principal)
    }

    /// What holds for this request alone, whether the token was verified now or before.
    fn admit(
        &self,
        accepted: &Accepted,
        around: &Surroundings<'_>,
    ) -> Result<Arc<Principal>, Refused> {
        let principal = &accepted.principal;
        match principal.binding() {
            None => {}
            Some(Binding::CertificateThumbprint(bound)) => {
                let held = around
                    .peer
                    .is_some_and(|peer| peer.thumbprint().ct_eq(&bound).into());
                if !held {
                    return Err(Refusal::Binding.into());
                }
            }
            // Proofs of possession are not understood yet (RFC 9449), nor is what is new.
            Some(_) => return Err(Refusal::Binding.into()),
        }
        if let Some(sanctions) = &self.0.sanctions {
            sanctions.check(Some(principal), None, around.now)?;
        }
        Ok(Arc::clone(principal))
    }
}

/// What the cache says of a token.
pub(crate) enum Recalled {
    Known(Result<Arc<Principal>, Refused>),
    New(Place),
}

/// Where a token is remembered, if it is to be.
pub(crate) struct Place(Option<Key>);

/// When to come back to what is being fetched already.
const SOON: Duration = Duration::from_secs(1);

/// Of two issuers' reasons the one that came further counts. What weighs nothing is said of the
/// token itself, or by the issuer that it names: there is nobody else to be asked.
const fn weight(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Type => 1,
        Refusal::UnknownKey => 2,
        Refusal::AmbiguousKey => 3,
        Refusal::Base64 | Refusal::Signature => 4,
        Refusal::Issuer => 5,
        _ => 0,
    }
}

/// No key is there. Where one was tried and the signature did not hold, the token is forged,
/// whatever else is down; otherwise an outage of ours is not held against the caller.
fn undecided(otherwise: Refusal, outage: Option<(Refusal, Duration)>) -> Refused {
    match outage {
        Some((refusal, retry_after))
            if !matches!(otherwise, Refusal::Base64 | Refusal::Signature) =>
        {
            Refused {
                retry_after: Some(retry_after),
                ..refusal.into()
            }
        }
        _ => otherwise.into(),
    }
}
