use rustls_pki_types::CertificateDer;

use super::{MAX_BYTES, client_cert, xfcc};

/// A certificate as a proxy forwards it. Nothing of it was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct ForwardedCertificate {
    /// The client's.
    pub leaf: CertificateDer<'static>,
    /// What stands above it, where the proxy said.
    pub others: Vec<CertificateDer<'static>>,
    /// What the proxy says that the SHA-256 of the client's certificate is.
    pub hash: Option<[u8; 32]>,
}

/// Why a header that forwards a certificate cannot be read, or has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// There is more than can be sane.
    #[error("it is too long")]
    TooLong,
    /// It is not in its form.
    #[error("it is not in its form: {0}")]
    Form(&'static str),
    /// It has no certificate, though perhaps a hash or a name of one.
    #[error("it has no certificate")]
    NoCertificate,
    /// There is more than the one element that the proxy is to write.
    #[error("it has more than one element")]
    SeveralElements,
}

impl ForwardedCertificate {
    /// Reads the lines of `X-Forwarded-Client-Cert`, in the order they came: what the last element
    /// says, and how many there are.
    ///
    /// # Errors
    ///
    /// When any element is not in Envoy's form, or the last has no certificate.
    pub fn from_xfcc<'a>(
        lines: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Self, usize), Malformed> {
        xfcc::read(lines, &mut bounded())
    }

    /// Reads the lines of `Client-Cert` and of `Client-Cert-Chain` (RFC 9440 sections 2.2 and 2.3).
    ///
    /// # Errors
    ///
    /// When either is not in its form, or there is not exactly one line of `Client-Cert`.
    pub fn from_client_cert<'a>(
        certs: impl IntoIterator<Item = &'a [u8]>,
        chains: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, Malformed> {
        client_cert::read(certs, chains, &mut bounded())
    }
}

/// Counts the bytes of lines before anything is done with them.
fn bounded() -> impl FnMut(&[u8]) -> Result<(), Malformed> {
    let mut left = MAX_BYTES;
    move |line| {
        left = left.checked_sub(line.len()).ok_or(Malformed::TooLong)?;
        Ok(())
    }
}

/// A client's name is personal.
impl std::fmt::Debug for ForwardedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForwardedCertificate")
            .field("others", &self.others.len())
            .finish_non_exhaustive()
    }
}
