//! What a certificate says, and the rules for X.509-SVIDs (X509-SVID, sections 2 to 5).
//!
//! A certificate names a workload when
//!
//! 1. it is one certificate of version 3 in DER, read in one way only, and nothing behind it, of at
//!    most [`MAX_CERTIFICATE`] bytes, with at most [`MAX_NAMES`] names; its key usages, extended key
//!    usages, basic constraints and names stand in it once each; its URIs and DNS names are printable
//!    ASCII;
//! 2. it has exactly one URI among its subject alternative names, and that is a SPIFFE ID with a
//!    path (2, 3.1, 5.2);
//! 3. it has basic constraints, and they say that it is not a CA's (4.1, 5.2);
//! 4. it has a key usage with `digitalSignature` and without `keyCertSign` and `cRLSign` (4.3, 5.2);
//! 5. where it has extended key usages, `clientAuth` and `serverAuth` are among them (4.4).
//!
//! Other names, DNS names too, may stand beside the URI; they name nothing. Whether the key usage is
//! marked critical, and the names where there is no subject, is for who issues certificates (3.1, 4.3):
//! section 5 asks it of nobody who reads them, so it is not asked here.
//!
//! A certificate may vouch for others when it can be read so, is a CA's, has
//! `keyCertSign` where it has a key usage, and has no SPIFFE ID, or that of a trust domain (3.2).

mod certificate;
pub(crate) mod der;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use zt_core::{
    clock::Timestamp,
    identity::{PeerAssertion, PeerIdentity, PeerSource},
};

use self::certificate::{Certificate, KeyUsage, Name};
use crate::id::{IdError, SpiffeId, TrustDomain};

/// The most bytes of a certificate.
pub const MAX_CERTIFICATE: usize = 16 << 10;
/// The most names of a certificate.
pub const MAX_NAMES: usize = 128;

/// Why a certificate is no X.509-SVID of a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SvidError {
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// It is longer than [`MAX_CERTIFICATE`].
    #[error("the certificate is too long")]
    TooLong,
    /// It has more names than [`MAX_NAMES`].
    #[error("the certificate has too many names")]
    TooManyNames,
    /// It has no URI.
    #[error("the certificate has no URI among its names")]
    NoUri,
    /// It has more than one URI.
    #[error("the certificate has more than one URI among its names")]
    SeveralUris,
    /// Its URI is no SPIFFE ID.
    #[error("the certificate's URI is not a SPIFFE ID: {0}")]
    Id(#[from] IdError),
    /// Its URI names a trust domain, not a workload of one.
    #[error("the certificate names a trust domain, not a workload")]
    NoPath,
    /// It is a CA's.
    #[error("the certificate is a CA's")]
    Ca,
    /// It does not say that it is not a CA's.
    #[error("the certificate has no basic constraints")]
    NoBasicConstraints,
    /// It has no key usage, or one without `digitalSignature`.
    #[error("the certificate is not for signatures")]
    NoDigitalSignature,
    /// It may sign certificates or revocation lists.
    #[error("the certificate may sign certificates or revocation lists")]
    SigningAuthority,
    /// A certificate above it may not vouch for others.
    #[error("a certificate above the leaf may not vouch for others: {0}")]
    Authority(&'static str),
    /// It has extended key usages, and not both of `clientAuth` and `serverAuth`.
    #[error("the certificate is not for both ends of a connection")]
    Purpose,
}

/// Why a certificate may not vouch for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAuthority {
    Malformed,
    NotCa,
    NoCertSign,
    /// It has a URI that is no trust domain's.
    Workload,
}

/// What a leaf certificate says. Nothing of it was verified.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) uris: Vec<Arc<str>>,
    pub(crate) dns_names: Vec<Arc<str>>,
    pub(crate) thumbprint: [u8; 32],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    ca: Option<bool>,
    usage: Option<KeyUsage>,
    both_ends: Option<bool>,
}

/// What a CA's certificate says. Nothing of it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// The trust domain in it, where there is one.
    pub(crate) domain: Option<TrustDomain>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// Whether it has a key usage.
    pub(crate) has_usage: bool,
}

/// By which a path is looked for.
pub(crate) struct Names<'a> {
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
}

/// The names of a certificate, where it can be read.
pub(crate) fn names(der: &[u8]) -> Option<Names<'_>> {
    let Certificate {
        issuer, subject, ..
    } = Certificate::read(der)?;
    Some(Names { issuer, subject })
}

