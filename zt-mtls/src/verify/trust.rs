use std::{collections::BTreeSet, fmt, sync::Arc};

use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::anchor_from_trusted_cert;
use zt_core::clock::Timestamp;

use super::revocation::{Layer, Lists, MAX_REVOCATION_LIST};
use crate::{
    bundle::{BundleError, MAX_AUTHORITIES, TrustBundle, by_domain},
    credentials::pem_all,
    id::TrustDomain,
    svid::{Authority, Leaf},
};

/// Who is believed to vouch for peers.
#[derive(Clone)]
pub struct Trust {
    pub(super) mode: Mode,
    lists: Lists,
    /// When each of them that no newer one replaces is out of date.
    list_ends: Arc<[Timestamp]>,
    /// The subjects of all roots, as a hint to clients; none where they are too long for that.
    pub(super) hints: Arc<[DistinguishedName]>,
}

#[derive(Clone)]
pub(super) enum Mode {
    /// By trust domain.
    Spiffe(Arc<[(TrustDomain, Arc<Roots>)]>),
    Pki(Arc<Roots>, PkiNames),
}

/// The roots of one trust domain, or those that plain PKI has.
#[derive(Default)]
pub(super) struct Roots {
    pub(super) layers: Vec<Layer>,
    anchors: Vec<TrustAnchor<'static>>,
    /// When each of them begins and ends.
    spans: Vec<(Timestamp, Timestamp)>,
}

/// Which names of plain certificates are allowed. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PkiNames {
    dns: BTreeSet<Arc<str>>,
    uris: BTreeSet<Arc<str>>,
}

/// Trust that cannot be put in anybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is no root.
    #[error("there is no root")]
    NoRoots,
    /// A root cannot be used.
    #[error("a root cannot be used: {0}")]
    Root(webpki::Error),
    /// A root may not vouch for anybody.
    #[error("a root cannot be used: {0}")]
    Authority(&'static str),
    /// There are more roots than can be sane.
    #[error("there are too many roots")]
    TooManyRoots,
    /// There is no revocation list where there should be one.
    #[error("there is no revocation list")]
    NoRevocationList,
    /// There are more revocation lists than can be sane, or one is too large.
    #[error("there are too many revocation lists, or one is too large")]
    TooManyRevocations,
    /// The PEM cannot be read.
    #[error("the PEM cannot be read: {0}")]
    Pem(&'static str),
    /// A revocation list cannot be read.
    #[error("a revocation list cannot be read: {0}")]
    Crl(webpki::Error),
}

impl Trust {
    /// Workloads with X.509-SVIDs, each trust domain vouched for by its own bundle.
    ///
    /// # Errors
    ///
    /// When there is no bundle, two of one trust domain, or a root that cannot be used.
    pub fn spiffe(bundles: impl IntoIterator<Item = TrustBundle>) -> Result<Self, TrustError> {
        let mut all = Vec::new();
        let mut hints = Vec::new();
        for (domain, bundle) in by_domain(bundles)? {
            let roots = Roots::new(bundle.roots(), &mut hints)?;
            all.push((domain, Arc::new(roots)));
        }
        if all.is_empty() {
            return Err(TrustError::NoRoots);
        }
        Ok(Self {
            mode: Mode::Spiffe(all.into()),
            lists: Lists::default(),
            list_ends: Arc::default(),
            hints: in_bounds(hints),
        })
    }

    /// Certificates of a plain PKI, vouched for by `roots`, with one of `names`.
    ///
    /// # Errors
    ///
    /// When there is no root, or one that cannot be used.
    pub fn pki(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
        names: PkiNames,
    ) -> Result<Self, TrustError> {
        let roots: Vec<_> = roots.into_iter().take(MAX_AUTHORITIES + 1).collect();
        let mut hints = Vec::new();
        let roots = Roots::new(&roots, &mut hints)?;
        Ok(Self {
            mode: Mode::Pki(Arc::new(roots), names),
            lists: Lists::default(),
            list_ends: Arc::default(),
            hints: in_bounds(hints),
        })
    }

    /// With these revocation lists, in DER, and no others: from then on each certificate of each chain,
    /// of each trust domain, must be covered by one that is signed by its issuer and not out of date.
    /// Where an issuer has several, the newest counts.
    ///
    /// A list that no root has signed is taken: an intermediate may have, which is only seen in a chain.
    ///
    /// # Errors
    ///
    /// When there is none, one cannot be read, or there are too many. Whoever has none does not call
    /// this: a folder of lists that is empty by mistake must not mean that nobody is revoked.
    pub fn revocation_lists<'a>(
        mut self,
        lists: impl IntoIterator<Item = CertificateRevocationListDer<'a>>,
    ) -> Result<Self, TrustError> {
        self.lists = Lists::read(lists)?;
        let anchors = |roots: &Arc<Roots>| roots.anchors.clone();
        let everybody: Vec<_> = match &self.mode {
            Mode::Spiffe(all) => all.iter().flat_map(|(_, roots)| anchors(roots)).collect(),
            Mode::Pki(roots, _) => anchors(roots),
        };
        self.list_ends = self.lists.ends(&everybody);
        self.mode = match self.mode {
            Mode::Spiffe(all) => {
                let with = |(domain, roots): &(TrustDomain, Arc<Roots>)| {
                    (domain.clone(), roots.with(&self.lists, &everybody))
                };
                Mode::Spiffe(all.iter().map(with).collect())
            }
            Mode::Pki(roots, names) => Mode::Pki(roots.with(&self.lists, &everybody), names),
        };
        Ok(self)
    }

    /// The same from PEM.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or as for [`revocation_lists`](Self::revocation_lists).
    pub fn revocation_lists_pem(self, pem: &[u8]) -> Result<Self, TrustError> {
        if pem.len() > 2 * MAX_REVOCATION_LIST {
            return Err(TrustError::TooManyRevocations);
        }
        let lists: Vec<CertificateRevocationListDer<'_>> = pem_all(pem).map_err(TrustError::Pem)?;
        self.revocation_lists(lists)
    }

    /// The trust domains that somebody vouches for; none by plain PKI.
    pub fn trust_domains(&self) -> impl Iterator<Item = &TrustDomain> {
        let all = match &self.mode {
            Mode::Spiffe(all) => &**all,
            Mode::Pki(..) => &[],
        };
        all.iter().map(|(domain, _)| domain)
    }

    /// When each revocation list that no newer one replaces is out of date.
    #[must_use]
    pub fn revocation_lists_end(&self) -> &[Timestamp] {
        &self.list_ends
    }

    /// Whether peers have SPIFFE IDs.
    #[must_use]
    pub const fn is_spiffe(&self) -> bool {
        matches!(self.mode, Mode::Spiffe(_))
    }
}

