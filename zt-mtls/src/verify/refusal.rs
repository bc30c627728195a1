use std::sync::Arc;

use rustls::{CertificateError, OtherError};

use crate::{id::TrustDomain, svid::SvidError};

/// Why a peer's certificate is not good.
///
/// As a [`rustls::Error`] it makes the alert that fits (RFC 8446 section 6.2):
///
/// | alert | when |
/// |---|---|
/// | `bad_certificate` | it cannot be read, is too long, has not the name that was dialled, has a signature that does not verify, or one by an algorithm that is too weak (4.4.2.4) |
/// | `unsupported_certificate` | its extended key usages do not allow this end of a connection |
/// | `certificate_revoked` | it is revoked |
/// | `certificate_expired` | it, or one above it, has ended or is yet to begin |
/// | `unknown_ca` | no root vouches for it, there is no bundle of its trust domain, or its revocation status cannot be known |
/// | `access_denied` | it is good, and not among those that are allowed |
/// | `certificate_unknown` | all else, such as that it is no X.509-SVID |
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There are too many certificates, or too many bytes of them.
    #[error("the chain is too long")]
    TooLong,
    /// The certificates make too many paths.
    #[error("the certificates of the chain make too many paths")]
    Tangled,
    /// A certificate beside the leaf cannot be read.
    #[error("a certificate beside the leaf cannot be read")]
    Beside,
    /// By X.509-SVID it names no workload.
    #[error(transparent)]
    Svid(#[from] SvidError),
    /// Nobody vouches for the trust domain that it says.
    #[error("there is no bundle of `{0}`")]
    UnknownTrustDomain(TrustDomain),
    /// webpki refuses it.
    #[error("the chain is not good: {0}")]
    Chain(webpki::Error),
    /// A certificate between may not sign certificates.
    #[error("a certificate of the chain may not sign others")]
    NotAnIssuer,
    /// A certificate between names another trust domain, or a workload.
    #[error("a certificate of the chain names a workload, or another trust domain")]
    ForeignIssuer,
    /// Its key may not sign, and so not in handshakes.
    #[error("its key may not sign handshakes")]
    MayNotSign,
    /// None of its names is allowed.
    #[error("none of its names is allowed")]
    NameNotAllowed,
    /// It is none of the peers that are expected.
    #[error("`{0}` is not the peer that is expected")]
    Unexpected(Arc<str>),
    /// The time cannot be trusted.
    #[error("the clock is unavailable")]
    Clock,
}

impl From<Refusal> for rustls::Error {
    /// With the alert that fits (RFC 8446 section 6.2).
    fn from(refusal: Refusal) -> Self {
        use CertificateError as Tls;
        use webpki::Error as Pki;
        let other = |refusal| Tls::Other(OtherError(Arc::new(refusal)));
        Self::InvalidCertificate(match &refusal {
            Refusal::Chain(error) => match error {
                Pki::CertExpired { .. } | Pki::InvalidCertValidity => Tls::Expired,
                Pki::CertNotValidYet { .. } => Tls::NotValidYet,
                Pki::CertRevoked => Tls::Revoked,
                Pki::UnknownIssuer => Tls::UnknownIssuer,
                Pki::CertNotValidForName(_) => Tls::NotValidForName,
                Pki::CrlExpired { .. } => Tls::ExpiredRevocationList,
                Pki::UnknownRevocationStatus
                | Pki::IssuerNotCrlSigner
                | Pki::InvalidCrlSignatureForPublicKey
                | Pki::UnsupportedCrlSignatureAlgorithmContext(_)
                | Pki::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
                    Tls::UnknownRevocationStatus
                }
                Pki::RequiredEkuNotFoundContext(_) | Pki::EmptyEkuExtension => Tls::InvalidPurpose,
                // Section 6.2: "contained signatures that did not verify correctly"; and section
                // 4.4.2.4 for weak ones. rustls' own `BadSignature` would be `decrypt_error`, which
                // is for those of the handshake.
                Pki::InvalidSignatureForPublicKey
                | Pki::SignatureAlgorithmMismatch
                | Pki::UnsupportedSignatureAlgorithmContext(_)
                | Pki::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
                | Pki::BadDer
                | Pki::BadDerTime
                | Pki::ExtensionValueInvalid
                | Pki::MalformedExtensions
                | Pki::UnsupportedCertVersion
                | Pki::TrailingData(_) => Tls::BadEncoding,
                Pki::UnsupportedCriticalExtension => Tls::UnhandledCriticalExtension,
                _ => other(refusal),
            },
            Refusal::Svid(SvidError::Malformed | SvidError::TooLong | SvidError::TooManyNames)
            | Refusal::Beside
            | Refusal::Tangled
            | Refusal::TooLong => Tls::BadEncoding,
            Refusal::Svid(SvidError::Purpose) => Tls::InvalidPurpose,
            Refusal::UnknownTrustDomain(_) => Tls::UnknownIssuer,
            Refusal::NameNotAllowed | Refusal::Unexpected(_) => Tls::ApplicationVerificationFailure,
            _ => other(refusal),
        })
    }
}
