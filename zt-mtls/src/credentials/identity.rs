use std::{fmt, sync::Arc};

use rustls::{crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use zt_core::clock::Timestamp;

use crate::{
    id::SpiffeId,
    svid::{Leaf, SvidError},
};

/// The certificate that this workload shows, with its key.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    id: Option<SpiffeId>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A certificate and a key that cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no certificate.
    #[error("there is no certificate")]
    NoCertificate,
    /// There is no private key.
    #[error("there is no private key")]
    NoKey,
    /// The private key is under a passphrase, which nobody is there to type.
    #[error("the private key is encrypted")]
    Encrypted,
    /// The PEM cannot be read.
    #[error("the PEM cannot be read: {0}")]
    Pem(&'static str),
    /// The certificate is no X.509-SVID, though it has a SPIFFE ID, or cannot be read.
    #[error(transparent)]
    Certificate(#[from] SvidError),
    /// The key cannot be used, or is not the certificate's.
    #[error("the key cannot be used: {0}")]
    Key(Arc<str>),
}

impl Identity {
    /// From PEM: the leaf first, then what stands above it, and its key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    ///
    /// When either cannot be read, or they do not belong together; or when the certificate has a
    /// SPIFFE ID and is no [X.509-SVID](crate::svid).
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        Self::from_pem_with(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
    }

    pub(super) fn from_pem_with(
        chain: &[u8],
        key: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, IdentityError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|error| IdentityError::Pem(pem_fault(&error)))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            _ if is_encrypted(key) => IdentityError::Encrypted,
            pem::Error::NoItemsFound => IdentityError::NoKey,
            error => IdentityError::Pem(pem_fault(&error)),
        })?;
        Self::with(chain, key, provider)
    }

    /// The same from DER.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        Self::with(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
    }

    /// The same for another provider of cryptography.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn with(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, IdentityError> {
        let (first, above) = chain.split_first().ok_or(IdentityError::NoCertificate)?;
        let leaf = Leaf::read(first)?;
        let id = leaf.own(above)?;
        let unusable = |error: rustls::Error| IdentityError::Key(error.to_string().into());
        let key = CertifiedKey::from_der(chain, key, provider).map_err(unusable)?;
        key.keys_match().map_err(unusable)?;
        Ok(Self {
            key: Arc::new(key),
            id,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
        })
    }

    /// The SPIFFE ID in the certificate, where it has one.
    #[must_use]
    pub const fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.id.as_ref()
    }

    /// When the certificate begins.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// When the certificate ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

/// By its label (RFC 7468 section 11), or by its header (RFC 1421 section 4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    const WORD: &[u8] = b"ENCRYPTED";
    pem.windows(WORD.len()).any(|at| at == WORD)
}

/// All of the sections of PEM, where there are no others. What is passed over in silence, because it has
/// another label or does not begin its line, is a root or a revocation list that somebody counts on.
pub(crate) fn pem_all<T: PemObject>(pem: &[u8]) -> Result<Vec<T>, &'static str> {
    let all: Result<Vec<T>, _> = T::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| pem_fault(&error))?;
    let begun = pem.windows(BEGIN.len()).filter(|at| *at == BEGIN).count();
    match begun == all.len() {
        true => Ok(all),
        false => Err("there is a section in it of another kind, or not on a line of its own"),
    }
}

/// What is wrong with PEM. The error itself can quote the line, and a key on one line with its
/// marker is that line.
fn pem_fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section does not begin as one does",
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::NoItemsFound => "there is nothing in it",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "it is not PEM",
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";
