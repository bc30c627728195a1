use std::{fmt, sync::Arc};

use super::Memo;
use crate::clock::Timestamp;

/// How a peer identity was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerSource {
    /// From the handshake on this very connection.
    Tls,
    /// From a verified, allow-listed proxy that forwarded the certificate.
    Forwarded,
}

/// Which workload holds the connection, from its certificate.
///
/// A request may have a user's token over a workload's connection; policies can name both.
#[derive(Clone)]
pub struct PeerIdentity {
    spiffe_id: Option<Arc<str>>,
    dns_names: Vec<Arc<str>>,
    uris: Vec<Arc<str>>,
    thumbprint: [u8; 32],
    not_after: Timestamp,
    source: PeerSource,
    via: Option<Arc<PeerIdentity>>,
    /// What was worked out about it; a clone has none.
    memo: Memo,
}

impl PeerIdentity {
    /// States that the holder of the certificate with this SHA-256 `thumbprint`, good until
    /// `not_after`, is on the connection. Only verifiers of certificates call this.
    pub const fn assertion(
        thumbprint: [u8; 32],
        not_after: Timestamp,
        source: PeerSource,
    ) -> PeerAssertion {
        PeerAssertion(Self {
            spiffe_id: None,
            dns_names: Vec::new(),
            uris: Vec::new(),
            thumbprint,
            not_after,
            source,
            via: None,
            memo: Memo::new(),
        })
    }

    /// `spiffe://trust-domain/path`.
    #[must_use]
    pub fn spiffe_id(&self) -> Option<&str> {
        self.spiffe_id.as_deref()
    }

    /// DNS names among the subject alternative names.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.dns_names.iter().map(|name| &**name)
    }

    /// URIs among the subject alternative names.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.uris.iter().map(|uri| &**uri)
    }

    /// SHA-256 of the certificate's DER (RFC 8705 section 3.1).
    #[must_use]
    pub const fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// When the certificate ends; answers that outlive it are cut.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// How it was learned.
    #[must_use]
    pub const fn source(&self) -> PeerSource {
        self.source
    }

    /// The proxy that forwarded it, and holds the connection. A sanction against the proxy strikes
    /// what came over it.
    #[must_use]
    pub const fn via(&self) -> Option<&Arc<Self>> {
        self.via.as_ref()
    }

    pub(crate) const fn memo(&self) -> &Memo {
        &self.memo
    }
}

impl PartialEq for PeerIdentity {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            spiffe_id,
            dns_names,
            uris,
            thumbprint,
            not_after,
            source,
            via,
            memo: _,
        } = self;
        *thumbprint == other.thumbprint
            && *not_after == other.not_after
            && *source == other.source
            && *spiffe_id == other.spiffe_id
            && *dns_names == other.dns_names
            && *uris == other.uris
            && *via == other.via
    }
}

impl Eq for PeerIdentity {}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            spiffe_id,
            dns_names,
            uris,
            thumbprint,
            not_after,
            source,
            via,
            memo: _,
        } = self;
        f.debug_struct("PeerIdentity")
            .field("spiffe_id", spiffe_id)
            .field("dns_names", dns_names)
            .field("uris", uris)
            .field("thumbprint", thumbprint)
            .field("not_after", not_after)
            .field("source", source)
            .field("via", via)
            .finish()
    }
}

/// A [`PeerIdentity`] in the making; see [`PeerIdentity::assertion`].
#[derive(Debug, Clone)]
#[must_use]
pub struct PeerAssertion(PeerIdentity);

impl PeerAssertion {
    /// The identity as asserted so far.
    #[must_use]
    pub fn finish(self) -> PeerIdentity {
        self.0
    }

    /// The workload's name.
    pub fn spiffe_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.0.spiffe_id = Some(id.into());
        self
    }

    /// The proxy that forwarded it. What came over a proxy is good for no longer than the proxy.
    pub fn via(mut self, proxy: Arc<PeerIdentity>) -> Self {
        self.0.not_after = self.0.not_after.min(proxy.not_after);
        self.0.via = Some(proxy);
        self
    }

    /// Adds DNS names.
    pub fn dns_names<S: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.0.dns_names.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds URIs.
    pub fn uris<S: Into<Arc<str>>>(mut self, uris: impl IntoIterator<Item = S>) -> Self {
        self.0.uris.extend(uris.into_iter().map(Into::into));
        self
    }
}
