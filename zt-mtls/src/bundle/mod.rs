//! Who may vouch for the workloads of a trust domain: bundles (SPIFFE-Trust-Domain-and-Bundle).
//!
//! A bundle can be used when
//!
//! 1. its text is at most [`MAX_BUNDLE`] bytes, and it has 1 to [`MAX_AUTHORITIES`] roots;
//! 2. each root is a certificate that [`svid`](crate::svid) can read, is a CA's, has `keyCertSign`
//!    where it has a key usage, and names no workload, and no other trust domain (X509-SVID, 3.2, 4.1,
//!    4.3).
//!
//! From a JWK set (sections 4.1 and 4.2, and X509-SVID section 6.2)
//!
//! 3. in which no object has a member twice;
//! 4. with `keys`, of which those are taken that have the `use` `x509-svid`, a `kty` that is known and
//!    an `x5c`: its first certificate, and only that. Other uses, types and members are ignored, and so
//!    is the rest of the key: the certificate counts. Keys for `jwt-svid` are not used here, but must
//!    have a `kid` (JWT-SVID, 6.1);
//! 5. with `spiffe_sequence` and `spiffe_refresh_hint`, where they are there, as integers of 64 bits.
//!
//! Whose bundle it is does not stand in it: whoever reads it says so (section 3).

mod jwks;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rustls_pki_types::CertificateDer;

use crate::{credentials::pem_all, id::TrustDomain, svid::Authority};

/// The most bytes of a bundle as text.
pub const MAX_BUNDLE: usize = 1 << 20;
/// The most roots of a trust domain.
pub const MAX_AUTHORITIES: usize = 64;

/// The roots of one trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    domain: TrustDomain,
    roots: Vec<CertificateDer<'static>>,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

/// A bundle that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is not in its format.
    #[error("the bundle cannot be read: {0}")]
    Malformed(Arc<str>),
    /// It has no root.
    #[error("the bundle of `{0}` has no X.509 authority")]
    Empty(TrustDomain),
    /// A certificate in it is not a CA's, or cannot be read.
    #[error("authority {place} of `{domain}` cannot be used: {why}")]
    Authority {
        /// Whose bundle.
        domain: TrustDomain,
        /// Which, from 0.
        place: usize,
        /// Why.
        why: &'static str,
    },
    /// There are two bundles of one trust domain.
    #[error("there are two bundles of `{0}`")]
    Twice(TrustDomain),
    /// There is more than can be sane.
    #[error("the bundle is too large")]
    TooLarge,
}

impl TrustBundle {
    /// The bundle with these roots, in DER.
    ///
    /// # Errors
    ///
    /// When there is none, or one cannot be used.
    pub fn new(
        domain: TrustDomain,
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, BundleError> {
        let mut all: Vec<CertificateDer<'static>> = Vec::new();
        for (place, root) in roots.into_iter().enumerate() {
            if place == MAX_AUTHORITIES {
                return Err(BundleError::TooLarge);
            }
            let fails = |why| BundleError::Authority {
                domain: domain.clone(),
                place,
                why,
            };
            let authority = Authority::read(&root).map_err(|error| fails(error.why()))?;
            if authority.domain.is_some_and(|named| named != domain) {
                return Err(fails("it names another trust domain"));
            }
            if !all.contains(&root) {
                all.push(root);
            }
        }
        if all.is_empty() {
            return Err(BundleError::Empty(domain));
        }
        Ok(Self {
            domain,
            roots: all,
            sequence: None,
            refresh_hint: None,
        })
    }

    /// The same from PEM.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or as for [`new`](Self::new).
    pub fn from_pem(domain: TrustDomain, pem: &[u8]) -> Result<Self, BundleError> {
        if pem.len() > MAX_BUNDLE {
            return Err(BundleError::TooLarge);
        }
        let roots: Vec<_> = pem_all(pem).map_err(|why| BundleError::Malformed(why.into()))?;
        Self::new(domain, roots)
    }

    /// The same from a JWK set, as trust domains publish it.
    ///
    /// # Errors
    ///
    /// When it is not in the form that the [module](self) lists, or as for [`new`](Self::new).
    pub fn from_jwks(domain: TrustDomain, json: &[u8]) -> Result<Self, BundleError> {
        if json.len() > MAX_BUNDLE {
            return Err(BundleError::TooLarge);
        }
        let found = jwks::read(json).map_err(BundleError::Malformed)?;
        Ok(Self {
            sequence: found.sequence,
            refresh_hint: found.refresh_hint,
            ..Self::new(domain, found.roots)?
        })
    }

    /// Whose it is.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// Its roots, in DER.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// `spiffe_sequence`.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`.
    #[must_use]
    pub const fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }
}

/// Bundles by trust domain.
pub(crate) type Bundles = BTreeMap<TrustDomain, TrustBundle>;

/// One bundle a trust domain.
pub(crate) fn by_domain(
    bundles: impl IntoIterator<Item = TrustBundle>,
) -> Result<Bundles, BundleError> {
    let mut all = Bundles::new();
    for bundle in bundles {
        let domain = bundle.domain.clone();
        if all.insert(domain.clone(), bundle).is_some() {
            return Err(BundleError::Twice(domain));
        }
    }
    Ok(all)
}
