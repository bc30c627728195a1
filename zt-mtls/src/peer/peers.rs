use std::{collections::BTreeSet, sync::Arc};

use zt_core::identity::PeerIdentity;

use crate::{
    id::{IdError, SpiffeId, TrustDomain},
    verify::PkiNames,
};

/// A list of workloads that are allowed. Empty by default: nobody is.
///
/// ```
/// use zt_mtls::peer::Peers;
///
/// let peers = Peers::parse([
///     "spiffe://shop.example/orders",      // this one
///     "spiffe://shop.example/ns/batch/*",  // everything below
///     "spiffe://partner.example/*",        // a whole trust domain
/// ])?;
/// # Ok::<_, zt_mtls::peer::PeersError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    ids: BTreeSet<Arc<str>>,
    /// IDs with a slash at the end.
    below: BTreeSet<Arc<str>>,
    domains: BTreeSet<TrustDomain>,
    /// Of plain certificates.
    names: PkiNames,
}

/// An entry of a list of peers that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is no SPIFFE ID, with or without `/*` behind it: {why}")]
pub struct PeersError {
    entry: Arc<str>,
    why: IdError,
}

impl Peers {
    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a list: IDs, and IDs with `/*` behind them for everything below.
    ///
    /// # Errors
    ///
    /// When an entry is neither.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self, PeersError> {
        let mut peers = Self::none();
        for entry in entries {
            let entry = entry.as_ref();
            let (id, below) = match entry.strip_suffix("/*") {
                Some(id) => (id, true),
                None => (entry, false),
            };
            let id = SpiffeId::parse(id).map_err(|why| PeersError {
                entry: entry.into(),
                why,
            })?;
            peers = match (below, id.is_workload()) {
                (true, true) => peers.below(&id),
                (true, false) => peers.trust_domain(id.trust_domain()),
                (false, true) => peers.id(&id),
                // No workload has it.
                (false, false) => {
                    return Err(PeersError {
                        entry: entry.into(),
                        why: IdError::NoPath,
                    });
                }
            };
        }
        Ok(peers)
    }

    /// Allows one workload.
    #[must_use]
    pub fn id(mut self, id: &SpiffeId) -> Self {
        self.ids.insert(id.shared());
        self
    }

    /// Allows every workload whose path goes on from that of `id`, by whole segments; not `id`
    /// itself.
    #[must_use]
    pub fn below(mut self, id: &SpiffeId) -> Self {
        self.below.insert(format!("{id}/").into());
        self
    }

    /// Allows every workload of a trust domain.
    #[must_use]
    pub fn trust_domain(mut self, domain: TrustDomain) -> Self {
        self.domains.insert(domain);
        self
    }

    /// Allows plain certificates with this DNS name, compared without regard to case.
    #[must_use]
    pub fn dns(mut self, name: impl AsRef<str>) -> Self {
        self.names = self.names.dns(name);
        self
    }

    /// Allows plain certificates with this URI.
    #[must_use]
    pub fn uri(mut self, uri: impl Into<Arc<str>>) -> Self {
        self.names = self.names.uri(uri);
        self
    }

    /// Whether a workload is on the list.
    #[must_use]
    pub fn allow_id(&self, id: &SpiffeId) -> bool {
        let below = || {
            self.below
                .iter()
                .any(|prefix| id.as_str().starts_with(&**prefix))
        };
        self.ids.contains(id.as_str())
            || below()
            || id.is_workload() && self.domains.iter().any(|domain| id.is_member_of(domain))
    }

    /// Whether a peer is on the list: by its SPIFFE ID where it has one, and otherwise by its other
    /// names.
    #[must_use]
    pub fn allow(&self, peer: &PeerIdentity) -> bool {
        self.name_of(peer).is_some()
    }

    /// Whether a plain certificate with these names is on the list.
    pub(crate) fn allow_names<'a>(
        &self,
        dns_names: impl Iterator<Item = &'a str>,
        uris: impl Iterator<Item = &'a str>,
    ) -> bool {
        self.names.listed(dns_names, uris).is_some()
    }

    /// The name by which a peer is on the list. A plain certificate may have others, which whoever
    /// asked for it may have chosen: they name nobody here.
    pub(super) fn name_of<'p>(&self, peer: &'p PeerIdentity) -> Option<&'p str> {
        match peer.spiffe_id() {
            Some(id) => {
                let allowed = SpiffeId::parse(id).is_ok_and(|id| self.allow_id(&id));
                allowed.then_some(id)
            }
            None => self.names.listed(peer.dns_names(), peer.uris()),
        }
    }
}
