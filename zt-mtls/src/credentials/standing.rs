//! How credentials stand in time.

use std::{sync::Arc, time::Duration};

use rustls::crypto::CryptoProvider;
use serde::Serialize;
use zt_core::{
    clock::Timestamp,
    state::{LiveStatus, Probe, Readiness},
};

use super::{Credentials, Identity, Inner, Material};
use crate::verify::{End, Refusal};

/// How credentials stand in time: for administrators, since it can name files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Standing {
    /// Which edition is in force, when it was last found to be so, and why the last attempt to replace
    /// it failed.
    #[serde(flatten)]
    pub live: LiveStatus,
    /// Whom our own certificate names, where it is an X.509-SVID.
    pub spiffe_id: Option<Arc<str>>,
    /// How old our own certificate is.
    pub certificate: Age,
    /// When it ends.
    pub certificate_ends: Timestamp,
    /// How long that is from now.
    pub certificate_left: Duration,
    /// When the first of the revocation lists is out of date.
    pub list_ends: Option<Timestamp>,
    /// How many of them are.
    pub lists_out_of_date: usize,
    /// Of how many.
    pub lists: usize,
}

/// How old a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Age {
    /// It has more than a third of its time left.
    Good,
    /// It has less: it should have been replaced.
    LastThird,
    /// It has a minute left or a tenth of its time, whichever is less.
    Ending,
    /// It has ended, or has not begun, or the clock cannot say.
    Unusable,
}

/// What the clock said, if it did.
type Now = Option<Timestamp>;

const A_MINUTE: Duration = Duration::from_secs(60);

impl Credentials {
    /// How they stand in time.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let material = self.load();
        let now = self.clock().now().ok();
        let ends = material.trust().revocation_lists_end();
        let over = |end: &&Timestamp| now.is_none_or(|now| **end <= now);
        let identity = material.identity();
        let ended = identity.not_after();
        Standing {
            live: self.status(),
            spiffe_id: identity.spiffe_id().map(crate::id::SpiffeId::shared),
            certificate: Age::of(identity, now),
            certificate_ends: ended,
            certificate_left: now.map_or(Duration::ZERO, |now| ended.since(now)),
            list_ends: ends.iter().min().copied(),
            lists_out_of_date: ends.iter().filter(over).count(),
            lists: ends.len(),
        }
    }

    /// Shows in `readiness`, as `name`, whether connections can be had with them.
    ///
    /// Not so when the clock is unavailable; when our own certificate has ended or is about to (in a
    /// minute, or a tenth of its time, whichever is less: time for others to take over); when every
    /// revocation list is out of date; or when our own trust would refuse our own certificate, and so
    /// a peer like us, because it is revoked or its list is out of date. A list of some other domain
    /// that is out of date shuts out that domain alone, and a certificate that should have been replaced
    /// is still good: both show in [`standing`](Self::standing) and the log, and are no reason to send
    /// requests elsewhere.
    pub fn register(&self, readiness: &Readiness, name: &'static str) {
        let inner = Arc::downgrade(&self.0);
        readiness.register(name, move || match inner.upgrade() {
            Some(inner) => Self(inner).probe(),
            None => Probe::NotReady("the credentials are gone"),
        });
    }

    fn probe(&self) -> Probe {
        let Inner {
            live,
            provider,
            clock,
            ..
        } = &*self.0;
        let Ok(now) = clock.now() else {
            return Probe::NotReady("the clock is unavailable");
        };
        let material = live.load();
        match Age::of(material.identity(), Some(now)) {
            Age::Good | Age::LastThird => {}
            Age::Ending => return Probe::NotReady("our own certificate is about to end"),
            Age::Unusable => return Probe::NotReady("our own certificate is not good now"),
        }
        let ends = material.trust().revocation_lists_end();
        if !ends.is_empty() && ends.iter().all(|end| *end <= now) {
            return Probe::NotReady("the revocation lists are out of date");
        }
        match material.by_own_trust(provider, now) {
            Err(Refusal::Chain(webpki::Error::CrlExpired { .. })) => {
                Probe::NotReady("the revocation list of our own CA is out of date")
            }
            Err(Refusal::Chain(webpki::Error::CertRevoked)) => {
                Probe::NotReady("our own certificate is revoked")
            }
            _ => Probe::Ready,
        }
    }
}

impl Age {
    fn of(identity: &Identity, now: Now) -> Self {
        let (from, to) = (identity.not_before(), identity.not_after());
        let Some(now) = now.filter(|now| (from..to).contains(now)) else {
            return Self::Unusable;
        };
        let (whole, left) = (to.since(from), to.since(now));
        if left <= A_MINUTE.min(whole / 10) {
            Self::Ending
        } else if left <= whole / 3 {
            Self::LastThird
        } else {
            Self::Good
        }
    }
}

impl Material {
    /// Whether our own certificate is good by our own trust. It need not be: peers may be of other
    /// domains than ours.
    pub(super) fn by_own_trust(
        &self,
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let key = self.identity().key();
        let (leaf, others) = key.cert.split_first().ok_or(Refusal::TooLong)?;
        let algorithms = &provider.signature_verification_algorithms;
        let judge = |end| self.trust().verify(end, algorithms, leaf, others, now);
        // By plain PKI a certificate may be for one end alone, and is not for its own holder to call.
        match judge(End::Server) {
            Ok(_) | Err(Refusal::NameNotAllowed) => Ok(()),
            Err(refusal) => match judge(End::Client) {
                Ok(_) | Err(Refusal::NameNotAllowed) => Ok(()),
                Err(_) => Err(refusal),
            },
        }
    }
}
