//! Credentials from files, read again when they change.
//!
//! 1. All files are read twice, and what they held counts when both readings agree, in content and in
//!    which files it was: then there was a moment at which it all lay there. So a folder that is swapped
//!    whole, as Kubernetes does with `..data`, gives the old or the new and no mixture.
//! 2. A file that was written over in its place may have been half-written. What such a writer left is
//!    taken when the next look finds the same. A file that was renamed into place is taken at once.
//! 3. A certificate and a key that do not belong together, a file that is gone, that cannot be read or
//!    parsed, that is no regular file or is too large, a certificate that has ended or has not begun:
//!    the last good material stays, the [status](Credentials::status) says why, and the next look tries
//!    again. At the start there is no last good one, so it is an error.
//! 4. Unchanged content confirms what is in force: its age begins anew, and nobody is woken.
//! 5. A key that others than its owner and group may read, a certificate that our own trust refuses
//!    (it may be of another domain), and one in the last third of its life are told to the log once.
//!
//! A bundle is JWKS where its first character is `{`, and PEM otherwise. A revocation list is PEM, of
//! which one file can hold several, or one in DER.
//!
//! What cannot be used keeps everything as it was, also where it is the bundle of another trust domain:
//! meanwhile our own certificate is not renewed, and the [status](Credentials::status) says why.
//! The Workload API (feature `spire`) has no such coupling.
//!
//! Each look reads the files whole, lists too: where those are megabytes, look less often. Who removes
//! a trust domain from the configuration starts the process again. What several files say together is
//! as consistent as whoever writes them: a tool that replaces them one by one, each by a rename, is
//! seen in between.

mod build;
mod config;
mod error;
mod read;
mod reload;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::crypto::CryptoProvider;
use serde::Deserialize;
use zt_core::clock::{Clock, SystemClock};

pub use self::{
    error::FilesError,
    reload::{Reload, Reloader},
};
use super::Credentials;
use crate::{id::TrustDomain, verify::PkiNames};

/// Where certificate, key, roots and revocation lists lie; see the [module](self).
///
/// As in a configuration: `certificate`, `key`, and either `bundles`, by trust domain, or `roots` with
/// `names`; where wanted `revocation_lists` and `every_ms`.
///
/// ```
/// use zt_mtls::{credentials::Files, id::TrustDomain};
///
/// let files = Files::new("/certs/tls.crt", "/certs/tls.key")
///     .bundle(TrustDomain::parse("shop.example")?, "/certs/bundle.pem")
///     .revocation_list("/certs/shop.crl");
///
/// let text = r#"{
///     "certificate": "/certs/tls.crt",
///     "key": "/certs/tls.key",
///     "bundles": {"shop.example": "/certs/bundle.pem"},
///     "revocation_lists": ["/certs/shop.crl"]
/// }"#;
/// assert_eq!(serde_json::from_str::<Files>(text)?, files);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// ```no_run
/// # async fn start(files: zt_mtls::credentials::Files) -> Result<(), Box<dyn std::error::Error>> {
/// let (credentials, reloader) = files.load().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "config::Written")]
pub struct Files {
    certificate: Arc<Path>,
    key: Arc<Path>,
    bundles: Vec<(TrustDomain, Arc<Path>)>,
    roots: Vec<Arc<Path>>,
    names: PkiNames,
    lists: Vec<Arc<Path>>,
    every: Duration,
}

impl Files {
    /// How often is looked, unless said otherwise.
    pub const EVERY: Duration = Duration::from_secs(1);

    /// A certificate, the leaf first and then what stands above it, and its key; both in PEM, and in
    /// one file where it is named twice.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into().into(),
            key: key.into().into(),
            bundles: Vec::new(),
            roots: Vec::new(),
            names: PkiNames::none(),
            lists: Vec::new(),
            every: Self::EVERY,
        }
    }

    /// Trusts the workloads of a trust domain whose bundle, PEM or JWKS, lies there.
    #[must_use]
    pub fn bundle(mut self, domain: TrustDomain, path: impl Into<PathBuf>) -> Self {
        self.bundles.push((domain, path.into().into()));
        self
    }

    /// Trusts roots of a plain PKI, in PEM.
    #[must_use]
    pub fn roots(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots.push(path.into().into());
        self
    }

    /// Whom of that plain PKI.
    #[must_use]
    pub fn names(mut self, names: PkiNames) -> Self {
        self.names = names;
        self
    }

    /// Where revocation lists lie, in PEM or DER; from the first on every certificate must be covered
    /// by one.
    #[must_use]
    pub fn revocation_list(mut self, path: impl Into<PathBuf>) -> Self {
        self.lists.push(path.into().into());
        self
    }

    /// How often is looked whether something changed: a tenth of a second to an hour, and a second
    /// by default.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.clamp(config::SHORTEST, config::LONGEST);
        self
    }

    /// Reads everything, and goes on looking for as long as the [`Reloader`] is kept.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or what they hold gives no credentials.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn load(self) -> Result<(Credentials, Reloader), FilesError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        self.load_with(Arc::new(provider), SystemClock).await
    }

    /// The same with another provider of cryptography and another clock.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    ///
    /// # Panics
    ///
    /// As [`load`](Self::load).
    pub async fn load_with(
        self,
        provider: Arc<CryptoProvider>,
        clock: impl Clock,
    ) -> Result<(Credentials, Reloader), FilesError> {
        self.checked()?;
        reload::start(self, provider, Arc::new(clock)).await
    }
}