impl Roots {
    fn new(
        roots: &[CertificateDer<'static>],
        hints: &mut Vec<DistinguishedName>,
    ) -> Result<Self, TrustError> {
        if roots.is_empty() {
            return Err(TrustError::NoRoots);
        }
        if roots.len() > MAX_AUTHORITIES {
            return Err(TrustError::TooManyRoots);
        }
        let mut all = Self::default();
        for root in roots {
            let anchor = anchor_from_trusted_cert(root).map_err(TrustError::Root)?;
            let says = Authority::read(root).map_err(|error| TrustError::Authority(error.why()))?;
            hints.push(DistinguishedName::in_sequence(anchor.subject.as_ref()));
            all.spans.push((says.not_before, says.not_after));
            all.anchors.push(anchor.to_owned());
        }
        all.layers = Lists::default().layers(&all.anchors, &[]);
        Ok(all)
    }

    fn with(&self, lists: &Lists, everybody: &[TrustAnchor<'static>]) -> Arc<Self> {
        Arc::new(Self {
            layers: lists.layers(&self.anchors, everybody),
            anchors: self.anchors.clone(),
            spans: self.spans.clone(),
        })
    }

    /// When each certificate begins and ends that says what `anchor` says: one that was renewed keeps its
    /// key.
    pub(super) fn spans(
        &self,
        anchor: &TrustAnchor<'_>,
    ) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let all = self.anchors.iter().zip(&self.spans);
        all.filter(move |(root, _)| *root == anchor)
            .map(|(_, span)| *span)
    }
}

impl PkiNames {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Allows a DNS name, compared without regard to case; no wildcard matches.
    #[must_use]
    pub fn dns(mut self, name: impl AsRef<str>) -> Self {
        self.dns.insert(name.as_ref().to_ascii_lowercase().into());
        self
    }

    /// Allows a URI, compared byte by byte.
    #[must_use]
    pub fn uri(mut self, uri: impl Into<Arc<str>>) -> Self {
        self.uris.insert(uri.into());
        self
    }

    pub(super) fn allow(&self, leaf: &Leaf) -> bool {
        let dns_names = leaf.dns_names.iter().map(AsRef::as_ref);
        self.listed(dns_names, leaf.uris.iter().map(AsRef::as_ref))
            .is_some()
    }

    /// The first of a certificate's names that is allowed.
    pub(crate) fn listed<'a>(
        &self,
        mut dns_names: impl Iterator<Item = &'a str>,
        mut uris: impl Iterator<Item = &'a str>,
    ) -> Option<&'a str> {
        let dns = |name: &&str| self.dns.contains(&*name.to_ascii_lowercase());
        let uri = |uri: &&str| self.uris.contains(*uri);
        uris.find(uri).or_else(|| dns_names.find(dns))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domains: Vec<_> = self.trust_domains().collect();
        f.debug_struct("Trust")
            .field("trust_domains", &domains)
            .field("revocation_lists", &self.lists.len())
            .finish_non_exhaustive()
    }
}

/// All of the hints, or none: a client that sees a few of them may show nothing (RFC 8446 section
/// 4.2.4), and a list without its end would end every handshake. Other trust domains, who name their
/// roots as they like, must not be able to do that.
fn in_bounds(hints: Vec<DistinguishedName>) -> Arc<[DistinguishedName]> {
    let bytes = |sum: usize, hint: &DistinguishedName| sum.saturating_add(hint.as_ref().len() + 2);
    match hints.iter().fold(0, bytes) {
        0..=MAX_HINT_BYTES => hints.into(),
        _ => Arc::default(),
    }
}

/// What some clients take of a request for a certificate is 16 KiB.
const MAX_HINT_BYTES: usize = 12 << 10;