impl Leaf {
    /// Reads a certificate in DER.
    pub(crate) fn read(der: &[u8]) -> Result<Self, SvidError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(SvidError::TooLong);
        }
        let found = Certificate::read(der).ok_or(SvidError::Malformed)?;
        let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
        for (place, name) in found.names().enumerate() {
            if place == MAX_NAMES {
                return Err(SvidError::TooManyNames);
            }
            match name {
                Name::Uri(uri) => uris.push(uri.into()),
                Name::Dns(name) => dns_names.push(name.into()),
                Name::Other => {}
            }
        }
        Ok(Self {
            uris,
            dns_names,
            thumbprint: Sha256::digest(der).into(),
            not_before: found.not_before,
            not_after: found.not_after,
            ca: found.ca,
            usage: found.usage,
            both_ends: found.both_ends,
        })
    }

    /// The workload that it names, by the rules of the [module](self).
    pub(crate) fn workload(&self) -> Result<SpiffeId, SvidError> {
        let id = self.claimed()?;
        if !id.is_workload() {
            return Err(SvidError::NoPath);
        }
        match self.ca {
            None => return Err(SvidError::NoBasicConstraints),
            Some(true) => return Err(SvidError::Ca),
            Some(false) => {}
        }
        let usage = self.usage.ok_or(SvidError::NoDigitalSignature)?;
        if usage.key_cert_sign() || usage.crl_sign() {
            return Err(SvidError::SigningAuthority);
        }
        if !usage.digital_signature() {
            return Err(SvidError::NoDigitalSignature);
        }
        if self.both_ends == Some(false) {
            return Err(SvidError::Purpose);
        }
        Ok(id)
    }

    /// The SPIFFE ID that it says, which chooses the roots that it is verified by.
    pub(crate) fn claimed(&self) -> Result<SpiffeId, SvidError> {
        match &*self.uris {
            [] => Err(SvidError::NoUri),
            [uri] => Ok(SpiffeId::parse(uri)?),
            _ => Err(SvidError::SeveralUris),
        }
    }

    /// What a chain names that its owner is about to show: a workload, or nothing of SPIFFE.
    ///
    /// Something that means to be a SPIFFE ID and is none is refused, not taken for a plain name.
    pub(crate) fn own(&self, above: &[CertificateDer<'_>]) -> Result<Option<SpiffeId>, SvidError> {
        if !self.uris.iter().any(|uri| is_spiffe(uri)) {
            return Ok(None);
        }
        for der in above {
            Authority::read(der).map_err(|error| SvidError::Authority(error.why()))?;
        }
        self.workload().map(Some)
    }

    /// Whether it may sign in a handshake, which a plain certificate need not say
    /// (RFC 8446 section 4.4.2.2).
    pub(crate) fn may_sign_handshakes(&self) -> bool {
        self.usage.is_none_or(KeyUsage::digital_signature)
    }

    /// For whoever has verified it.
    pub(crate) fn assertion(&self, not_after: Timestamp, source: PeerSource) -> PeerAssertion {
        PeerIdentity::assertion(self.thumbprint, not_after, source)
            .dns_names(self.dns_names.iter().cloned())
            .uris(self.uris.iter().cloned())
    }
}

impl Authority {
    /// Reads the certificate of who vouches for others.
    pub(crate) fn read(der: &[u8]) -> Result<Self, NoAuthority> {
        let found = (der.len() <= MAX_CERTIFICATE).then(|| Certificate::read(der));
        let found = found.flatten().ok_or(NoAuthority::Malformed)?;
        if found.ca != Some(true) {
            return Err(NoAuthority::NotCa);
        }
        if !found.usage.is_none_or(KeyUsage::key_cert_sign) {
            return Err(NoAuthority::NoCertSign);
        }
        // X509-SVID section 3.2: where it has a SPIFFE ID, it is one without a path.
        let mut uris = found.names().filter_map(|name| match name {
            Name::Uri(uri) => Some(uri),
            _ => None,
        });
        let ids = uris.by_ref().filter(|uri| is_spiffe(uri));
        let ids: Result<Vec<_>, _> = ids.map(SpiffeId::parse).collect();
        let domain = match ids.as_deref() {
            Ok([]) => None,
            Ok([id]) if !id.is_workload() => Some(id.trust_domain()),
            _ => return Err(NoAuthority::Workload),
        };
        Ok(Self {
            domain,
            not_before: found.not_before,
            not_after: found.not_after,
            has_usage: found.usage.is_some(),
        })
    }
}

impl NoAuthority {
    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::Malformed => "it cannot be read",
            Self::NotCa => "it is not a CA's",
            Self::NoCertSign => "its key usage has no `keyCertSign`",
            Self::Workload => "it names a workload",
        }
    }
}

/// Whether it means to be a SPIFFE ID.
pub(crate) fn is_spiffe(uri: &str) -> bool {
    let scheme = uri.as_bytes().split(|byte| *byte == b':').next();
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"spiffe"))
}
